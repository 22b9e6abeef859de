"""Whether a sample is like any that was learned from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from aam.evaluation.intervals import threshold

# Share of the samples of new groups, of the same kind, that are not taken for strangers.
_COVERAGE = 0.99
# Training samples that are compared with, at most.
_MOST = 4000


@dataclass(frozen=True, eq=False)
class Familiar:
    """samples: float32 [n, W], scaled mean ASV vectors of training samples; limit: distance to the nearest of them above which a
    sample is a stranger.
    """

    samples: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    limit: float

    @classmethod
    def fit(cls, place: np.ndarray, groups: np.ndarray | None, seed: int) -> Familiar:
        """Fit to mean ASV vectors float64 [n, W] of training samples: how far each is from the nearest of another group.

        Where groups are too few for the wanted share, the limit is the largest of those distances.
        """
        rows = np.sort(np.random.default_rng(seed).permutation(len(place))[:_MOST])
        units = np.arange(len(place))[rows] if groups is None else np.unique(groups, return_inverse=True)[1][rows]
        mean, spread = place.mean(axis=0), place.std(axis=0)
        spread = np.where(spread > 1e-9, spread, 1.0)
        samples = ((place[rows] - mean) / spread).astype(np.float32)
        apart = cdist(samples, samples)
        apart[units[:, None] == units] = np.inf
        nearest = apart.min(axis=1)
        limit = threshold(nearest, units, _COVERAGE)
        return cls(samples, mean, spread, limit if math.isfinite(limit) else float(nearest.max()))

    def distances(self, place: np.ndarray) -> np.ndarray:
        """Mean ASV vectors [N, W] -> distance of each to the nearest training sample, as a multiple of the limit."""
        return cdist((place - self.mean) / self.spread, self.samples).min(axis=1) / self.limit
