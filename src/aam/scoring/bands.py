"""Quantiles of a number, from what predictions missed by on groups that a model did not learn from.

What is added to a prediction to get a quantile of the truth is a quantile of the errors of samples of known truth, in which each
group counts once; of samples whose prediction is near, since large numbers are missed by more than small ones (split conformal
regression, conditional on the prediction; Romano, Patterson & Candes 2019, arXiv 1905.03222, do so with the errors of quantiles).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Places along the predictions at which errors are looked at, for predictions of a mean or median.
PLACES = 3
# Rounding of cumulative weights.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Band:
    """levels: of the quantiles, rising, with 0.5 among them; at: predictions [P], rising; errors: [P, Q], what is added to each
    quantile there; between, on a line.
    """

    levels: tuple[float, ...]
    at: tuple[float, ...]
    errors: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        for name in ("levels", "at"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "errors", tuple(map(tuple, self.errors)))
        if 0.5 not in self.levels or not self.at or [len(row) for row in self.errors] != [len(self.levels)] * len(self.at):
            raise ValueError("a band without a median, or of another shape")

    @classmethod
    def fit(
        cls, truth: np.ndarray, said: np.ndarray, groups: np.ndarray, levels: Sequence[float], places: int = PLACES
    ) -> Band | None:
        """Of samples that were not learned from: truth [n], quantiles that were said of them [n, Q], groups: their ids [n].

        None where there are too few groups to tell the outermost quantiles: 9 for those of 10 and 90 %.
        """
        _, group, members = np.unique(groups, return_inverse=True, return_counts=True)
        if (len(members) + 1) * min(min(level, 1 - level) for level in levels) < 1 - _ROUNDING:
            return None
        weights, predicted, errors = 1 / members[group], said[:, levels.index(0.5)], truth[:, None] - said
        order = np.argsort(predicted, kind="stable")
        rank = np.empty(len(truth))
        rank[order] = (weights[order].cumsum() - weights[order] / 2) / weights.sum()
        at, found = [], []
        for place in (np.arange(places) + 0.5) / places:
            # Those that are as near as the places are to each other, and half as far again.
            near = weights * (1 - np.abs(rank - place) * places / 1.5).clip(min=0) if places > 1 else weights
            at.append(float(np.interp(place, rank[order], predicted[order])))
            found.append(tuple(weighted_quantile(errors[:, q], near, level) for q, level in enumerate(levels)))
        return cls(tuple(levels), tuple(at), tuple(found))

    def apply(self, said: np.ndarray) -> np.ndarray:
        """Quantiles [n, Q] of what was said of new samples [n, Q]: rising, the median as it was said."""
        middle = self.levels.index(0.5)
        errors = np.array(self.errors)
        found = said + np.stack([np.interp(said[:, middle], self.at, errors[:, q]) for q in range(len(self.levels))], axis=1)
        found[:, middle] = said[:, middle]
        found[:, middle:] = np.maximum.accumulate(found[:, middle:], axis=1)
        found[:, : middle + 1] = np.minimum.accumulate(found[:, middle::-1], axis=1)[:, ::-1]
        return found

    def around(self, predicted: np.ndarray) -> np.ndarray:
        """Quantiles [n, Q] around predictions [n]."""
        return self.apply(repeated(predicted, self.levels))


def repeated(predicted: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Predictions [n] as quantiles that are all alike [n, Q]."""
    return np.repeat(predicted[:, None].astype(np.float64), len(levels), axis=1)


def weighted_quantile(values: np.ndarray, weights: np.ndarray, level: float) -> float:
    """The least of the values [n] up to which a share `level` of the weights [n] lies."""
    order = np.argsort(values, kind="stable")
    reached = weights[order].cumsum() >= level * weights.sum() * (1 - _ROUNDING)
    return float(values[order[int(reached.argmax())]])
