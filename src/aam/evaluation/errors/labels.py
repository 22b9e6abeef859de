"""Labels that may be wrong: samples whose truth every model finds unlikely, and that would fit another sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aam.evaluation.compare import Outcome
from aam.evaluation.errors.held_out import HeldOut
from aam.evaluation.errors.mixture import Mixture

_CHANCE = 0.02
_LIKELY = 0.5
_NEIGHBOURS = 3


@dataclass(frozen=True)
class Suspect:
    """A sample whose label may be wrong: its place among the held-out samples, and how likely it is wrong."""

    place: int
    likelihood: float


@dataclass(frozen=True)
class WrongLabels:
    """share: of the samples whose label looks like another sample's; p: of as large a share where all labels are right."""

    share: float
    p: float
    suspects: tuple[Suspect, ...]

    @property
    def named(self) -> bool:
        """Whether it is more than chance."""
        return self.p < _CHANCE and bool(self.suspects)


def wrong_labels(held: Mapping[str, HeldOut], model: str, found: Mapping[str, Mixture], among: np.ndarray) -> WrongLabels:
    """Labels that `model` finds unlikely, and that all models get wrong, the unlikeliest first; held and found: by model; among:
    bool [n], the held-out samples that are looked at.
    """
    if not among.any():
        return WrongLabels(0.0, 1.0, ())
    if not among.all():
        found = {name: Mixture.of(one.only(among)) for name, one in held.items()}
    mine = found[model]
    agreed = np.where(np.min([one.likely for one in found.values()], axis=0) > _LIKELY / 2, mine.likely, 0)
    places, order = np.flatnonzero(among), np.argsort(-agreed, kind="stable")
    suspects = [Suspect(int(places[one]), float(mine.likely[one])) for one in order if agreed[one] > _LIKELY]
    return WrongLabels(mine.share, mine.p, tuple(suspects))


def nearest_to(outcome: Outcome, row: int) -> tuple[int, ...]:
    """The most similar training samples of a held-out sample's fold, by the cosine of square roots of the shares of ASVs, as rows
    of the study.
    """
    fold = next(fold for fold in outcome.folds if fold.repeat == 0 and row in fold.test)
    roots = outcome.problem.study.shares.sqrt()
    alike = (roots[fold.train] @ roots[[row]].T).toarray().ravel()
    return tuple(int(fold.train[place]) for place in np.argsort(-alike, kind="stable")[:_NEIGHBOURS])


def truths_of(outcome: Outcome, rows: Sequence[int]) -> list[str]:
    """The truth of rows of the study, as text."""
    classes = outcome.problem.target.classes
    return [classes[outcome.truth[row]] if classes else f"{outcome.truth[row]:g}" for row in rows]


def said_of(outcome: Outcome, models: Sequence[str], row: int) -> Mapping[str, str]:
    """What models predict of a held-out row, as text."""
    found = {}
    for model in models:
        rows, _, said = outcome.together(model)
        one = said[np.flatnonzero(rows == row)[0]]
        classes = outcome.problem.target.classes
        found[model] = f"{classes[one.argmax()]} ({one.max():.2f})" if classes else f"{one:.4g}"
    return found
