"""Training, validation and test samples that files name."""

import logging

import numpy as np
import pytest

from aam.errors import InputError
from aam.options import SampleOptions
from tests.support.studies import simulated_study

PARTS = ("train", "val", "test")


@pytest.fixture(scope="module")
def study():
    return simulated_study(n_samples=40)


def options(study, folder, *, whole=True, **rows):
    """Files of some rows, and the options that name them; whole: the groups of the metadata stay whole."""
    files = {}
    for part, some in rows.items():
        path = folder / f"{part}.txt"
        path.write_text("".join(f"{sample}\n" for sample in study.ids(np.asarray(some))))
        files[f"{part}_samples"] = path
    return SampleOptions(metadata=("m.tsv",), group_column="subject" if whole else None, **files)


def groups_in(study, rows):
    return set(study.labels("subject")[rows])


@pytest.mark.parametrize("given", [PARTS, ("train", "val"), ("train", "test"), ("val", "test"), ("train",), ("val",), ("test",)])
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_given_stays_and_the_rest_is_drawn_apart(study, tmp_path, given, whole):
    drawn = study.split(options(study, tmp_path, whole=whole), 0)
    split = study.split(options(study, tmp_path, whole=whole, **{part: getattr(drawn, part) for part in given}), 0)
    parts = [split.train, split.val, split.test]
    together = np.concatenate(parts)
    # Validation samples are drawn from training samples that are given.
    unused = len(drawn.val) if given == ("train", "test") else 0
    assert len(np.unique(together)) == len(together) == len(study) - unused and all(map(len, parts[:2]))
    for part in given:
        learned = np.concatenate([split.train, split.val]) if (part, "val" in given) == ("train", False) else getattr(split, part)
        np.testing.assert_array_equal(np.sort(learned), getattr(drawn, part))
    if whole:
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert not groups_in(study, parts[one]) & groups_in(study, parts[other])


def test_the_files_of_a_split_give_it_again(study, tmp_path):
    drawn = study.split(options(study, tmp_path), 3)
    again = study.split(options(study, tmp_path, **vars(drawn)), 7)
    for part in PARTS:
        np.testing.assert_array_equal(getattr(again, part), getattr(drawn, part))


def test_samples_of_no_part_are_left_out(study, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        split = study.split(options(study, tmp_path, whole=False, train=range(20), test=range(20, 30)), 0)
    assert len(split.train) + len(split.val) == 20 and len(split.test) == 10
    assert "10 of 40 samples are in no part of the split that is given: left out" in caplog.text


def test_broken_groups_are_an_error_unless_both_parts_are_given(study, tmp_path, caplog):
    group = study.labels("subject")
    one = np.flatnonzero(group == group[0])
    assert len(one) > 1
    rest = np.setdiff1d(study.rows, one[:1])
    with pytest.raises(InputError, match=r"1 group on both sides .*\(train, test\).*whole groups in `test_samples`"):
        study.split(options(study, tmp_path, test=one[:1]), 0)
    with pytest.raises(InputError, match=r"on both sides .*give whole groups in `train_samples`"):
        study.split(options(study, tmp_path, train=rest), 0)
    with caplog.at_level(logging.WARNING):
        study.split(options(study, tmp_path, train=rest, test=one[:1]), 0)
    assert "of known groups, not of new groups" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "`test_samples=.*names no sample"),
        ("no\nnone\n", "`test_samples=.*: 2 of 2 samples are not among the samples of this run .*: no, none"),
        ("{0}\n{0}\n", "there twice"),
    ],
)
def test_files_that_say_nothing_are_one_line(study, tmp_path, text, message):
    path = tmp_path / "test.txt"
    path.write_text(text.format(study.ids(study.rows)[0]))
    with pytest.raises(InputError, match=message) as error:
        study.split(SampleOptions(test_samples=path), 0)
    assert "\n" not in str(error.value)


def test_overlapping_files_are_one_line(study, tmp_path):
    with pytest.raises(InputError, match="`train_samples` and `val_samples` share 5 samples: "):
        study.split(options(study, tmp_path, train=range(20), val=range(15, 30)), 0)
    with pytest.raises(InputError, match="no sample is left to train on"):
        study.split(options(study, tmp_path, whole=False, val=range(20), test=range(20, 40)), 0)
