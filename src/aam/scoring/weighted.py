"""Scores under many weightings of the samples at once, as resampled groups give them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def weighted_mae(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean absolute error [W] under each of the sample weights [W, n]; NaN where they are all 0."""
    with np.errstate(invalid="ignore"):
        return weights @ np.abs(truth - predicted) / weights.sum(axis=1)


def weighted_auc(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUC [W] of class probabilities [n, K] under each of the sample weights [W, n], one class against the rest, averaged over the
    classes that have weight (see `aam.scoring.classes`).

    NaN where fewer than two have. As scikit-learn's, ties counting a half, for all weights at once.
    """
    classes = [1] if probabilities.shape[1] == 2 else np.unique(truth)
    each = np.stack([_binary_auc(truth == k, probabilities[:, k], weights) for k in classes])
    known = np.isfinite(each)
    with np.errstate(invalid="ignore"):
        return np.where(known, each, 0.0).sum(axis=0) / known.sum(axis=0)


def _binary_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    members, weights = positive[order], weights[:, order]
    above = np.add.reduceat(weights * members, starts, axis=1)
    below = np.add.reduceat(weights * ~members, starts, axis=1)
    lower = below.cumsum(axis=1) - below / 2
    with np.errstate(invalid="ignore"):
        return (above * lower).sum(axis=1) / (above.sum(axis=1) * below.sum(axis=1))


# By the key of a measure.
WEIGHTED: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {"mae": weighted_mae, "auc": weighted_auc}
