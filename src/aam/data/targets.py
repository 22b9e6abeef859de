"""What a model predicts and is told, as numbers: fitted on training samples only, and kept in the model folder as JSON.

``dataclasses.asdict`` gives the JSON of each class, and ``Class(**json)`` the object back.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aam.config import TransformName
from aam.data.metadata import text_values
from aam.errors import InputError, first_few

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegressionTarget:
    """A number, scaled for training: ``(f(value) - shift) / scale`` with f = log1p for log-zscore, else the value itself."""

    transform: TransformName
    shift: float
    scale: float

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale {self.scale} of a target")

    @classmethod
    def fit(cls, values: np.ndarray, transform: TransformName) -> RegressionTarget:
        """Fit to the training samples' values, float [N]. InputError when they are all equal, or negative with log-zscore."""
        values = np.asarray(values, dtype=np.float64)
        if values.min() == values.max():
            raise InputError(f"the target is {values[0]:g} in all {len(values)} training samples: there is nothing to learn")
        with np.errstate(over="ignore"):
            squares, deviation = float(np.square(values).sum()), float(values.std())
        if not (squares < np.inf and deviation > 0):
            raise InputError(f"the target is {values.min():g} to {values.max():g}, beyond what can be squared; take another unit")
        if transform == "none":
            return cls(transform, 0.0, 1.0)
        if transform == "minmax":
            return cls(transform, float(values.min()), float(np.ptp(values)))
        if transform == "log-zscore":
            values = _log1p(values)
        return cls(transform, float(values.mean()), float(values.std()))

    def forward(self, values: Any) -> Any:
        """Original units -> training units; numpy array or torch tensor, any shape.

        InputError for log-zscore of an array with a negative value.
        """
        if self.transform == "log-zscore":
            values = _log1p(values)
        return (values - self.shift) / self.scale

    def inverse(self, values: Any) -> Any:
        """Training units -> original units; numpy array or torch tensor, any shape."""
        values = values * self.scale + self.shift
        if self.transform != "log-zscore":
            return values
        return np.expm1(values) if isinstance(values, np.ndarray) else values.expm1()


def _log1p(values: Any) -> Any:
    # Tensors have the method, arrays the function, so torch is not needed here. A check of tensors would wait for the GPU.
    if not isinstance(values, np.ndarray):
        return values.log1p()
    if values.min(initial=0) < 0:
        raise InputError(f"target value {values.min():g} is negative: --target-transform log-zscore needs 0 or more; use zscore")
    return np.log1p(values)


@dataclass(frozen=True)
class ClassTarget:
    """Classes, sorted, and their balanced weights: n / (classes x members), so that the mean weight of the samples is 1."""

    classes: tuple[str, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "weights", tuple(self.weights))

    @classmethod
    def fit(cls, labels: Sequence[str] | np.ndarray) -> ClassTarget:
        """Fit to the training samples' labels, str [N]. InputError when there is one class only."""
        classes, members = np.unique(np.asarray(labels, dtype=object), return_counts=True)
        if len(classes) < 2:
            raise InputError(f"the target is {first_few(classes)} in all {len(labels)} training samples: there is nothing to learn")
        weights = len(labels) / (len(classes) * members)
        return cls(tuple(map(str, classes)), tuple(weights.tolist()))

    def encode(self, labels: Sequence[str] | np.ndarray) -> np.ndarray:
        """Labels -> indices into `classes`, int64 [N]. InputError for a class that the training samples lack."""
        index = {label: position for position, label in enumerate(self.classes)}
        if unseen := sorted(set(labels) - set(index)):
            raise InputError(f"class {first_few(unseen)} is not among the training samples' classes: {first_few(self.classes)}")
        return np.array([index[label] for label in labels], dtype=np.int64)

    def decode(self, indices: np.ndarray) -> np.ndarray:
        """Return the labels of indices into `classes`, object [N]."""
        return np.array(self.classes, dtype=object)[np.asarray(indices)]


@dataclass(frozen=True)
class Categoricals:
    """Metadata columns given to the model: per column the values of the training samples, sorted. Value k has code k + 1."""

    vocabularies: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        vocabularies = {column: tuple(values) for column, values in self.vocabularies.items()}
        object.__setattr__(self, "vocabularies", vocabularies)

    @classmethod
    def fit(cls, frame: pd.DataFrame, columns: Sequence[str]) -> Categoricals:
        """Fit to the training samples' rows of the metadata. InputError for an unknown column."""
        _require(frame, columns)
        return cls({column: tuple(sorted(set(text_values(frame[column])) - {None})) for column in columns})

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each column, the 0 of unseen and missing values included."""
        return tuple(1 + len(values) for values in self.vocabularies.values())

    def encode(self, frame: pd.DataFrame) -> np.ndarray:
        """Rows of the metadata -> int64 [N, C] codes; 0 = missing, or unseen in training. InputError for an absent column."""
        _require(frame, tuple(self.vocabularies))
        codes = np.zeros((len(frame), len(self.vocabularies)), dtype=np.int64)
        for position, (column, values) in enumerate(self.vocabularies.items()):
            code = {value: 1 + index for index, value in enumerate(values)}
            texts = text_values(frame[column])
            if unseen := sorted({text for text in texts if text is not None and text not in code}):
                log.warning("column %s has values that training did not have, read as missing: %s", column, first_few(unseen))
            codes[:, position] = [code.get(text, 0) for text in texts]
        return codes


def _require(frame: pd.DataFrame, needed: Sequence[str]) -> None:
    if absent := [column for column in needed if column not in frame.columns]:
        columns = ", ".join(frame.columns)
        raise InputError(f"--categorical-columns: the metadata has no column {first_few(absent)}; columns: {columns}")
