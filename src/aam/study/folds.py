"""Which samples are tested when: every model of an evaluation sees the same folds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import KFold, LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold

from aam.errors import InputError, first_few
from aam.study.problem import Problem

# Parts of a training part, to choose by.
INNER_FOLDS = 3


@dataclass(frozen=True, eq=False)
class Fold:
    """Sorted rows, int64, of the training samples and of the test samples; repeat and number count from 0."""

    repeat: int
    number: int
    train: np.ndarray
    test: np.ndarray

    @property
    def name(self) -> str:
        return f"repeat {self.repeat + 1}, fold {self.number + 1}"


def make_folds(
    n: int, number: int, repeats: int, seed: int, *, groups: np.ndarray | None = None, labels: np.ndarray | None = None
) -> list[Fold]:
    """`number` folds of n samples, `repeats` times: groups [n] stay whole, classes of labels [n] are spread evenly.

    InputError when there are fewer groups (or samples) than folds, or a class is missing from a training part.
    """
    units = n if groups is None else len(set(groups))
    if units < number:
        raise InputError(f"`folds={number}`: there are {units} {'samples' if groups is None else 'groups'} only")
    folds = []
    for repeat in range(repeats):
        splitter = _splitter(number, seed + repeat, groups is not None, labels is not None)
        target = np.zeros(n) if labels is None else labels
        for fold, (train, test) in enumerate(splitter.split(np.zeros(n), target, groups)):
            folds.append(Fold(repeat, fold, train, test))
    _require_classes(folds, labels)
    return folds


def leave_one_group_out(groups: np.ndarray, labels: np.ndarray | None = None) -> list[Fold]:
    """A fold for each group, tested once. InputError for one group only, or a class that occurs in one group only."""
    if len(set(groups)) < 2:
        raise InputError(f"`leave_one_group_out`: there is one group only, {groups[0]}")
    splits = LeaveOneGroupOut().split(groups, groups=groups)
    folds = [Fold(0, fold, train, test) for fold, (train, test) in enumerate(splits)]
    _require_classes(folds, labels)
    return folds


def one_fold(learned: int, n: int, labels: np.ndarray | None = None) -> list[Fold]:
    """The first `learned` of n samples for training, the others for testing. InputError for a class that only the others have."""
    folds = [Fold(0, 0, np.arange(learned), np.arange(learned, n))]
    _require_classes(folds, labels)
    return folds


def require_learnable(problem: Problem, folds: Sequence[Fold], seed: int) -> None:
    """InputError where all samples have one value, a training part cannot be parted once more to choose by, or a class is never
    tested.
    """
    labels = problem.labels
    if labels is None and np.ptp(problem.truth) == 0:
        raise InputError(f"`metadata_column={problem.column}`: is {problem.truth[0]:g} in all samples: there is nothing to learn")
    for fold in folds:
        if problem.groups is not None and len(set(problem.groups[fold.train])) < 2:
            group = problem.groups[fold.train][0]
            raise InputError(f"{fold.name}: the training samples have one group only, {group}; nothing can be chosen by it")
        if labels is None:
            continue
        try:
            parts = inner_folds(fold.train, INNER_FOLDS, seed, groups=problem.groups, labels=labels)
        except InputError as error:
            raise InputError(f"{fold.name}: {error}") from error
        for learn, _ in parts:
            if missing := sorted(set(labels) - set(labels[fold.train[learn]])):
                raise InputError(
                    f"{fold.name}: class {first_few(missing)} is in too few samples or groups to be learned and chosen by; "
                    "leave it out with `where`"
                )
    if labels is not None and (never := sorted(set(labels) - {name for fold in folds for name in labels[fold.test]})):
        raise InputError(f"class {first_few(never)} is never tested; leave it out with `where`")


def inner_folds(
    rows: np.ndarray, number: int, seed: int, *, groups: np.ndarray | None = None, labels: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions in `rows` to learn from and to choose by, within a training part: groups [N] and labels [N] are of all samples.

    Fewer than `number` where there are fewer groups. InputError where there is one, or a class has too few samples.
    """
    mine = None if groups is None else groups[rows]
    target = np.zeros(len(rows)) if labels is None else labels[rows]
    units = len(rows) if mine is None else len(set(mine))
    if units < 2:
        raise InputError("the training samples are of one group only: there is none to validate on")
    splitter = _splitter(min(number, units), seed, mine is not None, labels is not None)
    try:
        with warnings.catch_warnings():
            # A part may lack a rare class: models that are fitted to it know.
            warnings.filterwarnings("ignore", message="The least populated class")
            return list(splitter.split(rows, target, mine))
    except ValueError as error:
        raise InputError(f"the samples to learn from cannot be parted: {error}") from error


def _splitter(number: int, seed: int, grouped: bool, classes: bool) -> KFold:
    # Of one class, StratifiedGroupKFold puts each group, in random order, into the fold with the fewest samples. GroupKFold,
    # shuffled, gives each fold as many groups: where groups differ in size, folds would differ by multiples.
    kind = StratifiedGroupKFold if grouped else StratifiedKFold if classes else KFold
    return kind(n_splits=number, shuffle=True, random_state=seed)


def _require_classes(folds: Sequence[Fold], labels: np.ndarray | None) -> None:
    if labels is None:
        return
    for fold in folds:
        if missing := sorted(set(labels) - set(labels[fold.train])):
            raise InputError(
                f"class {first_few([str(label) for label in missing])} is not among the training samples of {fold.name}: "
                "it has too few samples or groups; leave it out with `where`, or ask for more `folds`"
            )
