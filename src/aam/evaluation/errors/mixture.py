"""Which truths look as if they were another sample's: a mixture of two ways in which a truth comes about.

One is as the model predicts it, with its own errors; the other at random, as where labels were swapped. Samples of a group may be
predicted wrongly together, which says nothing of their labels: so what they share is one of several states, and its spread is
fitted like the model's own errors. The share of truths at random is found by maximum likelihood; a likelihood ratio says whether it
is more than none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit, logsumexp, softmax

from aam.ensemble.calibration import SURE
from aam.evaluation.errors.held_out import HeldOut, together

# Errors have longer tails than a normal distribution has, those within groups much longer ones.
_FREEDOM, _FREEDOM_WITHIN = 10, 3
_QUANTILES = 500
# What samples of a group share: of numbers in deviations of groups, of classes what is added to the log-odds of one of them.
_SHARED, _ODDS = np.linspace(-4, 4, 81), np.array([0.0, 1.0, 2.0, 4.0, 8.0])
# A larger share of truths is not at random: the model's own errors come in two sizes.
_MOST = 0.2
# Where the search for the share of truths at random begins, as log-odds of twice that.
_BEGIN = -2.2

# Of parameters how likely each truth is as predicted, and at random, [n, S] each, and each of the S states of its group, as a
# logarithm [S].
_Parts = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
# These, where their search begins, and its bounds.
_Way = tuple[_Parts, np.ndarray, list[tuple[float, float]]]


@dataclass(frozen=True, eq=False)
class Mixture:
    """share: of truths at random; p: of as large a share where there are none; likely: that each truth [n] is one of them."""

    share: float
    p: float
    likely: np.ndarray

    @classmethod
    def of(cls, held: HeldOut) -> Mixture:
        """Of held-out samples. Of numbers the clearer of two ways: beside what groups share, as samples of a group may be alike,
        and each truth by itself, as it may be far from all that is predicted.
        """
        alone = np.arange(len(held.unit))
        if held.of_classes:
            return cls._fit(held, held.unit, _of_classes(held, _some_share(held.unit)))
        ways = [cls._fit(held, alone, _of_numbers(held, grouped=False))]
        if _some_share(held.unit):
            ways.append(cls._fit(held, held.unit, _of_numbers(held, grouped=True)))
        best = min(ways, key=lambda way: way.p)
        return replace(best, p=min(1.0, len(ways) * best.p))

    @classmethod
    def _fit(cls, held: HeldOut, unit: np.ndarray, way: _Way) -> Mixture:
        """unit: whose samples share a state [n]."""
        parts, begin, bounds = way
        order = np.argsort(unit, kind="stable")
        starts = np.flatnonzero(np.diff(unit[order], prepend=-1))

        def states(found: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
            """Logarithms [G, S] of how likely groups are in each state, and how likely each truth is at random in it [n, S]."""
            as_said, random, weight = parts(found)
            either = (1 - share) * as_said + share * random + 1e-300
            return np.add.reduceat(np.log(either)[order], starts, axis=0) + weight, share * random / either

        def loss(found: np.ndarray) -> float:
            share = _share(found[len(begin)]) if len(found) > len(begin) else 0.0
            return -float(logsumexp(states(found[: len(begin)], share)[0], axis=1).sum())

        without = minimize(loss, begin, method="L-BFGS-B", bounds=bounds)
        best = minimize(loss, np.append(without.x, _BEGIN), method="L-BFGS-B", bounds=[*bounds, (-9.0, 4.0)])
        ratio = 2 * (without.fun - best.fun)
        share = _share(best.x[-1])
        if ratio <= 0 or share > _MOST:
            return cls(0.0, 1.0, np.zeros(len(order)))
        state, random = states(best.x[:-1], share)
        likely = (softmax(state, axis=1)[np.unique(unit, return_inverse=True)[1]] * random).sum(axis=1)
        # Samples of a group that are wrong together are less than as many that are wrong each by itself (Rao and Scott 1984).
        return cls(share, float(stats.chi2.sf(ratio / max(1.0, together(likely, held.unit)), 1) / 2), likely)


def _some_share(unit: np.ndarray) -> bool:
    return len(np.unique(unit)) < len(unit)


def _share(odds: float) -> float:
    return float(expit(odds)) / 2


def _of_numbers(held: HeldOut, grouped: bool) -> _Way:
    """Errors within a group have a scale, and groups have one of their own."""
    bias = held.said - held.truth
    scale, middle = max(float(stats.median_abs_deviation(bias, scale="normal")), 1e-12), float(np.median(bias))
    # A truth at random: a density of all truths, as wide as an error; of many, quantiles tell as much.
    known = np.quantile(held.truth, np.linspace(0, 1, min(len(held.truth), _QUANTILES)))
    random = stats.norm.pdf((held.truth[:, None] - known) / scale).mean(axis=1)[:, None]
    apart, freedom = (bias - middle) / scale, _FREEDOM_WITHIN if grouped else _FREEDOM
    shared = _SHARED if grouped else np.zeros(1)
    weight = stats.norm.logpdf(shared) - logsumexp(stats.norm.logpdf(shared))

    def parts(found: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        within, between = np.exp(found[1]), np.exp(found[1] + found[2])
        return _student((apart[:, None] - found[0] - between * shared) / within, freedom) / within, random, weight

    # States are as far apart as errors within a group at the least.
    return parts, np.array([0.0, -0.4, 0.0]), [(-3.0, 3.0), (-4.0, 1.5), (-3.0, 2.3) if grouped else (0.0, 0.0)]


def _student(values: np.ndarray, freedom: int) -> np.ndarray:
    """Density of Student's t, as a power: faster than scipy's."""
    return float(stats.t.pdf(0, freedom)) * (1 + values**2 / freedom) ** (-(freedom + 1) / 2)


def _of_classes(held: HeldOut, grouped: bool) -> _Way:
    """Probabilities as they are true of all, to a power; a group may have one class more often than its samples look. A truth at
    random is a class that a sample does not have, by how common it is.
    """
    assert held.true is not None  # of classes
    logs = np.log(held.true.clip(SURE))
    number, mine = logs.shape[1], np.arange(len(logs))
    share = np.bincount(held.truth, minlength=number) / len(held.truth)
    others = 1 / (1 - share.clip(max=1 - SURE))
    odds = _ODDS if grouped else _ODDS[:1]
    same = np.arange(number)[:, None] == held.truth

    def parts(found: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        said = softmax(np.exp(found[0]) * logs, axis=1)
        true, factor = said[mine, held.truth][:, None], np.exp(odds)
        as_said, random = [], []
        for k in range(number):
            whole = 1 + (factor - 1) * said[:, [k]]
            right = true * np.where(same[k][:, None], factor, 1) / whole
            every = (said @ others)[:, None] + (factor - 1) * (said[:, [k]] * others[k])
            as_said.append(right)
            random.append((every / whole - right * others[held.truth][:, None]) * share[held.truth][:, None])
        weight = np.tile(found[1] * odds, number)
        return np.hstack(as_said), np.hstack(random).clip(min=0), weight - logsumexp(weight)

    return parts, np.array([0.0, -0.3 if grouped else 0.0]), [(-3.0, 3.0), (-5.0, 2.0) if grouped else (0.0, 0.0)]
