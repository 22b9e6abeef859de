"""A number scaled within the levels of a metadata column: each level (study, site, sex) has a mean and a spread of its own."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from aam.errors import InputError, first_few
from aam.study.study import Study

log = logging.getLogger(__name__)

# Training samples of a level that has a mean and a spread of its own.
_FEWEST = 3


@dataclass(frozen=True)
class Levels:
    """Mean and standard deviation of training samples: of all, and of each level of a column by name. Levels with fewer than three
    training samples, or with one value only, and levels that training lacks are taken as the average one.
    """

    column: str
    mean: float = 0.0
    deviation: float = 1.0
    names: tuple[str, ...] = ()
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("names", "means", "deviations"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not len(self.names) == len(self.means) == len(self.deviations):
            raise ValueError("levels without a mean or a deviation")
        if not all(deviation > 0 for deviation in (self.deviation, *self.deviations)):
            raise ValueError("a deviation of a level that is not above 0")

    def fit(self, truth: np.ndarray, labels: np.ndarray) -> Levels:
        """Of training samples: numbers [n] and their levels [n]."""
        found = {name: truth[labels == name] for name in sorted(set(labels))}
        own = {name: part for name, part in found.items() if len(part) >= _FEWEST and part.std() > 0}
        if rest := [name for name in found if name not in own]:
            what = "scaled as all samples are, having too few samples or one value only"
            log.warning("column %s: %s: %s", self.column, what, first_few(rest))
        means, deviations = (tuple(float(of(part)) for part in own.values()) for of in (np.mean, np.std))
        return Levels(self.column, float(truth.mean()), float(truth.std()), tuple(own), means, deviations)

    def _of(self, values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of each sample's level, to be broadcast over values [n] or [n, Q]."""
        known = {name: (mean, wide) for name, mean, wide in zip(self.names, self.means, self.deviations, strict=True)}
        each = np.array([known.get(label, (self.mean, self.deviation)) for label in labels], dtype=np.float64).reshape(-1, 2)
        shape = (-1, *[1] * (values.ndim - 1))
        return each[:, 0].reshape(shape), each[:, 1].reshape(shape)

    def to_common(self, values: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Numbers of samples of levels -> what they would be in the average level."""
        mean, deviation = self._of(values, labels)
        return self.mean + (values - mean) / deviation * self.deviation

    def from_common(self, values: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The way back."""
        mean, deviation = self._of(values, labels)
        return mean + (values - self.mean) / self.deviation * deviation

    def of_study(self, study: Study) -> np.ndarray:
        """The level of each sample of a study, object [N]. InputError for one without the column; a warning of unknown levels."""
        metadata = study.full_metadata
        if metadata is None or self.column not in metadata.typed.columns:
            raise InputError(f"`metadata` is missing, or has no column {self.column}: the model scales its target within that")
        labels = metadata.texts(self.column).to_numpy(dtype=object)
        if unknown := sorted({str(label) for label in labels if label not in self.names}):
            log.warning("column %s: scaled as all training samples are: %s", self.column, first_few(unknown))
        return labels
