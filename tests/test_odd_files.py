"""Odd but valid inputs, as people have them, through reading, `unifrac` and `evaluate`: each has its right outcome."""

import re

import numpy as np
import pandas as pd
import pytest

import aam as library
from aam.distances.files import read_distances
from aam.learners import baselines
from tests.odd_files import Odd, community
from tests.odd_files.metadata import METADATA
from tests.odd_files.tables import TABLES
from tests.odd_files.trees import TREES
from tests.support.commands import aam

ODD = [*TABLES, *METADATA, *TREES]
SHORT = {"_TREES": 2, "_TREES_TO_CHOOSE": 2, "_BOOSTS": 2, "_PENALTIES": (1.0,), "_NEIGHBOURS": (3,)}


@pytest.fixture(scope="module", autouse=True)
def short_baselines():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SHORT.items():
            patch.setattr(baselines, name, value)
        patch.setattr("torch.get_num_threads", lambda: 1)
        yield


def flags(options, *names):
    """The words of a command line for some options: paths, tuples of them, and switches."""
    for name in names:
        if (value := options.get(name)) is not None:
            words = [] if value is True else value if isinstance(value, tuple) else [value]
            yield from [f"--{name.replace('_', '-')}", *words]


def matrix(path):
    frame = pd.read_csv(path, sep="\t", index_col=0, dtype={0: str})
    return frame.loc[sorted(frame.index), sorted(frame.index)].to_numpy()


def counts_of(options):
    """Reads by sample and sequence, ages and subjects, whatever the order of rows and columns."""
    given = {
        name: options[name] for name in ("metadata", "rep_seqs", "tree", "missing_values", "ignore_missing") if name in options
    }
    study = library.read_study(options["table"], column="age", **given)
    frame = pd.DataFrame(study.counts.toarray(), study.table.sample_ids, study.sequences)
    ages, subjects = study.metadata["age"].astype(float), pd.Series(study.labels("subject"), study.table.sample_ids)
    return frame.loc[sorted(frame.index), sorted(frame.columns)], ages.sort_index(), subjects.sort_index()


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    options = community(folder)
    aam("unifrac", *flags(options, "table", "tree"), "--output", folder / "unifrac.tsv")
    return counts_of(options), matrix(folder / "unifrac.tsv")


def evaluated(options, folder, code=0):
    given = flags(options, "table", "rep_seqs", "tree", "unifrac_matrix", "metadata", "missing_values", "ignore_missing")
    target = ["--metadata-column", "age", "--group-column", "subject"]
    return aam("evaluate", *given, *target, "--only-baselines", "--folds", 2, "--no-cache", "--output-dir", folder, code=code)


def test_there_are_many():
    assert len(ODD) >= 60


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
def test_an_odd_file_has_its_right_outcome(odd: Odd, sound, tmp_path):
    options = community(tmp_path) | odd.write(tmp_path)
    if matrix_given := "unifrac_matrix" in options:
        del options["tree"]
    words = [*flags(options, "table", "tree", "ignore_missing"), "--output", tmp_path / "unifrac.tsv"]
    if odd.outcome != "read":
        said = [evaluated(options, tmp_path / "out", code=2)]
        if not matrix_given and odd not in METADATA:
            said.append(aam("unifrac", *words, code=2))
        for text in said:
            line = text.strip().splitlines()[-1]
            assert line.startswith("error: ")
            assert re.search(odd.outcome, line), line
        return
    (counts, ages, subjects), distances = sound
    read = counts_of(options)
    pd.testing.assert_frame_equal(read[0], counts, check_dtype=False)
    np.testing.assert_allclose(read[1], ages)
    assert list(read[2]) == list(subjects)
    if matrix_given:
        found = read_distances(options["unifrac_matrix"], tuple(counts.index))
    else:
        aam("unifrac", *words)
        found = matrix(tmp_path / "unifrac.tsv")
    np.testing.assert_allclose(found, distances, atol=1e-6)
    evaluated(options, tmp_path / "out")
    assert (tmp_path / "out" / "index.html").is_file()
