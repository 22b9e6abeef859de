"""Whether a part of the samples is predicted worse than the rest, and whether that is more than chance after so many looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from aam.evaluation.errors.held_out import HeldOut
from aam.evaluation.errors.strata import Stratum

# With fewer groups inside, their own spread is not known, and that of the others stands for it.
FEW_UNITS = 5
# How often anything at all is named where nothing is wrong.
CHANCE = 0.02


@dataclass(frozen=True)
class Look:
    """One comparison: what (error, bias, coverage) of the samples of a level, `inside`, beside that of all others.

    samples and units: inside; difference with its 95 % interval; p: two-sided; corrected: of all looks together (Holm).
    """

    column: str
    level: str
    what: str
    samples: int
    units: int
    inside: float
    outside: float
    difference: float
    low: float
    high: float
    p: float
    corrected: float = 1.0

    @property
    def named(self) -> bool:
        """Whether the samples are predicted worse than the rest, by more than chance."""
        worse = {"error": self.difference > 0, "bias": True, "coverage": self.difference < 0}[self.what]
        return worse and self.corrected < CHANCE


def looks_at(held: HeldOut, strata: Sequence[Stratum]) -> list[Look]:
    """All comparisons, those that are least like chance first."""
    found = []
    for what, views in held.looked_at.items():
        # Errors have long tails, of which a mean would follow one sample.
        scored = [view if what == "coverage" else _normal_scores(view) for view in views]
        for stratum in strata:
            tested = [difference_of(values, stratum.members, held.unit) for values in scored]
            measured = difference_of(views[0], stratum.members, held.unit)
            if measured is None or None in tested:
                continue
            inside, outside = (float(views[0][part].mean()) for part in (stratum.members, ~stratum.members))
            units = len(np.unique(held.unit[stratum.members]))
            about = (stratum.column, stratum.level, what, int(stratum.members.sum()), units)
            # Both have to say so, and the same.
            agree = len({np.sign(one[0]) for one in tested if one is not None}) == 1
            p = max(one[3] for one in tested if one is not None) if agree else 1.0
            found.append(Look(*about, inside, outside, *measured[:3], p))
    return _corrected(found)


def difference_of(values: np.ndarray, members: np.ndarray, unit: np.ndarray) -> tuple[float, float, float, float] | None:
    """Mean inside less mean outside, the ends of its 95 % interval, and p; samples of a unit may be alike. None where too few units
    are known to say.
    """
    parts = [(values[part], unit[part]) for part in (members, ~members)]
    (inside, of_inside), (outside, of_outside) = parts
    numbers = [len(np.unique(units)) for _, units in parts]
    if numbers[1] < FEW_UNITS:
        return None
    if numbers[0] < FEW_UNITS:
        # A unit as a whole beside units as a whole.
        means, others = _means(inside, of_inside), _means(outside, of_outside)
        apart = means.mean() - others.mean()
        error = others.std(ddof=1) * np.sqrt(1 / len(means) + 1 / len(others))
        freedom = len(others) - 1
    else:
        apart = inside.mean() - outside.mean()
        # About the mean of all: a few samples of which all are inside their intervals have no spread of their own.
        pull = np.where(members, 1 / len(inside), -1 / len(outside)) * (values - values.mean())
        sums = np.bincount(np.unique(unit, return_inverse=True)[1], weights=pull)
        error = np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1))
        freedom = min(numbers) - 1
    if error == 0:
        return None
    wide = stats.t.ppf(0.975, freedom) * error
    return float(apart), float(apart - wide), float(apart + wide), float(2 * stats.t.sf(abs(apart) / error, freedom))


def _means(values: np.ndarray, unit: np.ndarray) -> np.ndarray:
    place = np.unique(unit, return_inverse=True)[1]
    return np.bincount(place, weights=values) / np.bincount(place)


def _normal_scores(values: np.ndarray) -> np.ndarray:
    return np.asarray(stats.norm.ppf((stats.rankdata(values) - 0.5) / len(values)))


def _corrected(looks: Sequence[Look]) -> list[Look]:
    """With p of all together (Holm 1979), in its order."""
    ordered = sorted(looks, key=lambda look: look.p)
    worst, found = 0.0, []
    for place, look in enumerate(ordered):
        worst = max(worst, min(1.0, look.p * (len(ordered) - place)))
        found.append(Look(**{**vars(look), "corrected": worst}))
    return found
