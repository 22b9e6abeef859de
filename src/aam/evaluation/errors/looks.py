"""Whether a part of the samples is predicted worse than the rest, and whether that is more than chance after so many looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from aam.evaluation.errors.held_out import HeldOut, together
from aam.evaluation.errors.strata import Stratum

# With fewer groups inside, their own spread is not known, and that of the others stands for it.
FEW_UNITS = 5
# How often anything at all is named where nothing is wrong.
CHANCE = 0.02
# The chance below which the truth of classes is not against a difference.
_AGAINST = 0.1


@dataclass(frozen=True)
class Look:
    """One comparison: what (error, bias, coverage, labels) of the samples of a level, `inside`, beside that of all others.

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
        worse = {"error": self.difference > 0, "bias": True, "coverage": self.difference < 0, "labels": self.difference > 0}[
            self.what
        ]
        return worse and self.corrected < CHANCE


def looks_at(held: HeldOut, strata: Sequence[Stratum], likely: np.ndarray) -> list[Look]:
    """All comparisons, those that are least like chance first; likely: that the truth of a sample is another one's [n]."""
    shown = {"error": held.error, "bias": held.bias, "coverage": held.inside, "labels": likely}
    found, known = [], []
    for what, views in {**held.looked_at, "labels": (likely,)}.items():
        values = shown[what]
        assert values is not None  # it is looked at
        # Errors of numbers have long tails, of which a mean would follow one sample.
        scored = [_normal_scores(view) if what in ("error", "bias") and not held.of_classes else view for view in views]
        for stratum in strata:
            measured = difference_of(values, stratum.members, held.unit)
            tested = [difference_of(view, stratum.members, held.unit, tested=True) for view in scored]
            units = len(np.unique(held.unit[stratum.members]))
            # A few labels that may be wrong are most of a group, and are said by themselves.
            if measured is None or None in tested or (what == "labels" and units < FEW_UNITS):
                continue
            inside, outside = (float(values[part].mean()) for part in (stratum.members, ~stratum.members))
            about = (stratum.column, stratum.level, what, int(stratum.members.sum()), units)
            p = _chance([one for one in tested if one is not None], held.of_classes)
            found.append(Look(*about, inside, outside, *measured[:3], p))
            known.append(stratum.known)
    return corrected(found, np.array(known, dtype=bool))


def _chance(tested: Sequence[tuple[float, float, float, float]], of_classes: bool) -> float:
    """p of all views of a difference, which must have one direction: the largest, as each of them has to say so. Of classes the
    truth says little: it is enough that it does not speak against what the probabilities say.
    """
    if len({np.sign(one[0]) for one in tested}) > 1:
        return 1.0
    return tested[0][3] if of_classes and tested[-1][3] < _AGAINST else max(one[3] for one in tested)


def difference_of(
    values: np.ndarray, members: np.ndarray, unit: np.ndarray, *, tested: bool = False
) -> tuple[float, float, float, float] | None:
    """Mean inside less mean outside, the ends of its 95 % interval, and p; samples of a unit may be alike. None where too few units
    are known to say. tested: samples count less the more of them their unit has, as far as these are alike, and the mean varies as
    much as it would if all samples varied alike, at the least: what is rare has no spread where it was not seen.
    """
    (inside, outside), place = (np.unique(unit[part]) for part in (members, ~members)), np.unique(unit, return_inverse=True)[1]
    if len(outside) < FEW_UNITS:
        return None
    if len(inside) < FEW_UNITS:
        # A unit as a whole beside units as a whole.
        means, others = _means(values[members], unit[members]), _means(values[~members], unit[~members])
        apart = means.mean() - others.mean()
        error = others.std(ddof=1) * np.sqrt(1 / len(means) + 1 / len(others))
        freedom = len(others) - 1
    else:
        alike = _alike(values, members, place) if tested else 0.0
        weight = 1 / (1 + (np.bincount(place)[place] - 1) * alike)
        share = np.where(members, weight / weight[members].sum(), -weight / weight[~members].sum())
        apart = share @ values
        # About the mean of all: a few samples of which all are inside their intervals have no spread of their own.
        around = values - np.average(values, weights=weight)
        of_units, each = np.bincount(place, weights=share * around), np.bincount(place, weights=share)
        error = np.sqrt((of_units**2).sum() * len(each) / (len(each) - 1))
        if tested:
            same = (1 - alike) * (share**2).sum() + alike * (each**2).sum()
            error = max(error, np.sqrt(np.average(around**2, weights=weight) * same))
        freedom = min(len(inside), len(outside)) - 1
    if error == 0:
        return None
    wide = stats.t.ppf(0.975, freedom) * error
    return float(apart), float(apart - wide), float(apart + wide), float(2 * stats.t.sf(abs(apart) / error, freedom))


def _alike(values: np.ndarray, members: np.ndarray, place: np.ndarray) -> float:
    """The correlation of samples of a unit, beside that of those inside, from 0 to 1."""
    around = values - np.where(members, values[members].mean(), values[~members].mean())
    larger = (np.bincount(place) ** 2).sum() / len(values) - 1
    return float(np.clip((together(around, place) - 1) / larger, 0, 1)) if larger > 0 else 0.0


def _means(values: np.ndarray, unit: np.ndarray) -> np.ndarray:
    place = np.unique(unit, return_inverse=True)[1]
    return np.bincount(place, weights=values) / np.bincount(place)


def _normal_scores(values: np.ndarray) -> np.ndarray:
    return np.asarray(stats.norm.ppf((stats.rankdata(values) - 0.5) / len(values)))


def corrected(looks: Sequence[Look], known: np.ndarray) -> list[Look]:
    """With p of all together (Holm 1979), in its order. Half of the chance is for what is `known` of samples, bool [L], as faults
    of labels are there, and half for their reads and ASVs.
    """
    shares = np.where(known, 0.5 / max(known.sum(), 1), 0.5 / max((~known).sum(), 1))
    shares = shares / shares.sum()
    chance = np.array([look.p for look in looks]) / shares
    worst, left, found = 0.0, 1.0, []
    for place in np.argsort(chance, kind="stable"):
        worst = max(worst, min(1.0, float(chance[place]) * left))
        left = max(left - shares[place], 0.0)
        found.append(replace(looks[place], corrected=worst))
    return found
