"""All pairs of a table: whatever is common or rare, in whatever blocks and threads, they are those of a batch."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from aam.data.phylogeny import Phylogeny
from aam.data.simulate import simulate
from aam.distances import all_pairs, kernel, nodes, on_gpu
from aam.distances.matrix import faith_pd, unifrac_matrix
from aam.distances.products import Products
from aam.distances.unifrac import FaithPD, UniFrac
from tests.distances.test_unifrac import METRICS, as_batch

ALPHAS = [*((metric, 0.5) for metric in METRICS), ("generalized", 0.0), ("generalized", 0.3), ("generalized", 1.0)]


@pytest.fixture(scope="module")
def community():
    """150 samples, which are three tiles of the kernel, of which two are the same, and two ASVs that the tree lacks."""
    simulated = simulate(4, n_samples=150, n_asvs=120, length=40)
    counts = simulated.table.counts.toarray()
    counts[149] = counts[3]
    counts = np.concatenate([counts, np.ones((150, 2), dtype=np.int64)], axis=1)
    return Phylogeny.from_tree(simulated.tree, [*simulated.table.feature_ids, "stranger1", "stranger2"]), counts


def batch_of(phylogeny, counts, metric, alpha):
    return UniFrac(phylogeny, metric, alpha)(*as_batch(counts, np.random.default_rng(0))).numpy()


@pytest.mark.parametrize(("metric", "alpha"), ALPHAS)
@pytest.mark.parametrize("rare", [0.0, 0.12, 0.5, 1.0])
def test_any_share_of_rare_nodes_gives_the_distances_of_a_batch(community, metric, alpha, rare, monkeypatch):
    phylogeny, counts = community
    monkeypatch.setattr(nodes, "RARE", rare)
    monkeypatch.setattr(Products, "rows", 40)
    found = unifrac_matrix(sparse.csr_array(counts), phylogeny, metric, alpha)
    np.testing.assert_allclose(found, batch_of(phylogeny, counts, metric, alpha), rtol=0, atol=1e-12)
    assert (found == found.T).all()
    assert (np.diagonal(found) == 0).all()
    assert found[3, 149] < 1e-12


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("samples", [1, 2, 63, 64, 65])
def test_any_number_of_samples(community, metric, samples):
    phylogeny, counts = community
    found = unifrac_matrix(sparse.csr_array(counts[:samples]), phylogeny, metric)
    np.testing.assert_allclose(found, batch_of(phylogeny, counts[:samples], metric, 0.5), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("metric", "alpha"), ALPHAS)
def test_threads_change_no_bit(community, metric, alpha, monkeypatch):
    phylogeny, counts = community
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(all_pairs, "allotted_threads", lambda threads=threads: threads)
        found.append(unifrac_matrix(sparse.csr_array(counts), phylogeny, metric, alpha))
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


@pytest.mark.parametrize("metric", METRICS)
def test_single_precision(community, metric):
    phylogeny, counts = community
    single = unifrac_matrix(sparse.csr_array(counts), phylogeny, metric, dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, batch_of(phylogeny, counts, metric, 0.5), rtol=0, atol=1e-6)


# On a CPU: what PyTorch does on a GPU is the same, but for how fast.
@pytest.mark.parametrize(("metric", "alpha"), ALPHAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_by_pytorch(community, metric, alpha, dtype, monkeypatch):
    phylogeny, counts = community
    monkeypatch.setattr(on_gpu, "MOST_SAMPLES", 40)
    found = on_gpu.compare_on_gpu(sparse.csr_array(counts), phylogeny, metric, alpha, dtype, "cpu")
    assert found.dtype == dtype
    expected = batch_of(phylogeny, counts, metric, alpha)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 if dtype == np.float64 else 1e-5)
    assert (found == found.T).all()
    assert (np.diagonal(found) == 0).all()


def test_faith_pd_of_a_table_is_that_of_a_batch(community):
    phylogeny, counts = community
    batch = FaithPD(phylogeny)(*as_batch(counts, np.random.default_rng(0)))
    np.testing.assert_allclose(faith_pd(sparse.csr_array(counts), phylogeny), batch, rtol=1e-12)


@settings(deadline=None)
@given(st.floats(1e-300, 2.0), st.floats(-1.0, 0.0))
def test_powers_are_those_of_the_library(base, exponent):
    assert kernel.power(base, exponent) == pytest.approx(math.pow(base, exponent), rel=1e-12)


def test_pytorch_keeps_its_threads(community):
    phylogeny, counts = community
    before = torch.get_num_threads()
    unifrac_matrix(sparse.csr_array(counts), phylogeny)
    assert torch.get_num_threads() == before
