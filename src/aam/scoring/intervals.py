"""How wide a prediction must be to be right as often as it says: conformal intervals and sets, calibrated on whole groups.

Scores (how wrong a prediction was) of samples that a model did not learn from give the width that covers a new sample with the
wanted probability, whatever the model (Vovk et al. 2005). Samples of one group are alike, so each group counts once, and a new
group is allowed for (pooled scores of two-layer data; Dunn, Wasserman & Ramdas 2023, doi 10.1080/01621459.2022.2060112).
"""

from __future__ import annotations

import numpy as np

COVERAGE = 0.9
# The coverages, in percent, that a fitted model keeps the thresholds of.
PERCENTS = range(50, 100)


def threshold(scores: np.ndarray, groups: np.ndarray, coverage: float = COVERAGE) -> float:
    """Score that a sample of a new group stays below with probability `coverage`; infinite where the groups are too few to tell.

    scores: [n] of samples of known truth; groups: their ids [n].
    """
    _, group, members = np.unique(groups, return_inverse=True, return_counts=True)
    # The new group's own share of the weight is where no score is known.
    weights = 1 / (members[group] * (len(members) + 1))
    order = np.argsort(scores, kind="stable")
    reached = np.flatnonzero(weights[order].cumsum() >= coverage - 1e-12)
    return float(scores[order[reached[0]]]) if len(reached) else float("inf")


def scores_of(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """How wrong predictions were [n]: absolute error, or 1 - the probability of the true class."""
    if predicted.ndim == 1:
        return np.abs(truth - predicted)
    return 1 - predicted[np.arange(len(truth)), truth]


def likely(probabilities: np.ndarray, limit: float) -> list[int]:
    """The set of classes of one sample, likeliest first, by its probabilities [K]: never empty."""
    order = (-probabilities).argsort()
    return [int(k) for place, k in enumerate(order) if place == 0 or 1 - probabilities[k] <= limit]


def thresholds(scores: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Thresholds by coverage in percent ("50" to "99"), of those that the groups are enough for; see `threshold`."""
    found = {str(percent): threshold(scores, groups, percent / 100) for percent in PERCENTS}
    return {percent: value for percent, value in found.items() if np.isfinite(value)}
