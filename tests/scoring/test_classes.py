"""Scores of classes beside scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics

from aam.scoring.classes import ECE_BINS, calibration_error, class_scores


def simulated(classes, lacking=(), n=300):
    rng = np.random.default_rng(classes)
    true = rng.choice(np.setdiff1d(np.arange(classes), lacking), n)
    shares = rng.random((n, classes)) + np.eye(classes)[true] / 2
    return true, shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_scores_are_scikit_learns(classes):
    true, shares = simulated(classes)
    said, found = shares.argmax(axis=1), class_scores(true, shares, true)
    expected = {
        "accuracy": metrics.accuracy_score(true, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(true, said),
        "precision": metrics.precision_score(true, said, average="macro"),
        "recall": metrics.recall_score(true, said, average="macro"),
        "f1": metrics.f1_score(true, said, average="macro"),
        "auc": metrics.roc_auc_score(true, shares[:, 1] if classes == 2 else shares, multi_class="ovr"),
        "pr_auc": metrics.average_precision_score(np.eye(classes)[true], shares, average="macro"),
        "log_loss": metrics.log_loss(true, shares),
        "brier": metrics.brier_score_loss(true, shares[:, 1] if classes == 2 else shares),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert list(found)[:4] == ["accuracy", "balanced_accuracy", "auc", "log_loss"]


@pytest.mark.parametrize("lacking", [(3,), (0, 3)])
def test_classes_that_no_sample_has_are_left_out_of_means(lacking):
    true, shares = simulated(4, lacking)
    present, said, found = np.unique(true), shares.argmax(axis=1), class_scores(true, shares, true)
    assert (shares.argmax(axis=1) == lacking[-1]).any()
    for name, score in (("precision", metrics.precision_score), ("recall", metrics.recall_score), ("f1", metrics.f1_score)):
        assert found[name] == pytest.approx(score(true, said, labels=present, average="macro")), name
    assert found["auc"] == pytest.approx(np.mean([metrics.roc_auc_score(true == k, shares[:, k]) for k in present]))
    assert found["pr_auc"] == pytest.approx(np.mean([metrics.average_precision_score(true == k, shares[:, k]) for k in present]))


def test_samples_of_one_class_are_not_ranked():
    found = class_scores(np.zeros(5, dtype=int), np.full((5, 3), 1 / 3), np.array([0, 1]))
    assert np.isnan([found["auc"], found["pr_auc"]]).all()
    assert (found["recall"], found["precision"], found["f1"]) == (1, 1, 1)


def test_the_calibration_error_is_a_mean_over_bins():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20_000)
    shares, right = np.stack([1 - confidence, confidence], axis=1), rng.random(20_000) < confidence
    assert calibration_error(right.astype(int), shares) < 0.01
    # Of what is always as sure, the distance from the share that is right.
    assert calibration_error(np.array([1, 1, 0, 0]), np.tile([0.1, 0.9], (4, 1))) == pytest.approx(0.4)
    assert calibration_error(np.ones(3, dtype=int), np.tile([0.0, 1.0], (3, 1))) == 0
    bins = (confidence * ECE_BINS).astype(int)
    by_hand = sum((bins == k).mean() * abs(confidence[bins == k].mean() - right[bins == k].mean()) for k in np.unique(bins))
    assert calibration_error(right.astype(int), shares) == pytest.approx(by_hand)
