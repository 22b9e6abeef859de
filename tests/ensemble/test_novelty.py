"""Samples of new groups are told from those of another community, and from those with too little in them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from aam.data.sequences import reverse_complement, tokenize
from aam.data.table import FeatureTable
from aam.ensemble import novelty
from aam.ensemble.novelty import Novelty, nearest
from aam.options import ReadOptions
from tests.support.studies import simulated_study, without_sequences

LEARNED, GROUPS = np.arange(32), np.arange(32) // 2


@pytest.fixture(scope="module")
def study():
    return simulated_study()


@pytest.fixture(scope="module")
def fitted(study):
    return Novelty.fit(study, LEARNED, GROUPS, 0)


def with_counts(study, counts):
    """The same ASVs in other samples."""
    names = tuple(f"s{row}" for row in range(len(counts)))
    return replace(study, table=FeatureTable(sparse.csr_array(counts), names, study.table.feature_ids), metadata=None)


def test_another_community_is_told_from_samples_of_new_groups(study, fitted):
    measured = fitted.measure(study, 0)
    assert measured.out_of_distribution[32:].mean() < 0.3
    np.testing.assert_allclose(measured.distance[:32], 0, atol=1e-5)
    assert not measured.out_of_distribution[:32].any()
    elsewhere = fitted.measure(simulated_study(99, n_samples=20), 0)
    assert (elsewhere.distance > 1).all()
    assert all(reason.startswith("unlike ASVs") for reason in elsewhere.columns()["reason"])


def test_samples_with_too_little_in_them_are_out_of_distribution(study, fitted):
    """Their ASVs are known, so that their distance is 0: one read each, or one ASV with as many reads as ever."""
    counts, known = np.zeros((3, len(study.table.feature_ids)), dtype=np.int64), study.counts.indices[0]
    counts[0, known] = 1
    counts[1, known] = int(study.table.depths[LEARNED].max())
    counts[2] = study.counts.toarray()[0]
    measured = fitted.measure(with_counts(study, counts), 0)
    np.testing.assert_allclose(measured.distance, 0, atol=1e-5)
    columns = measured.columns()
    assert list(columns["out_of_distribution"]) == [True, True, False]
    assert list(columns["reason"]) == ["few reads; few ASVs", "few ASVs", ""]
    assert list(columns["reads"]) == list(counts.sum(axis=1))
    assert list(columns["asvs"][:2]) == [1, 1]
    assert list(measured.novelty > 1) == [True, True, False]


def test_the_least_is_half_of_that_of_training_samples_or_that_of_nearly_all_of_many(study, fitted):
    assert fitted.least_reads == study.table.depths[LEARNED].min() // 2
    assert fitted.least_asvs == np.diff(study.counts.indptr)[LEARNED].min() // 2
    counts = np.full((400, len(study.table.feature_ids)), 10)
    counts[0] = np.eye(1, counts.shape[1])
    many = with_counts(study, counts)
    # One bad sample in four hundred is not what a model is used to.
    assert Novelty.fit(many, many.rows, None, 0).least_reads == counts[1].sum()


def test_reads_count_after_rarefaction(study):
    rarefied = study.read_as(ReadOptions(sampling_depth=100, token_limit=10))
    fitted = Novelty.fit(rarefied, LEARNED, GROUPS, 0)
    assert fitted.least_reads <= 100
    assert fitted.least_asvs <= 10
    assert fitted.measure(rarefied, 0).reads.max() <= 100


def test_features_without_sequences_have_reads_and_a_number(study):
    named = without_sequences(study)
    fitted = Novelty.fit(named, LEARNED, GROUPS, 0)
    measured = fitted.measure(with_counts(named, np.eye(2, len(named.table.feature_ids), dtype=np.int64)), 0)
    assert measured.novelty is None
    assert measured.out_of_distribution.all()
    assert "distance_to_training" not in measured.columns()


def test_few_new_asvs_among_many_known_ones_are_not_out_of_distribution(study):
    """Where all groups have all ASVs, as after a filter of prevalence, no distance was ever above 0."""
    everywhere = with_counts(study, np.ones(study.counts.shape, dtype=np.int64))
    fitted = Novelty.fit(everywhere, everywhere.rows, np.arange(48) // 4, 0)
    variant = study.sequences[0][:20] + "ACGT"["CGTA".index(study.sequences[0][20])] + study.sequences[0][21:]
    sequences = (*study.sequences, variant)
    table = FeatureTable(sparse.csr_array(np.ones((1, 51), dtype=np.int64)), ("s",), sequences)
    one = replace(study, table=table, sequences=sequences, asv_tokens=tokenize(sequences, sequences, 150))
    assert 0 < fitted.measure(one, 0).distance[0] < 0.5


def test_novelty_is_told_though_only_the_commonest_asvs_are_kept(study, monkeypatch):
    monkeypatch.setattr(novelty, "MOST_ASVS", 10)
    fitted = Novelty.fit(study, LEARNED, GROUPS, 0)
    assert len(fitted.asvs.vectors) == 10
    assert (fitted.measure(study, 0).distance > 1).mean() < 0.2


def test_the_other_strand():
    assert reverse_complement("AACGTRYSWKMBDHVN") == "NBDHVKMWSRYACGTT"


def test_the_nearest_of_another_owner():
    known = np.array([[0.0], [1.0], [5.0]], dtype=np.float32)
    owner = np.array([0, 1, 1])
    np.testing.assert_allclose(nearest(known, known), 0)
    np.testing.assert_allclose(nearest(known, known, owner, owner), [1, 1, 5])
    np.testing.assert_allclose(nearest(known, known, owner - 1, owner - 1), [0, 1, 5])
    np.testing.assert_allclose(nearest(known[:1], known[:1], owner[:1], owner[:1]), 0)
