"""Models beside each other on identical folds: scores, and differences with intervals from resampled groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aam.scoring.measures import Measure
from aam.scoring.resampling import interval, resampled, with_replacement
from aam.scoring.weighted import WEIGHTED
from aam.study.folds import Fold
from aam.study.problem import Problem

_RESAMPLES = 2000
# With fewer groups than this an interval would say nothing.
_FEWEST_UNITS = 5


@dataclass(frozen=True, eq=False)
class Outcome:
    """What is known after an evaluation.

    predictions: by model, in the order of `folds`, of the held-out samples `fold.test` of each fold: numbers [n], or class
    probabilities [n, K].
    """

    problem: Problem
    folds: Sequence[Fold]
    predictions: Mapping[str, Sequence[np.ndarray]]

    @property
    def truth(self) -> np.ndarray:
        """Numbers, or class ids [N]."""
        return self.problem.truth

    @property
    def measure(self) -> Measure:
        """What models are compared by."""
        return self.problem.target.measure

    @cached_property
    def unit(self) -> np.ndarray:
        """Group of each sample as an id from 0, or its own number where samples have no groups, int64 [N]."""
        if self.problem.groups is None:
            return np.arange(len(self.problem))
        return np.unique(self.problem.groups, return_inverse=True)[1]

    @cached_property
    def group_names(self) -> list[str]:
        """Names of the groups by that id; empty where samples have none."""
        return [] if self.problem.groups is None else [str(name) for name in np.unique(self.problem.groups)]

    @property
    def grouped(self) -> bool:
        """Whether some samples share a group."""
        return 0 < len(self.group_names) < len(self.unit)

    @property
    def repeats(self) -> int:
        return 1 + max(fold.repeat for fold in self.folds)

    @cached_property
    def blocks(self) -> list[list[int]]:
        """Numbers of the folds that are scored together: each alone, or all of a repeat where a fold lacks a class, which has no
        AUC.
        """
        folds, classes = range(len(self.folds)), len(self.problem.target.classes)
        if all(len(set(self.truth[fold.test])) >= classes for fold in self.folds):
            return [[number] for number in folds]
        return [[number for number in folds if self.folds[number].repeat == repeat] for repeat in range(self.repeats)]

    def together(self, model: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, truth and predictions of all held-out samples of the first repeat."""
        first = [(fold, said) for fold, said in zip(self.folds, self.predictions[model], strict=True) if fold.repeat == 0]
        rows = np.concatenate([fold.test for fold, _ in first])
        return rows, self.truth[rows], np.concatenate([said for _, said in first])

    def said(self, model: str, block: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Rows held out in the folds of a block, and what the model predicted for them."""
        rows = np.concatenate([self.folds[number].test for number in block])
        return rows, np.concatenate([self.predictions[model][number] for number in block])


def block_scores(outcome: Outcome, model: str) -> list[dict[str, float]]:
    """All scores of a model on each block."""
    score, found = outcome.problem.target.scores, []
    for block in outcome.blocks:
        rows, said = outcome.said(model, block)
        found.append(score(outcome.truth[rows], said, outcome.truth[outcome.folds[block[0]].train]))
    return found


def repeat_means(outcome: Outcome, values: Sequence[float]) -> np.ndarray:
    """Mean over the blocks of each repeat [R], each counting as many times as it has held-out samples."""
    repeat = np.array([outcome.folds[block[0]].repeat for block in outcome.blocks])
    sizes = np.array([sum(len(outcome.folds[number].test) for number in block) for block in outcome.blocks])
    return np.array([np.average(np.array(values)[repeat == k], weights=sizes[repeat == k]) for k in range(outcome.repeats)])


def resampled_scores(outcome: Outcome, model: str, seed: int = 0) -> np.ndarray:
    """The measure by which models are compared, of samples whose groups are resampled [W].

    Blocks count by the samples that were drawn of them. The same draws for every model: differences are paired. NaN for fewer than
    5 groups.
    """
    blocks = [outcome.said(model, block) for block in outcome.blocks]
    units = outcome.unit[np.concatenate([rows for rows, _ in blocks])]
    if len(np.unique(units)) < _FEWEST_UNITS:
        return np.full(_RESAMPLES, np.nan)
    score, ends = WEIGHTED[outcome.measure.key], np.cumsum([len(rows) for rows, _ in blocks])[:-1]

    def mean(drawn: np.ndarray) -> np.ndarray:
        weights = np.split(drawn, ends, axis=1)
        found = np.stack([score(outcome.truth[rows], said, part) for (rows, said), part in zip(blocks, weights, strict=True)])
        counted = np.where(np.isfinite(found), [part.sum(axis=1) for part in weights], 0)
        with np.errstate(invalid="ignore"):
            return (np.nan_to_num(found) * counted).sum(axis=0) / counted.sum(axis=0)

    return resampled(units, mean, with_replacement, _RESAMPLES, seed)


@dataclass(frozen=True)
class Summary:
    """One model: mean over repeats of each score, their standard deviation over repeats (NaN for one), the 95 % interval of the
    measure, and the gain over the best simple model with its interval (see `Measure.gain`).
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
    """The model with the best mean of the measure."""
    return outcome.measure.best({model: mean_score(outcome, model) for model in models})


def mean_score(outcome: Outcome, model: str) -> float:
    """Mean over folds, then over repeats, of the measure by which models are compared."""
    return float(repeat_means(outcome, [scores[outcome.measure.key] for scores in block_scores(outcome, model)]).mean())


def summarise(outcome: Outcome, simple: Sequence[str]) -> list[Summary]:
    """All models, each compared with the best of the `simple` ones; that one with the best of the others of them."""
    best = best_of(outcome, simple)
    second = best_of(outcome, [model for model in simple if model != best] or [best])
    drawn = {model: resampled_scores(outcome, model) for model in outcome.predictions}
    summaries = []
    for model in outcome.predictions:
        scored = block_scores(outcome, model)
        repeats = {name: repeat_means(outcome, [scores[name] for scores in scored]) for name in scored[0]}
        means = {name: float(values.mean()) for name, values in repeats.items()}
        deviations = {name: float(values.std(ddof=1)) if len(values) > 1 else float("nan") for name, values in repeats.items()}
        reference = second if model == best else best
        low, high = interval(drawn[model])
        gain_low, gain_high = interval(outcome.measure.gain(drawn[model], drawn[reference]))
        gained = float(outcome.measure.gain(means[outcome.measure.key], mean_score(outcome, reference)))
        summaries.append(Summary(model, means, deviations, low, high, gained, gain_low, gain_high))
    return summaries
