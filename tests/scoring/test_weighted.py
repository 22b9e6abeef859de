"""Scores under many weightings at once, beside scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, roc_auc_score

from aam.scoring.weighted import weighted_auc, weighted_mae


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9999), n=st.integers(6, 40), classes=st.integers(2, 4), ties=st.booleans())
def test_weighted_scores_are_scikit_learns(seed, n, classes, ties):
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    probabilities = rng.random((n, classes)).round(1 if ties else 9) + 0.01
    weights = rng.integers(0, 4, (5, n)).astype(float)
    weights[:, :classes] = 1  # every class has weight
    shares = probabilities / probabilities.sum(axis=1, keepdims=True)
    for found, weight in zip(weighted_auc(truth, shares, weights), weights, strict=True):
        each = [roc_auc_score(truth == k, shares[:, k], sample_weight=weight) for k in range(classes)]
        assert found == pytest.approx(each[1] if classes == 2 else np.mean(each))
    expected = [mean_absolute_error(truth, shares[:, 0], sample_weight=weight) for weight in weights]
    np.testing.assert_allclose(weighted_mae(truth, shares[:, 0], weights), expected)


def test_a_class_without_weight_is_left_out():
    rng = np.random.default_rng(0)
    truth, shares = np.arange(30) % 3, rng.dirichlet(np.ones(3), 30)
    there = truth < 2
    expected = np.mean([roc_auc_score(truth[there] == k, shares[there, k]) for k in range(2)])
    assert weighted_auc(truth, shares, there[None].astype(float))[0] == pytest.approx(expected)


def test_where_one_class_has_weight_there_is_no_auc():
    truth, shares = np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    assert np.isnan(weighted_auc(truth, shares, np.array([[1.0, 1.0, 0.0]]))[0])
