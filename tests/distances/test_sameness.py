"""Distances that are all the same are found, whatever they come from; others are not taken for such."""

import numpy as np
import pytest
from scipy import sparse

from aam.data.newick import parse_newick
from aam.data.phylogeny import Phylogeny
from aam.distances.precomputed import PrecomputedDistances
from aam.distances.sameness import by_module, only_distance
from aam.distances.unifrac import UniFrac

TREE = "((a:1,b:2):3,(c:4,d:5):6);"


def unifrac(counts, features="abcd", metric="unweighted"):
    counts = sparse.csr_array(np.array(counts))
    distance = UniFrac(Phylogeny.from_nodes(parse_newick(TREE), tuple(features)), metric)
    return only_distance(by_module(distance, counts), counts.shape[0])


def matrix(values):
    distance = PrecomputedDistances(np.array(values, dtype=float))
    return only_distance(by_module(distance, sparse.csr_array(np.ones((len(values), 2)))), len(values))


@pytest.mark.parametrize("metric", ["unweighted", "weighted_normalized", "weighted_unnormalized", "generalized"])
def test_all_the_same(metric):
    assert unifrac([[1, 2, 0, 4]] * 3, metric=metric) == 0
    # One ASV is left: all samples are that one.
    assert unifrac([[1], [7], [3]], "a", metric=metric) == 0
    assert unifrac([[1, 2, 0, 4]] * 2, metric=metric) == 0
    assert unifrac([[1, 2, 0, 4], [1, 2, 3, 4], [0, 0, 0, 1]], metric=metric) is None


def test_of_few_samples():
    # A pair has one distance, whatever it is.
    assert unifrac([[1, 2, 0, 4], [9, 9, 0, 0]]) is None
    assert unifrac([[1, 2, 0, 4]]) is None
    assert unifrac([[1, 0, 0, 0], [0, 0, 1, 0]]) is None
    assert matrix(np.zeros((2, 2))) == 0
    assert matrix(np.zeros((1, 1))) is None


def test_matrices():
    alike = 0.7 * (1 - np.eye(120))
    assert matrix(alike) == pytest.approx(0.7)
    assert matrix(np.zeros((120, 120))) == 0
    # One pair, far from each other, differs.
    alike[3, 117] = alike[117, 3] = 0.6
    assert matrix(alike) is None
    assert matrix(1e-9 * np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]])) is None
