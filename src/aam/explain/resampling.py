"""Groups that count once each, and what they say when they are resampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Draws, and the part of them that a 95 % interval leaves out at each end.
_DRAWS, _OUTSIDE = 1000, 2.5


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


def draws(groups: int, seed: int = 0, number: int = _DRAWS) -> np.ndarray:
    """Weights of groups [draws, G] as the Bayesian bootstrap draws them (Rubin 1981, doi 10.1214/aos/1176345338): no group is ever
    left out, so few groups make no empty sample.
    """
    return np.random.default_rng(seed).exponential(size=(number, groups))


def interval(resampled: np.ndarray) -> np.ndarray:
    """Ends [2, ...] of the middle 95 % of draws [draws, ...]."""
    return np.percentile(resampled, (_OUTSIDE, 100 - _OUTSIDE), axis=0)


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
        value, resampled = first.mean() / second.mean(), (drawn @ first) / (drawn @ second)
    low, high = interval(resampled) if groups.number > 1 else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))
