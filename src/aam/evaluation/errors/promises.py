"""Calibration by level: how often predictions should be right, and how often they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from aam.evaluation.errors.held_out import HeldOut, together
from aam.evaluation.errors.strata import Stratum, label_of

ALL = "all samples"


@dataclass(frozen=True)
class Promise:
    """Shares of the samples of a level that should be right, and that are, with its 95 % interval."""

    level: str
    samples: int
    promised: float
    kept: float
    low: float
    high: float


def promises_of(held: HeldOut, strata: Sequence[Stratum], number: int) -> list[Promise]:
    """That of all samples, then the `number` levels in which predictions are surer than they should be by the strongest evidence,
    that one first; none where a model has no intervals. Of levels that hold the same samples, one.
    """
    if held.kept is None:
        return []
    unit, everyone = np.unique(held.unit, return_inverse=True)[1], np.ones(len(held.rows), dtype=bool)
    # Samples of a group are alike: it is worth as many samples as groups are on average (Rao and Scott 1984).
    worth = len(unit) / max(1.0, together(held.kept, unit)) / (unit.max() + 1)
    levels = {one.members.tobytes(): (label_of(one.column, one.level), one.members) for one in reversed(strata)}
    found = []
    for label, members in [(ALL, everyone), *levels.values()]:
        promised, kept = float(held.promised[members].mean()), float(held.kept[members].mean())
        evidence = min(float(members.sum()), worth * len(np.unique(unit[members])))
        broken = (promised - kept) / np.sqrt(promised * (1 - promised) / evidence + 1e-12)
        found.append((broken, Promise(label, int(members.sum()), promised, kept, *share_interval(kept, evidence))))
    worst = sorted((one for one in found[1:] if one[0] > 0), key=lambda one: -one[0])
    return [found[0][1], *(promise for _, promise in worst[:number])]


def share_interval(share: float, number: float) -> tuple[float, float]:
    """The 95 % interval of a share of `number` independent samples (Wilson 1927)."""
    z = float(stats.norm.ppf(0.975))
    middle, wide = share + z**2 / (2 * number), z * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    return float((middle - wide) / (1 + z**2 / number)), float((middle + wide) / (1 + z**2 / number))
