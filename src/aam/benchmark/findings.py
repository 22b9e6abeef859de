"""What makes a question easier or harder than it looks, known before a model is fitted: leaks, confounders, few groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from scipy.stats import norm

from aam.benchmark.asked import Asked
from aam.data.metadata import Metadata
from aam.errors import first_few
from aam.evaluation.compare import Outcome, mean_score, resampled_scores
from aam.evaluation.findings import findings_of
from aam.learners.baselines import Baseline, by_confounder, trivial
from aam.study.folds import Fold, posed_within
from aam.study.problem import Problem

# Levels of a column that may explain an answer, samples that each of them has at least, and the parts of a number with more values.
_LEVELS, _SAMPLES, _PARTS = (2, 20), 5, 5
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
    level of the training samples, by more than chance over resampled groups after as many looks (Bonferroni): models may recognise
    them and nothing else. skipped: columns that are not looked at.
    """
    metadata = problem.study.full_metadata
    if metadata is None:
        return None
    measure = problem.target.measure
    looked = {str(column): _levels(metadata, column, problem.groups) for column in metadata.typed.columns if column not in skipped}
    levels = {column: found for column, found in looked.items() if found is not None}
    outcome = Outcome(
        problem,
        folds,
        {
            "": _said(problem, folds, Baseline(trivial)),
            **{
                column: _said(replace(problem, confounder=found), folds, Baseline(by_confounder))
                for column, found in levels.items()
            },
        },
    )
    base, drawn = mean_score(outcome, ""), resampled_scores(outcome, "")
    # As many looks as there are columns.
    doubt = float(norm.isf(0.025 / max(1, len(levels))))
    gains = {}
    for column in levels:
        gain = float(measure.gain(score := mean_score(outcome, column), base))
        spread = float(np.nanstd(measure.gain(resampled_scores(outcome, column), drawn)))
        if gain >= _TELLS and gain > doubt * spread:
            gains[column] = (gain, score)
    told = sorted(gains, key=lambda name: -gains[name][0])
    if not told:
        return None
    names = [f"{name} ({measure.label} {gains[name][1]:.3g})" for name in told]
    return (
        f"Metadata that tell {problem.column} without microbes ({measure.label} {base:.3g} for the trivial prediction): "
        f"{first_few(names, _NAMED)}. Models may recognise these and nothing else, unless they follow from {problem.column}: name "
        "one as the confounder column to see its score beside theirs, or as the group column to see whether they predict across it."
    )


def _levels(metadata: Metadata, column: str, groups: np.ndarray | None) -> np.ndarray | None:
    """The level of each sample: of a column that has a few, each with samples of several groups; of a number with many values a
    fifth of the samples. None for another column.
    """
    values = metadata.typed[column]
    texts = metadata.texts(column)
    if is_numeric_dtype(values) and values.nunique() > _LEVELS[1]:
        texts = pd.qcut(values, _PARTS, labels=False, duplicates="drop").astype("string").astype(object)
    levels = texts.where(texts.notna(), "").to_numpy().astype(str)
    names, sizes = np.unique(levels, return_counts=True)
    if not _LEVELS[0] <= len(names) <= _LEVELS[1] or sizes.min() < _SAMPLES:
        return None
    # The levels of groups that are held out would be new.
    if groups is not None and any(len(set(groups[levels == name])) < 2 for name in names):
        return None
    return levels


def _said(problem: Problem, folds: Sequence[Fold], learner: Baseline) -> list[np.ndarray]:
    posed = posed_within(problem, folds)
    return [learner.fit(one, fold.train).predict(problem.study, fold.test) for one, fold in zip(posed, folds, strict=True)]
