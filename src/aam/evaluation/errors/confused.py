"""Groups and levels of metadata whose samples of a class are taken for another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aam.evaluation.compare import Outcome
from aam.evaluation.errors.held_out import HeldOut
from aam.evaluation.errors.strata import FEWEST, known_levels


@dataclass(frozen=True)
class Confused:
    """The samples of one class in a level, of so many groups: shares that are right, that are right in all other levels, and that
    are taken for another class, the commonest one.
    """

    column: str
    level: str
    true: str
    samples: int
    groups: int
    right: float
    elsewhere: float
    taken_for: str
    taken: float


def confused_levels(outcome: Outcome, held: HeldOut) -> list[Confused]:
    """Those that are taken for another class more often than for their own, and more often than samples of that class elsewhere,
    the worst first. Of levels that hold the same samples of a class, one.
    """
    if not held.of_classes:
        return []
    found = {members: one for members, one in _all(outcome, held) if one.right < min(one.taken, one.elsewhere)}
    return sorted(found.values(), key=lambda one: (one.right, -one.samples))


def _all(outcome: Outcome, held: HeldOut) -> Iterator[tuple[bytes, Confused]]:
    """With what tells their samples. Of levels and classes that have enough samples inside and outside."""
    classes, said = outcome.problem.target.classes, held.said.argmax(axis=1)
    for level in reversed(known_levels(outcome, held.rows)):
        for k, name in enumerate(classes):
            inside, outside = (held.truth == k) & level.members, (held.truth == k) & ~level.members
            if min(inside.sum(), outside.sum()) < FEWEST:
                continue
            shares = np.bincount(said[inside], minlength=len(classes)) / inside.sum()
            other = int(np.argmax(np.where(np.arange(len(classes)) == k, -1, shares)))
            sizes = (int(inside.sum()), len(np.unique(held.unit[inside])))
            right = (float(shares[k]), float((said[outside] == k).mean()))
            about = (level.column, level.level, name, *sizes, *right, classes[other], float(shares[other]))
            yield inside.tobytes(), Confused(*about)
