"""What makes a question easier or harder than it looks, known before a model is fitted: leaks, confounders, few groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aam.benchmark.asked import Asked
from aam.data.metadata import Metadata
from aam.errors import first_few
from aam.evaluation.compare import Outcome, mean_score
from aam.evaluation.findings import findings_of
from aam.learners.baselines import Baseline, by_confounder, trivial
from aam.study.folds import Fold, posed_within
from aam.study.problem import Problem

# Levels of a column that may explain an answer, and samples that each of them has at least.
_LEVELS, _SAMPLES = (2, 20), 5
# Gain over the trivial model from which a column is named: share of an error, difference in AUC.
_TELLS = 0.1
_NAMED = 4


def findings_before(asked: Asked) -> list[str]:
    """Sentences on a question that was read: each is a reason why its scores may mislead."""
    problem, folds = asked.problem, asked.folds[1.0]
    found = findings_of(Outcome(problem, folds, {}))
    columns = columns_that_tell(problem, folds, skipped=(problem.column, asked.question.samples.group_column))
    return found if columns is None else [*found, columns]


def columns_that_tell(problem: Problem, folds: Sequence[Fold], skipped: Sequence[str | None]) -> str | None:
    """Columns of the metadata whose levels alone tell held-out samples' answers, as the median or the shares of classes of each
    level of the training samples: models may recognise them and nothing else. skipped: columns that are not looked at.
    """
    metadata = problem.study.full_metadata
    if metadata is None:
        return None
    measure = problem.target.measure
    # Of many resamplings none is needed here.
    base = _score(problem, folds, Baseline(trivial))
    gains = {}
    for column in metadata.typed.columns:
        levels = None if column in skipped else _levels(metadata, column, problem.groups)
        if levels is not None:
            score = _score(replace(problem, confounder=levels), folds, Baseline(by_confounder))
            gains[str(column)] = (float(measure.gain(score, base)), score)
    told = sorted((name for name, (gain, _) in gains.items() if gain >= _TELLS), key=lambda name: -gains[name][0])
    if not told:
        return None
    names = [f"{name} ({measure.label} {gains[name][1]:.3g})" for name in told]
    return (
        f"Metadata that tell {problem.column} without microbes ({measure.label} {base:.3g} for the trivial prediction): "
        f"{first_few(names, _NAMED)}. Models may recognise these and nothing else, unless they follow from {problem.column}: name "
        "one as the confounder column to see its score beside theirs, or as the group column to see whether they predict across it."
    )


def _levels(metadata: Metadata, column: str, groups: np.ndarray | None) -> np.ndarray | None:
    """The level of each sample, of a column that has a few, each with samples of several groups; None for another."""
    texts = metadata.texts(column)
    levels = texts.where(texts.notna(), "").to_numpy().astype(str)
    names, sizes = np.unique(levels, return_counts=True)
    if not _LEVELS[0] <= len(names) <= _LEVELS[1] or sizes.min() < _SAMPLES:
        return None
    # The levels of groups that are held out would be new.
    if groups is not None and any(len(set(groups[levels == name])) < 2 for name in names):
        return None
    return levels


def _score(problem: Problem, folds: Sequence[Fold], learner: Baseline) -> float:
    posed = posed_within(problem, folds)
    said = [learner.fit(one, fold.train).predict(problem.study, fold.test) for one, fold in zip(posed, folds, strict=True)]
    return mean_score(Outcome(problem, folds, {"": said}), "")
