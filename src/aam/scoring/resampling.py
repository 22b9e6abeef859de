"""Groups that count once each, and what they say when they are resampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Draws of groups for means, the chance that an interval leaves out, and weights of samples that are drawn at a time (for memory).
_DRAWS, _CHANCE, _AT_ONCE = 1000, 0.05, 2**19

# Weights of groups [draws, G], of a generator, and these two numbers: of draws and groups.
Draw = Callable[[np.random.Generator, int, int], np.ndarray]


def bayesian(rng: np.random.Generator, number: int, groups: int) -> np.ndarray:
    """Weights of groups as the Bayesian bootstrap draws them (Rubin 1981, doi 10.1214/aos/1176345338): no group is ever left out,
    so few groups make no empty sample.
    """
    return rng.exponential(size=(number, groups))


def with_replacement(rng: np.random.Generator, number: int, groups: int) -> np.ndarray:
    """How often each group is drawn: what one group says alone is left out often enough."""
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=number).astype(float)


def draws(groups: int, seed: int = 0, number: int = _DRAWS) -> np.ndarray:
    """Weights of groups [draws, G], as `bayesian` has them."""
    return bayesian(np.random.default_rng(seed), number, groups)


def resampled(units: np.ndarray, score: Callable[[np.ndarray], np.ndarray], draw: Draw, number: int, seed: int = 0) -> np.ndarray:
    """A score of weighted samples, [W, n] -> [W, ...], in a number of draws of their groups, [number, ...]; units: these [n]."""
    rng, (names, group) = np.random.default_rng(seed), np.unique(units, return_inverse=True)
    # In eights, as sums over fewer draws at a time differ in their last bits.
    at_once = 8 * max(_AT_ONCE // (8 * len(group)), 1)
    sizes = [min(at_once, number - start) for start in range(0, number, at_once)]
    return np.concatenate([score(draw(rng, size, len(names))[:, group]) for size in sizes])


def interval(drawn: np.ndarray, chance: float = _CHANCE) -> np.ndarray:
    """Ends [2, ...] of the middle of draws [draws, ...], 95 % of them by default. Draws of a single number that are none, as of a
    draw without a class, are left out; NaN where there are no others.
    """
    known = drawn[np.isfinite(drawn)] if drawn.ndim == 1 else drawn
    return np.quantile(known, (chance / 2, 1 - chance / 2), axis=0) if len(known) else np.full(2, np.nan)


@dataclass(frozen=True, eq=False)
class Groups:
    """The group of each of n samples. of: int64 [n], ids from 0; number: how many there are."""

    of: np.ndarray
    number: int

    @classmethod
    def named(cls, labels: np.ndarray | None, n: int) -> Groups:
        """Of labels [n]; without any, each sample is a group."""
        if labels is None:
            return cls(np.arange(n), n)
        names, of = np.unique(np.asarray(labels), return_inverse=True)
        return cls(of.astype(np.int64), len(names))

    def weights(self) -> np.ndarray:
        """Of samples [n], with which each group counts once; they add up to 1."""
        return 1 / (np.bincount(self.of, minlength=self.number)[self.of] * self.number)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Means of values [n, ...] in each group [G, ...]."""
        total = np.zeros((self.number, *values.shape[1:]))
        np.add.at(total, self.of, values)
        return total / np.bincount(self.of, minlength=self.number).reshape(-1, *[1] * (values.ndim - 1))


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval over groups; low, high: nan where there are fewer than two groups."""

    value: float
    low: float
    high: float


def ratio(above: np.ndarray, below: np.ndarray, groups: Groups, seed: int = 0) -> Estimate:
    """The mean of values [n] over that of others [n] of the same samples, each group counting once."""
    first, second = groups.means(above), groups.means(below)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = draws(groups.number, seed)
        value, found = first.mean() / second.mean(), (drawn @ first) / (drawn @ second)
    low, high = interval(found) if groups.number > 1 else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))
