"""Models beside each other on identical folds: scores, and differences with intervals from resampled groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aam.scoring.scores import class_scores, regression_scores
from aam.study.folds import Fold

_RESAMPLES = 2000
# With fewer groups than this an interval would say nothing.
_FEWEST_UNITS = 5


@dataclass(frozen=True, eq=False)
class Outcome:
    """What is known after an evaluation.

    truth: numbers [N], or class ids below len(classes); unit: group of each sample as an id from 0, or its own number, int64 [N];
    group_names: by that id, or empty; predictions: by model, what it said of `fold.test` of each fold, in the order of `folds`.
    """

    truth: np.ndarray
    classes: tuple[str, ...]
    unit: np.ndarray
    group_names: Sequence[str]
    folds: Sequence[Fold]
    predictions: Mapping[str, Sequence[np.ndarray]]

    @property
    def metric(self) -> str:
        """What models are compared by."""
        return "auc" if self.classes else "mae"

    @property
    def repeats(self) -> int:
        return 1 + max(fold.repeat for fold in self.folds)

    @cached_property
    def blocks(self) -> list[list[int]]:
        """Numbers of the folds that are scored together: each alone, or all of a repeat where a fold lacks a class, which has no
        AUC.
        """
        folds = range(len(self.folds))
        if not self.classes or all(len(set(self.truth[fold.test])) == len(self.classes) for fold in self.folds):
            return [[number] for number in folds]
        return [[number for number in folds if self.folds[number].repeat == repeat] for repeat in range(self.repeats)]

    def said(self, model: str, block: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Rows tested in the folds of a block, and what the model said of them."""
        rows = np.concatenate([self.folds[number].test for number in block])
        return rows, np.concatenate([self.predictions[model][number] for number in block])


def block_scores(outcome: Outcome, model: str) -> list[dict[str, float]]:
    """All scores of a model on each block."""
    score = class_scores if outcome.classes else regression_scores
    found = []
    for block in outcome.blocks:
        rows, said = outcome.said(model, block)
        found.append(score(outcome.truth[rows], said, outcome.truth[outcome.folds[block[0]].train]))
    return found


def repeat_means(outcome: Outcome, values: Sequence[float]) -> np.ndarray:
    """Mean over the blocks of each repeat [R], each counting as many times as it has tested samples."""
    repeat = np.array([outcome.folds[block[0]].repeat for block in outcome.blocks])
    sizes = np.array([sum(len(outcome.folds[number].test) for number in block) for block in outcome.blocks])
    return np.array([np.average(np.array(values)[repeat == k], weights=sizes[repeat == k]) for k in range(outcome.repeats)])


def weighted_mae(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean absolute error [W] under each of the sample weights [W, n]; NaN where they are all 0."""
    with np.errstate(invalid="ignore"):
        return weights @ np.abs(truth - predicted) / weights.sum(axis=1)


def weighted_auc(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUC [W] of class probabilities [n, K] under each of the sample weights [W, n], one class against the rest, averaged.

    NaN where a class has no weight. As scikit-learn's, ties counting a half, for all weights at once.
    """
    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    return np.mean([_binary_auc(truth == k, probabilities[:, k], weights) for k in classes], axis=0)


def _binary_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    members, weights = positive[order], weights[:, order]
    above = np.add.reduceat(weights * members, starts, axis=1)
    below = np.add.reduceat(weights * ~members, starts, axis=1)
    lower = below.cumsum(axis=1) - below / 2
    with np.errstate(invalid="ignore"):
        return (above * lower).sum(axis=1) / (above.sum(axis=1) * below.sum(axis=1))


def resampled_scores(outcome: Outcome, model: str, seed: int = 0) -> np.ndarray:
    """The metric by which models are compared, of samples whose groups are drawn again and again [W].

    Blocks count by the samples that were drawn of them. The same draws for every model: differences are paired. NaN for fewer than
    5 groups.
    """
    tested = np.unique(np.concatenate([outcome.unit[fold.test] for fold in outcome.folds]))
    if len(tested) < _FEWEST_UNITS:
        return np.full(_RESAMPLES, np.nan)
    drawn = np.zeros((_RESAMPLES, int(outcome.unit.max()) + 1))
    drawn[:, tested] = np.random.default_rng(seed).multinomial(len(tested), np.full(len(tested), 1 / len(tested)), size=_RESAMPLES)
    score = weighted_auc if outcome.classes else weighted_mae
    scores, sizes = [], []
    for block in outcome.blocks:
        rows, said = outcome.said(model, block)
        weights = drawn[:, outcome.unit[rows]]
        scores.append(score(outcome.truth[rows], said, weights))
        sizes.append(weights.sum(axis=1))
    found, counted = np.stack(scores), np.stack(sizes)
    counted[~np.isfinite(found)] = 0
    with np.errstate(invalid="ignore"):
        return (np.nan_to_num(found) * counted).sum(axis=0) / counted.sum(axis=0)


@dataclass(frozen=True)
class Summary:
    """One model: mean over repeats of each score, their standard deviation over repeats (NaN for one), the 95 % interval of the
    metric, and the gain over the best simple model with its interval: the share of the error that is taken away, or for AUC the
    difference.
    """

    model: str
    scores: dict[str, float]
    deviations: dict[str, float]
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float


def best_of(outcome: Outcome, models: Sequence[str]) -> str:
    """The model with the best mean of the metric."""
    sign = -1 if outcome.classes else 1
    return min(models, key=lambda model: sign * mean_score(outcome, model))


def mean_score(outcome: Outcome, model: str) -> float:
    """Mean over folds, then over repeats, of the metric by which models are compared."""
    return float(repeat_means(outcome, [scores[outcome.metric] for scores in block_scores(outcome, model)]).mean())


def gain(outcome: Outcome, score: np.ndarray | float, reference: np.ndarray | float) -> np.ndarray:
    """How much better a score is than a reference: share of the error taken away, or difference of AUC."""
    if outcome.classes:
        return np.asarray(score) - reference
    # A reference without error cannot be bettered.
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.asarray(score) / reference


def _interval(values: np.ndarray) -> tuple[float, float]:
    """What 95 % of the values are between; NaN where there are none."""
    known = values[np.isfinite(values)]
    return (float(np.percentile(known, 2.5)), float(np.percentile(known, 97.5))) if len(known) else (float("nan"), float("nan"))


def summarise(outcome: Outcome, simple: Sequence[str]) -> list[Summary]:
    """All models, each compared with the best of the `simple` ones; that one with the best of the others of them."""
    best = best_of(outcome, simple)
    second = best_of(outcome, [model for model in simple if model != best] or [best])
    resampled = {model: resampled_scores(outcome, model) for model in outcome.predictions}
    summaries = []
    for model in outcome.predictions:
        scored = block_scores(outcome, model)
        repeats = {name: repeat_means(outcome, [scores[name] for scores in scored]) for name in scored[0]}
        means = {name: float(values.mean()) for name, values in repeats.items()}
        deviations = {name: float(values.std(ddof=1)) if len(values) > 1 else float("nan") for name, values in repeats.items()}
        reference = second if model == best else best
        low, high = _interval(resampled[model])
        gain_low, gain_high = _interval(gain(outcome, resampled[model], resampled[reference]))
        gained = float(gain(outcome, means[outcome.metric], mean_score(outcome, reference)))
        summaries.append(Summary(model, means, deviations, low, high, gained, gain_low, gain_high))
    return summaries
