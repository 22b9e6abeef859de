"""Labels that may be wrong: samples whose truth looks as if it were another sample's.

A mixture of two ways in which a truth comes about: as the model predicts it, with its own errors, or at random from all truths, as
where labels were swapped. The share of the second is found by maximum likelihood; a likelihood ratio says whether it is more than
none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import minimize_scalar

from aam.evaluation.compare import Outcome
from aam.evaluation.errors.held_out import HeldOut

# Errors have longer tails than a normal distribution has.
_FREEDOM = 10
_CHANCE = 0.02
_LIKELY = 0.5
_NEIGHBOURS = 3
_QUANTILES = 500


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


def wrong_labels(outcome: Outcome, model: str, models: Sequence[str], among: np.ndarray) -> WrongLabels:
    """Labels that `model` finds unlikely, and that all `models` get wrong, the unlikeliest first; among: bool [n], the held-out
    samples that are looked at.
    """
    held = {name: HeldOut.of(outcome, name) for name in dict.fromkeys([model, *models])}
    found = {name: _mixture(*(part[among] for part in (*_likelihoods(one), one.unit))) for name, one in held.items()}
    share, p, likely = found[model]
    agreed = np.where(np.min([found[name][2] for name in models or [model]], axis=0) > _LIKELY / 2, likely, 0)
    places = np.flatnonzero(among)
    suspects = [
        Suspect(int(places[one]), float(likely[one])) for one in np.argsort(-agreed, kind="stable") if agreed[one] > _LIKELY
    ]
    return WrongLabels(share, p, tuple(suspects))


def _likelihoods(held: HeldOut) -> tuple[np.ndarray, np.ndarray]:
    """Of each truth as the model predicts it, and of a truth at random, [n] each."""
    if held.of_classes:
        counted = np.bincount(held.truth, minlength=held.said.shape[1]) / len(held.truth)
        return np.maximum(1 - held.error, 1e-3), counted[held.truth]
    bias = held.said - held.truth
    scale, middle = max(float(stats.median_abs_deviation(bias, scale="normal")), 1e-12), float(np.median(bias))
    # A truth at random: a density of all truths, as wide as an error; of many, quantiles tell as much.
    known = np.quantile(held.truth, np.linspace(0, 1, min(len(held.truth), _QUANTILES)))
    random = stats.norm.pdf((held.truth[:, None] - known) / scale).mean(axis=1) / scale
    return stats.t.pdf((bias - middle) / scale, _FREEDOM) / scale, random


def _mixture(as_said: np.ndarray, random: np.ndarray, unit: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Share of truths at random, p that there is none, and how likely each truth [n] is one of them.

    Samples of a unit may be wrong together, which is less than as many that are wrong each by itself: the likelihood ratio is
    divided by that (Rao and Scott 1984).
    """

    def loss(share: float) -> float:
        return -float(np.log((1 - share) * as_said + share * random).sum())

    share = float(minimize_scalar(loss, bounds=(0, 0.5), method="bounded").x)
    ratio = 2 * (loss(0) - loss(share))
    if ratio <= 0:
        return 0.0, 1.0, np.zeros(len(as_said))
    likely = share * random / ((1 - share) * as_said + share * random)
    return share, float(stats.chi2.sf(ratio / max(1.0, together(likely, unit)), 1) / 2), likely


def together(values: np.ndarray, unit: np.ndarray) -> float:
    """How many times as large the variance of their mean is as that of as many values that have nothing to do with each other."""
    apart = values - values.mean()
    sums = np.bincount(np.unique(unit, return_inverse=True)[1], weights=apart)
    return float((sums**2).sum() / max((apart**2).sum(), 1e-300))


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
