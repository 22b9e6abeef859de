"""Which samples are tested when: every model of an evaluation sees the same folds."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from aam.errors import InputError, counted, first_few
from aam.study.problem import Problem

if TYPE_CHECKING:
    from sklearn.model_selection import KFold

log = logging.getLogger(__name__)

# Parts of a training part, to choose by.
INNER_FOLDS = 3


@dataclass(frozen=True, eq=False)
class Fold:
    """Sorted rows, int64, of the training samples and of the test samples; repeat and number count from 0; group: the one that is
    held out, where each is in turn.
    """

    repeat: int
    number: int
    train: np.ndarray
    test: np.ndarray
    group: str | None = None

    @property
    def name(self) -> str:
        return f"repeat {self.repeat + 1}, fold {self.number + 1}" if self.group is None else f"fold that holds out {self.group}"


def make_folds(
    n: int, number: int, repeats: int, seed: int, *, groups: np.ndarray | None = None, labels: np.ndarray | None = None
) -> list[Fold]:
    """`number` folds of n samples, `repeats` times: groups [n] stay whole, classes of labels [n] are spread evenly.

    InputError when there are fewer groups (or samples, or samples of the largest class) than folds, or a class is missing from a
    training part.
    """
    units = n if groups is None else len(set(groups))
    if units < number:
        raise InputError(
            f"`folds={number}`: there are {counted(units, 'sample' if groups is None else 'group')} only; {_fewer(units, groups)}"
        )
    if labels is not None:
        _require_classes_for(number, groups, labels)
    folds = []
    for repeat in range(repeats):
        splitter = _splitter(number, seed + repeat, groups is not None, labels is not None)
        target = np.zeros(n) if labels is None else labels
        with _rare_classes_known():
            for fold, (train, test) in enumerate(splitter.split(np.zeros(n), target, groups)):
                folds.append(Fold(repeat, fold, train, test))
    _require_classes(folds, labels, groups, "take another `seed` or more `folds`")
    return folds


def _fewer(units: int, groups: np.ndarray | None) -> str:
    """What to do where there are fewer of them than folds."""
    if groups is None:
        return "take fewer `folds`"
    if units < 2:
        return f"{groups[0]} cannot be held out and learned from; {_UNGROUPED}"
    return f"take `folds={units}` or hold out each group in turn (`leave_one_group_out`); {_UNGROUPED}"


_UNGROUPED = "without `group_column` the scores are those of new samples of the same groups, not of new groups"


def class_size(name: str, labels: np.ndarray, groups: np.ndarray | None) -> str:
    """A class with its size: ``2 (3 samples of 1 group)``."""
    members = labels == name
    of_groups = "" if groups is None else f" of {counted(len(set(groups[members])), 'group')}"
    return f"{name} ({counted(int(members.sum()), 'sample')}{of_groups})"


def _require_classes_for(number: int, groups: np.ndarray | None, labels: np.ndarray) -> None:
    """InputError for a class that cannot be in two of `number` folds, and for classes that are all smaller than that; a warning for
    classes that some folds will lack.
    """
    names, members = np.unique(labels, return_counts=True)
    _require_two_units(groups, labels)
    if members.max() < number:
        raise InputError(
            f"`folds={number}`: the largest class, {class_size(names[members.argmax()], labels, groups)}, has fewer samples; take "
            f"`folds={max(2, members.max())}`"
        )
    if len(few := names[members < number]):
        rare = first_few([class_size(name, labels, groups) for name in few])
        log.warning(
            "fewer samples than the %d folds: class %s; some folds cannot test it, and scores of it are rough", number, rare
        )


def _require_two_units(groups: np.ndarray | None, labels: np.ndarray) -> None:
    units = np.arange(len(labels)) if groups is None else groups
    if alone := [name for name in sorted(set(labels)) if len(set(units[labels == name])) < 2]:
        sizes = first_few([class_size(name, labels, groups) for name in alone])
        raise InputError(
            f"class {sizes} cannot be both learned and tested{'' if groups is None else ', being in one group only'}; {_LEAVE_OUT}"
        )


_LEAVE_OUT = "leave it out with `where`, or join it with another class in the metadata"


@contextmanager
def _rare_classes_known() -> Iterator[None]:
    """scikit-learn warns of classes with fewer samples than folds: our own lines have said so, with their names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        yield


