"""Training, validation and test samples, apart by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from aam.errors import InputError, counted, first_few

# Random orders that are tried where units are few and so may not fit the fractions well; the best one is kept.
TRIES = 16
FEW_UNITS = 2000
_PARTS = ("training", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Sorted sample positions, int64, of three disjoint parts; `test` may be empty."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    @property
    def held_out(self) -> tuple[Literal["test", "val"], np.ndarray]:
        """The part to score, by name: test, or val where there is no test part."""
        return ("test", self.test) if len(self.test) else ("val", self.val)


def split_samples(
    n: int,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    *,
    groups: np.ndarray | None = None,
    labels: np.ndarray | None = None,
) -> Split:
    """Split n samples at random: groups [n] stay whole, classes of labels [n] are spread as evenly as groups allow.

    Sizes are as near to the fractions of n as groups allow, and no part with a fraction above 0 is empty. Same arguments, same
    split. InputError when there are fewer groups (or samples) than parts, a class has one sample, or a class cannot be in train.
    """
    fractions = np.array([1 - val_fraction - test_fraction, val_fraction, test_fraction])
    unit = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    units = int(unit.max(initial=-1)) + 1
    parts = np.flatnonzero(fractions > 0)
    if units < len(parts):
        raise InputError(_too_few(units, parts, groups is not None))
    counts = _count(unit, units, labels)
    goal = np.outer(fractions, counts.sum(axis=0))

    best, best_cost = None, np.inf
    rng = np.random.default_rng(seed)
    for _ in range(TRIES if units <= FEW_UNITS else 1):
        part_of_unit = _assign(counts, goal, parts, rng)
        sizes = np.stack([counts[part_of_unit == part].sum(axis=0) for part in range(3)])
        cost = float(((sizes - goal) ** 2).sum())
        if cost < best_cost and (sizes[0] > 0).all():
            best, best_cost = part_of_unit, cost
    if best is None:
        raise InputError(
            "no split has every class in its training part: the groups are too few or uneven; leave out rare classes with `where`, "
            "or take `test_fraction=0`"
        )
    part = best[unit]
    return Split(*(np.flatnonzero(part == index) for index in range(3)))


def _too_few(units: int, parts: np.ndarray, grouped: bool) -> str:
    """What is wrong, and what to do."""
    noun = "group" if grouped else "sample"
    names = ", ".join(_PARTS[part] for part in parts)
    told = [f"{counted(units, noun)} cannot be split into {len(parts)} parts ({names})"]
    if units > 1:
        told += ["with `test_fraction=0` no test part is needed"]
    if grouped and units > 1:
        told += ["`aam evaluate` with `leave_one_group_out` holds out each group in turn"]
    if grouped:
        told += ["without `group_column` the scores are those of new samples of the same groups, not of new groups"]
    return "; ".join(told) if len(told) > 1 else f"{told[0]}; more samples are needed"


def _count(unit: np.ndarray, units: int, labels: np.ndarray | None) -> np.ndarray:
    """Count the samples of each unit, and of each of its classes: float [units, 1 + classes]. A label None is of no class."""
    total = np.bincount(unit, minlength=units).astype(np.float64)[:, None]
    if labels is None:
        return total
    known = np.array([label is not None for label in labels], dtype=bool)
    classes, label = np.unique(labels[known], return_inverse=True)
    per_class = np.zeros((units, len(classes)))
    np.add.at(per_class, (unit[known], label), 1)
    if rare := [str(name) for name, members in zip(classes, per_class.sum(axis=0), strict=True) if members < 2]:
        raise InputError(f"classes with one sample cannot be learned and scored: {first_few(rare)}; leave them out with `where`")
    return np.hstack([total, per_class])


def _assign(counts: np.ndarray, goal: np.ndarray, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Part of each unit, int64 [units]: in random order, each to where it lowers sum((size - goal)^2) most.

    Dividing by the goal would send all large groups to train, and then scores would be of small groups only.
    """
    sizes = np.zeros_like(goal)
    assigned = np.empty(len(counts), dtype=np.int64)
    for left, unit in zip(range(len(counts), 0, -1), rng.permutation(len(counts)), strict=True):
        need = (goal - sizes) @ counts[unit]
        empty = parts[sizes[parts, 0] == 0]
        # The last units go to the parts that would otherwise stay empty.
        candidates = empty if left <= len(empty) else parts
        part = candidates[np.argmax(need[candidates])]
        assigned[unit] = part
        sizes[part] += counts[unit]
    return assigned
