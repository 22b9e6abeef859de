"""Samples of new groups are told from those of another community."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from aam.data.table import FeatureTable
from aam.ensemble import novelty
from aam.ensemble.catalogue import Catalogue, SeenTable
from aam.ensemble.novelty import Novelty, nearest
from aam.options import EnsembleOptions
from tests.support.studies import simulated_study

OPTIONS = EnsembleOptions()


@pytest.fixture(scope="module")
def study():
    return simulated_study()


def test_another_community_is_told_from_samples_of_new_groups(study):
    learned = np.arange(32)
    catalogue = Catalogue.fit(study, learned, OPTIONS)
    table = catalogue.see(study)
    fitted = Novelty.fit(table, learned, np.arange(32) // 2)
    assert (fitted.distances(table)[32:] > 1).mean() < 0.3
    np.testing.assert_allclose(fitted.distances(table)[:32], 0, atol=1e-5)
    elsewhere = catalogue.see(simulated_study(99, n_samples=20))
    assert (fitted.distances(elsewhere) > 1).all()


def test_few_new_asvs_among_many_known_ones_are_not_out_of_distribution(study):
    """Where all groups have all ASVs, as after a filter of prevalence, no distance was ever above 0."""
    counts = sparse.csr_array(np.ones(study.counts.shape, dtype=np.int64))
    everywhere = replace(study, table=FeatureTable(counts, study.table.sample_ids, study.table.feature_ids))
    catalogue = Catalogue.fit(everywhere, everywhere.rows, OPTIONS)
    fitted = Novelty.fit(catalogue.see(everywhere), everywhere.rows, np.arange(48) // 4)
    variant = study.asv_tokens[:1].copy()
    variant[0, 20] = 1 + variant[0, 20] % 4
    tokens = np.concatenate([study.asv_tokens, variant])
    one = sparse.csr_array(np.ones((1, 51), dtype=np.int64))
    seen = SeenTable(one, tokens, catalogue.words.vectors(tokens), np.zeros(51, dtype=np.int64), len(catalogue.keys))
    assert 0 < fitted.distances(seen)[0] < 0.5


def test_novelty_is_told_though_only_the_commonest_asvs_are_kept(study, monkeypatch):
    monkeypatch.setattr(novelty, "_MOST", 10)
    learned = np.arange(32)
    table = Catalogue.fit(study, learned, OPTIONS).see(study)
    fitted = Novelty.fit(table, learned, np.arange(32) // 2)
    assert len(fitted.vectors) == 10
    assert (fitted.distances(table) > 1).mean() < 0.2


def test_the_nearest_of_another_owner():
    known = np.array([[0.0], [1.0], [5.0]], dtype=np.float32)
    owner = np.array([0, 1, 1])
    np.testing.assert_allclose(nearest(known, known), 0)
    np.testing.assert_allclose(nearest(known, known, owner, owner), [1, 1, 5])
    np.testing.assert_allclose(nearest(known, known, owner - 1, owner - 1), [0, 1, 5])
    np.testing.assert_allclose(nearest(known[:1], known[:1], owner[:1], owner[:1]), 0)