def leave_one_group_out(groups: np.ndarray, labels: np.ndarray | None = None) -> list[Fold]:
    """A fold for each group, tested once. InputError for one group only, or a class that occurs in one group only."""
    if len(set(groups)) < 2:
        raise InputError(f"`leave_one_group_out`: there is one group only, {groups[0]}; {_UNGROUPED}")
    if labels is not None:
        _require_two_units(groups, labels)
    from sklearn.model_selection import LeaveOneGroupOut

    splits = LeaveOneGroupOut().split(groups, groups=groups)
    return [Fold(0, fold, train, test, str(groups[test[0]])) for fold, (train, test) in enumerate(splits)]


def one_fold(learned: int, n: int, labels: np.ndarray | None = None) -> list[Fold]:
    """The first `learned` of n samples for training, the others for testing. InputError for a class that only the others have."""
    folds = [Fold(0, 0, np.arange(learned), np.arange(learned, n))]
    _require_classes(folds, labels, None, "it is in `test_table` only")
    return folds


def posed_within(problem: Problem, folds: Sequence[Fold]) -> list[Problem]:
    """The problem as each fold poses it: without groups where all training samples are of one, which parts nothing. Settings are
    then chosen on other samples of that group.
    """
    ungrouped = replace(problem, groups=None)
    return [ungrouped if has_one_group(problem, fold) else problem for fold in folds]


def has_one_group(problem: Problem, fold: Fold) -> bool:
    """Whether the training samples of a fold are of one group."""
    return problem.groups is not None and len(set(problem.groups[fold.train])) < 2


def require_learnable(problem: Problem, folds: Sequence[Fold], seed: int) -> None:
    """InputError where all samples have one value, a training part cannot be parted once more to choose by, or a class is never
    tested.
    """
    labels = problem.labels
    if labels is None and np.ptp(problem.truth) == 0:
        raise InputError(f"`metadata_column={problem.column}`: is {problem.truth[0]:g} in all samples: there is nothing to learn")
    if labels is None:
        return
    for fold, posed in zip(folds, posed_within(problem, folds), strict=True):
        try:
            parts = inner_folds(fold.train, INNER_FOLDS, seed, groups=posed.groups, labels=labels)
        except InputError as error:
            raise InputError(f"{fold.name}: {error}") from error
        for learn, _ in parts:
            if missing := sorted(set(labels) - set(labels[fold.train[learn]])):
                sizes = first_few([class_size(name, labels, problem.groups) for name in missing])
                unit = "sample" if posed.groups is None else "group"
                raise InputError(
                    f"class {sizes}: the training samples of {fold.name} have too few of it to learn it and to choose by; a class "
                    f"needs {INNER_FOLDS} or more {unit}s; {_LEAVE_OUT}"
                )
    if never := sorted(set(labels) - {name for fold in folds for name in labels[fold.test]}):
        sizes = first_few([class_size(name, labels, problem.groups) for name in never])
        raise InputError(f"class {sizes} is never tested; leave it out with `where`")


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
    if labels is not None:
        largest = int(np.unique(target, return_counts=True)[1].max())
        if largest < 2:
            raise InputError(
                f"each of its {counted(len(rows), 'training sample')} is of another class: no settings can be chosen by them"
            )
        units = min(units, largest)
    splitter = _splitter(min(number, units), seed, mine is not None, labels is not None)
    # A part may lack a rare class: models that are fitted to it know.
    with _rare_classes_known():
        return list(splitter.split(rows, target, mine))


def _splitter(number: int, seed: int, grouped: bool, classes: bool) -> KFold:
    from sklearn import model_selection as of

    # Of one class, StratifiedGroupKFold puts each group, in random order, into the fold with the fewest samples. GroupKFold,
    # shuffled, gives each fold as many groups: where groups differ in size, folds would differ by multiples.
    kind = of.StratifiedGroupKFold if grouped else of.StratifiedKFold if classes else of.KFold
    return kind(n_splits=number, shuffle=True, random_state=seed)


def _require_classes(folds: Sequence[Fold], labels: np.ndarray | None, groups: np.ndarray | None, advice: str) -> None:
    if labels is None:
        return
    for fold in folds:
        if missing := sorted(set(labels) - set(labels[fold.train])):
            sizes = first_few([class_size(name, labels, groups) for name in missing])
            raise InputError(
                f"class {sizes} is not among the training samples of {fold.name}: {advice}, or leave it out with `where`"
            )
