"""How wide a prediction must be to be right as often as it says: conformal intervals and sets, calibrated on whole groups.

Scores (how wrong a prediction was) of samples that a model did not learn from give the width that covers a new sample with the
wanted probability, whatever the model (Vovk et al. 2005). Samples of one group are alike, so each group counts once, and a new
group is allowed for (pooled scores of two-layer data; Dunn, Wasserman & Ramdas 2023, doi 10.1080/01621459.2022.2060112).
"""

from __future__ import annotations

import numpy as np

from aam.evaluation.compare import Outcome

COVERAGE = 0.9


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


def fold_thresholds(outcome: Outcome, model: str, coverage: float = COVERAGE) -> list[float]:
    """For each fold the threshold from the tested samples of the other folds of its repeat (cross-conformal; Vovk 2015).

    Infinite where there is no other.
    """
    predictions = outcome.predictions[model]
    scores = [scores_of(outcome.truth[fold.test], said) for fold, said in zip(outcome.folds, predictions, strict=True)]
    found = []
    for fold in outcome.folds:
        others = [number for number, other in enumerate(outcome.folds) if other.repeat == fold.repeat and other is not fold]
        if not others:
            found.append(float("inf"))
            continue
        rows = np.concatenate([outcome.folds[number].test for number in others])
        found.append(threshold(np.concatenate([scores[number] for number in others]), outcome.unit[rows], coverage))
    return found


def covered(outcome: Outcome, model: str, coverage: float = COVERAGE) -> tuple[float, float]:
    """How often the truth was in the interval or set, and the mean width: in the target's unit, or in classes.

    Means over the tested samples of each group, then over groups: what a sample of a new group may expect. Infinitely wide where
    too few groups were known.
    """
    inside, width, unit = [], [], []
    limits = fold_thresholds(outcome, model, coverage)
    for fold, said, limit in zip(outcome.folds, outcome.predictions[model], limits, strict=True):
        within = scores_of(outcome.truth[fold.test], said) <= limit
        if outcome.classes:
            within |= said.argmax(axis=1) == outcome.truth[fold.test]
        inside.append(within)
        counted = np.full(len(said), 2 * limit)
        if outcome.classes and np.isfinite(limit):
            counted = (1 - said <= limit).sum(axis=1).clip(min=1)
        width.append(counted)
        unit.append(outcome.unit[fold.test])
    _, group, members = np.unique(np.concatenate(unit), return_inverse=True, return_counts=True)
    share = 1 / (members[group] * len(members))
    return float(np.concatenate(inside) @ share), float(np.concatenate(width) @ share)
