"""Scores of classes: one rule and one computation for every epoch of a training, the held-out samples of a run, and a fold.

The rule: a mean over classes (macro) is one over the classes that the scored samples have. A class that none of them has can be
neither found nor missed, so it is left out; it does not count as 0. With one class only nothing can be ranked: AUC is NaN.
"""

from __future__ import annotations

import numpy as np

from aam.scoring.weighted import weighted_auc

# Bins of the probability of the likeliest class, alike in width (Guo et al. 2017, arXiv 1706.04599).
ECE_BINS = 15
# Probabilities that a logarithm is taken of.
_LEAST = np.finfo(np.float64).eps


def probability_scores(true: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Scores of class probabilities [N, K], which add up to 1, against class ids [N].

    Means over the classes that `true` has: balanced_accuracy, precision, recall, f1, auc and pr_auc (average precision), the last
    two of each class against all others. brier: the mean over samples of the summed squared errors of the probabilities, half of
    it for two classes, as scikit-learn has it. ece: expected calibration error of the likeliest class in 15 bins of equal width.
    """
    present = np.unique(true)
    return {
        **_of_decisions(true, probabilities.argmax(axis=1), present),
        "auc": float(weighted_auc(true, probabilities, np.ones((1, len(true))))[0]),
        "log_loss": float(-np.log(probabilities[np.arange(len(true)), true].clip(_LEAST)).mean()),
        "pr_auc": _average_precision(true, probabilities, present),
        "brier": _brier(true, probabilities),
        "ece": calibration_error(true, probabilities),
    }


def class_scores(true: np.ndarray, probabilities: np.ndarray, train_true: np.ndarray) -> dict[str, float]:
    """The same, the main ones first; and the accuracy of always naming the training samples' commonest class."""
    found = probability_scores(true, probabilities)
    commonest = np.bincount(train_true, minlength=probabilities.shape[1]).argmax()
    first = ("accuracy", "balanced_accuracy", "auc", "log_loss")
    return {
        **{name: found.pop(name) for name in first},
        **found,
        "majority_accuracy": float((true == commonest).mean()),
    }


def _of_decisions(true: np.ndarray, predicted: np.ndarray, present: np.ndarray) -> dict[str, float]:
    """A class that is never predicted has a precision of 0."""
    right = np.array([((predicted == k) & (true == k)).sum() for k in present])
    named = np.array([(predicted == k).sum() for k in present])
    members = np.array([(true == k).sum() for k in present])
    recall = float((right / members).mean())
    return {
        "accuracy": float((predicted == true).mean()),
        "balanced_accuracy": recall,
        "precision": float((right / named.clip(min=1)).mean()),
        "recall": recall,
        "f1": float((2 * right / (named + members)).mean()),
    }


def _average_precision(true: np.ndarray, probabilities: np.ndarray, present: np.ndarray) -> float:
    if len(present) < 2:
        return float("nan")
    from sklearn.metrics import average_precision_score

    return float(np.mean([average_precision_score(true == k, probabilities[:, k]) for k in present]))


def _brier(true: np.ndarray, probabilities: np.ndarray) -> float:
    squares = np.square(probabilities - np.eye(probabilities.shape[1])[true]).sum(axis=1)
    return float(squares.mean()) / (2 if probabilities.shape[1] == 2 else 1)


def calibration_error(true: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error: how far the mean probability of the likeliest class is from the share of samples where it is
    right, over bins of that probability, each counting by its samples.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(true))
