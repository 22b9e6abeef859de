"""What makes a score worth less than it looks: each finding is a sentence for the report that says what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from aam.data.metadata import Metadata
from aam.data.missing import by_text, means_missing, suspects, with_samples
from aam.data.numbers import finite_number
from aam.errors import counted, first_few
from aam.scoring.measures import Measure
from aam.study.folds import Fold, class_size, has_one_group
from aam.study.problem import Problem

# Cosine of square roots of shares (Bhattacharyya coefficient) from which two samples are as good as one.
_NEAR_DUPLICATE = 0.97
_FEW_IN_CLASS, _FEW_GROUPS = 20, 5
_SHARED_READS = 0.3
_GROUP_NAMES = re.compile(
    r"subject|host_id|patient|participant|individual|donor|animal|mouse|cage|family|household|study|cohort", re.IGNORECASE
)
# What ends so names a subject or study, also where the names look like numbers with decimals (1.10).
_NAMES_A_GROUP = re.compile(rf"({_GROUP_NAMES.pattern})s?[ _.-]?(id|name|code|number|no|nr)?$", re.IGNORECASE)


def near_duplicates(problem: Problem, folds: Sequence[Fold]) -> str | None:
    """Held-out samples that have a near copy among the training samples of the same fold."""
    roots = problem.study.shares.sqrt()
    found = held_out = 0
    for fold in folds:
        if fold.repeat == 0:
            alike = (roots[fold.test] @ roots[fold.train].T).max(axis=1).toarray().ravel()
            found += int((alike >= _NEAR_DUPLICATE).sum())
            held_out += len(fold.test)
    if found < max(2, 0.01 * held_out):
        return None
    advice = "Name a group column that keeps such samples" if problem.groups is None else "Choose groups that keep such samples"
    return (
        f"{found} of {held_out} held-out samples have a near copy among the training samples, such as a repeat or the next sample "
        f"of the same subject. {advice} in one fold; otherwise the scores say how well a model recognises samples, not how well it "
        "predicts new ones."
    )


def no_sequences(problem: Problem) -> str | None:
    """Features that are known by their IDs alone."""
    if problem.study.sequences is not None:
        return None
    without = ["AAM's members that read sequences", *(["nearest neighbours by UniFrac"] if problem.study.distance is None else [])]
    return (
        f"The features have no sequences and are known by their IDs: left out are {' and '.join(without)}. With them AAM may do "
        "better."
    )


def ungrouped_columns(metadata: Metadata, target: str) -> str | None:
    """Columns that look like subjects or studies, when no groups were named."""
    looks = []
    for column in metadata.typed.columns:
        if column == target or not _GROUP_NAMES.search(str(column)):
            continue
        values = [value for value in metadata.texts(column) if value is not None]
        if not _NAMES_A_GROUP.search(str(column)) and _are_measured(values):
            continue
        distinct = len(set(values))
        if 1 < distinct <= 0.9 * len(values):
            looks.append(f"{column} ({distinct} values)")
    if not looks:
        return None
    return (
        f"No group column was named, and samples share values of {', '.join(looks[:4])}. If these are subjects or studies, models "
        "are trained on some samples of a subject and tested on others, and the scores are too good."
    )


def _are_measured(values: Sequence[str]) -> bool:
    """Whether values, but for words for missing ones, are numbers, some with decimals, as of a weight or a concentration."""
    numbers = [finite_number(value) for value in values if not means_missing(value)]
    return None not in numbers and any(number is not None and not number.is_integer() for number in numbers)


def words_for_missing(problem: Problem) -> str | None:
    """Classes, groups and levels of the confounder that may be samples without a value."""
    ids, found = problem.study.table.sample_ids, []
    for labels, of in ((problem.labels, "class"), (problem.groups, "group"), (problem.confounder, "level of the confounder")):
        words = {} if labels is None else suspects(by_text(labels, ids))
        # An unknown subject of one sample is its own group.
        words = {word: members for word, members in words.items() if of != "group" or len(members) > 1}
        found += [f"{of} {with_samples({word: members}, named=0)}" for word, members in words.items()]
    if not found:
        return None
    return (
        f"What may mean that a value is missing counts as a value: {', '.join(found)}. If it does mean that, name it as a word for "
        "missing values and leave its samples out: scores are now also of samples of which this is not known."
    )


def small_classes(problem: Problem) -> str | None:
    """Classes of few samples or few groups."""
    few: list[str] = []
    if (labels := problem.labels) is None:
        return None
    for number, name in enumerate(problem.target.classes):
        members = problem.truth == number
        groups = len(set(problem.groups[members])) if problem.groups is not None else None
        if members.sum() < _FEW_IN_CLASS or (groups is not None and groups < _FEW_GROUPS):
            few.append(class_size(name, labels, problem.groups))
    return f"Classes with too few samples to learn or score well: {', '.join(few)}." if few else None


def few_groups(problem: Problem, folds: Sequence[Fold]) -> str | None:
    """Held-out groups so few that the interval says little."""
    if problem.groups is None:
        return None
    number = len({group for fold in folds for group in problem.groups[fold.test]})
    if number >= 3 * _FEW_GROUPS:
        return None
    return f"The held-out groups are few ({number}): scores differ much between folds, and intervals are rough or unknown."


def one_group_learned(problem: Problem, folds: Sequence[Fold]) -> str | None:
    """Folds whose training samples are of one group."""
    alone = [fold for fold in folds if has_one_group(problem, fold)]
    if not alone or problem.groups is None:
        return None
    names = sorted({str(problem.groups[fold.train[0]]) for fold in alone})
    return (
        f"In {counted(len(alone), 'fold')} all training samples are of one group ({first_few(names)}): models learn from it "
        "alone, and their settings were chosen on other samples of it. More groups would tell more."
    )


def explained_by_confounder(column: str, measure: Measure, best: float, confounded: float, trivial: float) -> str | None:
    """Whether knowing the confounder alone is nearly as good as the best model, by the scores of both and of the trivial one."""
    sign = -1 if measure.higher_is_better else 1
    helps = sign * (trivial - confounded) > 0.05 * abs(trivial)
    if not helps or sign * (confounded - best) > 0.02 * best:
        return None
    return (
        f"{column} alone explains the target as well as the best model ({measure.label} {confounded:.3g} against {best:.3g}): the "
        f"models may recognise {column} and nothing else. Make {column} the group column to see whether they predict across it."
    )


def other_asvs(problem: Problem, folds: Sequence[Fold]) -> str | None:
    """Reads of the held-out samples on ASVs that no training sample has."""
    shares, counts = problem.study.shares, problem.study.counts
    share = min(float(shares[fold.test][:, np.unique(counts[fold.train].indices)].sum() / len(fold.test)) for fold in folds)
    if share >= _SHARED_READS:
        return None
    return (
        f"Only {100 * share:.0f} % of the reads of held-out samples are of ASVs that the training samples have: models that know "
        "ASVs by their identity cannot work here. Check whether the sequences were cut to other lengths or regions."
    )


def shared_groups(problem: Problem, folds: Sequence[Fold]) -> str | None:
    """Groups with training and held-out samples in one fold, which only a table that was given for testing can have."""
    if problem.groups is None:
        return None
    shared = {str(group) for fold in folds for group in set(problem.groups[fold.train]) & set(problem.groups[fold.test])}
    if not shared:
        return None
    return (
        f"Groups that are in both tables: {len(shared)} ({first_few(sorted(shared))}). Models may recognise them, and scores are "
        "not those of new groups."
    )
