"""Prediction intervals of an evaluation: how wide they are, and how often they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from aam.evaluation.compare import Outcome
from aam.scoring.bands import Band, repeated
from aam.scoring.intervals import COVERAGE, scores_of, threshold
from aam.scoring.resampling import Groups
from aam.study.folds import Fold
from aam.study.targets import Kind, RegressionTarget

# Whether the truth [n] is in the interval or set of a prediction, and its width, [n] each.
Inside = Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]


def fold_quantiles(outcome: Outcome, model: str) -> list[np.ndarray | None]:
    """For each fold the quantiles [n, Q] of its held-out samples, around what the model predicts, from its errors on the held-out
    samples of the other folds of the repeat; None where none were asked for, or the groups of these are too few.
    """
    target, said = outcome.problem.target, outcome.predictions[model]
    if not isinstance(target, RegressionTarget) or not target.quantiles:
        return [None] * len(outcome.folds)
    found: list[np.ndarray | None] = []
    for fold, predicted in zip(outcome.folds, said, strict=True):
        others = _others(outcome, fold)
        rows = np.concatenate([np.zeros(0, dtype=np.int64), *(outcome.folds[number].test for number in others)])
        known = repeated(np.concatenate([np.zeros(0), *(said[number] for number in others)]), target.quantiles)
        band = Band.fit(outcome.truth[rows], known, outcome.unit[rows], target.quantiles) if len(rows) else None
        found.append(None if band is None else target.within(band.around(predicted)))
    return found


def band_covered(outcome: Outcome, model: str) -> tuple[float, float] | None:
    """How often the truth was between the outermost quantiles, and their mean distance; means as in `covered`. None where they are
    not known in every fold.
    """
    found = fold_quantiles(outcome, model)
    known = [part for part in found if part is not None]
    if len(known) < len(found):
        return None
    rows = np.concatenate([fold.test for fold in outcome.folds])
    ends, truth = np.concatenate(known), outcome.truth[rows]
    inside = (ends[:, 0] <= truth) & (truth <= ends[:, -1])
    share = Groups.named(outcome.unit[rows], len(rows)).weights()
    return float(inside @ share), float((ends[:, -1] - ends[:, 0]) @ share)


def _others(outcome: Outcome, fold: Fold) -> list[int]:
    """Numbers of the other folds of a fold's repeat."""
    return [number for number, other in enumerate(outcome.folds) if other.repeat == fold.repeat and other is not fold]


def fold_thresholds(outcome: Outcome, model: str, coverage: float = COVERAGE) -> list[float]:
    """For each fold the threshold from the held-out samples of the other folds of its repeat (cross-conformal; Vovk 2015).

    Infinite where there is no other.
    """
    predictions = outcome.predictions[model]
    scores = [scores_of(outcome.truth[fold.test], said) for fold, said in zip(outcome.folds, predictions, strict=True)]
    found = []
    for fold in outcome.folds:
        others = _others(outcome, fold)
        if not others:
            found.append(float("inf"))
            continue
        rows = np.concatenate([outcome.folds[number].test for number in others])
        found.append(threshold(np.concatenate([scores[number] for number in others]), outcome.unit[rows], coverage))
    return found


def _in_intervals(truth: np.ndarray, said: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    return scores_of(truth, said) <= limit, np.full(len(said), 2 * limit)


def _in_sets(truth: np.ndarray, said: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    sets = sets_of(said, limit)
    return sets[np.arange(len(truth)), truth], sets.sum(axis=1) if np.isfinite(limit) else np.full(len(said), limit)


def sets_of(said: np.ndarray, limit: float) -> np.ndarray:
    """Whether each class is in the set of a sample, of probabilities [n, K]: never none, as the likeliest class is, bool [n, K]."""
    return (1 - said <= limit) | (np.arange(said.shape[1]) == said.argmax(axis=1)[:, None])


_INSIDE: Mapping[Kind, Inside] = {"regression": _in_intervals, "classification": _in_sets}


def covered(outcome: Outcome, model: str, coverage: float = COVERAGE) -> tuple[float, float]:
    """How often the truth was in the interval or set, and the mean width: in the target's unit, or in classes.

    Means over the held-out samples of each group, then over groups: what a sample of a new group may expect. Infinitely wide where
    too few groups were known.
    """
    inside, width = zip(*in_folds(outcome, model, coverage), strict=True)
    rows = np.concatenate([fold.test for fold in outcome.folds])
    share = Groups.named(outcome.unit[rows], len(rows)).weights()
    return float(np.concatenate(inside) @ share), float(np.concatenate(width) @ share)


def in_folds(outcome: Outcome, model: str, coverage: float = COVERAGE) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each fold whether the truths of its held-out samples are in the intervals or sets of a model, and the widths, [n]."""
    inside = _INSIDE[outcome.problem.target.kind]
    limits = fold_thresholds(outcome, model, coverage)
    parts = zip(outcome.folds, outcome.predictions[model], limits, strict=True)
    return [inside(outcome.truth[fold.test], said, limit) for fold, said, limit in parts]
