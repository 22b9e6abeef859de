"""What makes a score worth less than it looks: each finding one sentence that says what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from aam.data.metadata import text_values
from aam.errors import first_few
from aam.learners.baselines import Task
from aam.study.folds import Fold

# Cosine of square roots of shares (Bhattacharyya coefficient) from which two samples are as good as one.
_NEAR_DUPLICATE = 0.97
_FEW_IN_CLASS, _FEW_GROUPS = 20, 5
_SHARED_READS = 0.3
_GROUP_NAMES = re.compile(
    r"subject|host_id|patient|participant|individual|donor|animal|mouse|cage|family|household|study|cohort", re.IGNORECASE
)


def near_duplicates(task: Task, folds: Sequence[Fold]) -> str | None:
    """Tested samples that have a near copy among the training samples of the same fold."""
    roots = task.shares.sqrt()
    found = tested = 0
    for fold in folds:
        if fold.repeat == 0:
            alike = (roots[fold.test] @ roots[fold.train].T).max(axis=1).toarray().ravel()
            found += int((alike >= _NEAR_DUPLICATE).sum())
            tested += len(fold.test)
    if found < max(2, 0.01 * tested):
        return None
    advice = "Keep them together with `group_column`" if task.groups is None else "Name groups that hold both"
    return (
        f"{found} of {tested} tested samples have a near copy among the samples learned from: repeats, or neighbours of one "
        f"subject? {advice}, or the score says how well a sample is recognised, not predicted."
    )


def ungrouped_columns(metadata: pd.DataFrame, target: str) -> str | None:
    """Columns that look like subjects or studies, when no groups were named."""
    looks = []
    for column in metadata.columns:
        if column == target or not _GROUP_NAMES.search(str(column)):
            continue
        values = [value for value in text_values(metadata[column]) if value is not None]
        distinct = len(set(values))
        if 1 < distinct <= 0.9 * len(values):
            looks.append(f"{column} ({distinct} values)")
    if not looks:
        return None
    return (
        f"No `group_column` was named, and samples share values of {', '.join(looks[:4])}: if these are subjects or studies, "
        "the same one is learned from and tested, and the score is too good."
    )


def small_classes(task: Task, classes: Sequence[str]) -> str | None:
    """Classes of few samples or few groups."""
    if task.classes is None:
        return None
    few = []
    for number, name in enumerate(classes):
        members = task.truth == number
        groups = len(set(task.groups[members])) if task.groups is not None else None
        if members.sum() < _FEW_IN_CLASS or (groups is not None and groups < _FEW_GROUPS):
            few.append(f"{name} ({int(members.sum())} samples{f' of {groups} groups' if groups is not None else ''})")
    return f"Too few to learn or score well: {', '.join(few)}." if few else None


def few_groups(task: Task, folds: Sequence[Fold]) -> str | None:
    """Tested groups so few that the interval says little."""
    if task.groups is None:
        return None
    number = len({group for fold in folds for group in task.groups[fold.test]})
    if number >= 3 * _FEW_GROUPS:
        return None
    return f"{number} groups are tested only: folds differ much, and the intervals are rough or unknown."


def explained_by_confounder(column: str, metric: str, best: float, confounded: float, trivial: float) -> str | None:
    """Whether knowing the confounder alone is nearly as good as the best model, by the scores of both and of the trivial one."""
    sign = 1 if metric == "mae" else -1
    helps = sign * (trivial - confounded) > 0.05 * abs(trivial)
    if not helps or sign * (confounded - best) > 0.02 * best:
        return None
    return (
        f"{column} alone explains the target as well as the best model ({metric} {confounded:.3g} against {best:.3g}): "
        f"what is learned may be {column}. Test across it with `group_column={column}`."
    )


def other_asvs(task: Task, folds: Sequence[Fold]) -> str | None:
    """Reads of the tested samples on ASVs that no sample learned from has."""
    share = min(
        float(task.shares[fold.test][:, np.unique(task.counts[fold.train].indices)].sum() / len(fold.test)) for fold in folds
    )
    if share >= _SHARED_READS:
        return None
    return (
        f"Only {100 * share:.0f} % of the reads of tested samples are on ASVs that the samples learned from have: models of ASV "
        "identities cannot work here. Were they cut to other lengths or regions?"
    )


def shared_groups(task: Task, folds: Sequence[Fold]) -> str | None:
    """Groups that are learned from and tested in one fold, which only a table that was given for testing can do."""
    if task.groups is None:
        return None
    shared = {str(group) for fold in folds for group in set(task.groups[fold.train]) & set(task.groups[fold.test])}
    if not shared:
        return None
    return f"{len(shared)} groups are in both tables ({first_few(sorted(shared))}): they are recognised, not predicted."
