"""A study as models see it."""

from dataclasses import replace

import numpy as np
import pytest

from aam.data.table import drop_shallow
from aam.errors import InputError
from aam.options import ReadOptions, SampleOptions
from tests.support.studies import simulated_study

READS = [
    ReadOptions(sampling_depth=200),
    ReadOptions(token_limit=5),
    ReadOptions(sampling_depth=200, token_limit=5, asv_sampling="random"),
    ReadOptions(sampling_depth=200, rarefy_each_epoch=True),
]


@pytest.fixture(scope="module")
def study():
    return simulated_study()


def same(first, second):
    assert first.table.sample_ids == second.table.sample_ids
    assert (first.counts != second.counts).nnz == 0
    np.testing.assert_array_equal(first.asv_tokens, second.asv_tokens)


@pytest.mark.parametrize("reads", READS, ids=str)
def test_what_is_drawn_once_is_not_drawn_again(study, reads):
    drawn = replace(study, reads=reads).drawn(3)
    assert (drawn.counts.toarray() <= study.counts.toarray()).all()
    if reads.token_limit is None:
        assert (drawn.table.depths == 200).all()
    else:
        assert np.diff(drawn.counts.indptr).max() == 5
    same(drawn.drawn(3), drawn)
    same(replace(study, reads=reads).drawn(3), drawn)
    assert (replace(study, reads=reads).drawn(4).counts != drawn.counts).nnz or reads == READS[1]


def test_all_reads_are_not_drawn(study):
    assert study.drawn(0) is study


@pytest.mark.parametrize("reads", [*READS, ReadOptions(max_bp=12)], ids=str)
def test_a_study_is_read_as_a_model_reads_once(study, reads):
    read = study.read_as(reads)
    assert read.reads == reads
    same(replace(study, reads=reads), replace(read, asv_tokens=study.asv_tokens))
    assert read.asv_tokens.shape[1] == 1 + min(reads.max_bp, 40)
    assert read.read_as(reads) is read
    # Longer reads come back: the sequences are kept whole.
    same(read.read_as(study.reads), study)


def test_samples_that_are_too_shallow_for_a_model_are_refused(study):
    depth = int(np.median(study.table.depths))
    with pytest.raises(InputError, match=f"fewer reads than `sampling_depth={depth}`"):
        study.read_as(ReadOptions(sampling_depth=depth))
    kept = drop_shallow(study.table, depth, ignore_missing=True)
    assert 0 < len(kept.sample_ids) < len(study)


def test_shares_and_distances_are_of_the_samples(study):
    np.testing.assert_allclose(study.shares.sum(axis=1), 1)
    assert study.distances.shape == (48, 48)
    np.testing.assert_allclose(np.diag(study.distances), 0, atol=1e-12)
    assert study.ids(np.array([3, 1])) == (study.table.sample_ids[3], study.table.sample_ids[1])


def test_a_split_keeps_groups_whole(study):
    split = study.split(SampleOptions(group_column="subject", metadata="metadata.tsv"), seed=0)
    subjects = study.labels("subject")
    parts = [set(subjects[rows]) for rows in (split.train, split.val, split.test)]
    assert all(parts)
    assert sum(map(len, parts)) == len(set(subjects))


def test_labels_need_metadata(study):
    assert study.labels(None) is None
    with pytest.raises(InputError, match="column subject: the study has no metadata"):
        replace(study, metadata=None).labels("subject")
