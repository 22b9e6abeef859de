"""Covariates: metadata columns that a model reads beside the microbes, as the columns of one matrix of numbers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from aam.data.metadata import Metadata
from aam.data.missing import by_text, option_for, suspects, with_samples
from aam.data.numbers import finite_number
from aam.errors import InputError, first_few, some_of
from aam.options import Fusion

log = logging.getLogger(__name__)

# In standard deviations: what is further is taken as this far, so that nothing overflows.
_FURTHEST = 1e6


@dataclass(frozen=True)
class Covariates:
    """Metadata columns given to a model, categorical ones first.

    vocabularies: by categorical column the values of the training samples, sorted; numbers: by numeric column their mean and
    standard deviation, of those that have a value; lacking: numeric columns that some of the training samples have no value in;
    as_written: values are known as they are in the file. Models of version 0.1.0 know numbers as people write them: 6, not 6.0;
    fusion: how a transformer joins them with the sample embedding.
    """

    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    as_written: bool = False
    numbers: dict[str, tuple[float, ...]] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()
    fusion: Fusion = "concat"

    def __post_init__(self) -> None:
        for name in ("vocabularies", "numbers"):
            object.__setattr__(self, name, {column: tuple(values) for column, values in getattr(self, name).items()})
        object.__setattr__(self, "lacking", tuple(self.lacking))
        if any(len(scale) != 2 or scale[1] < 0 for scale in self.numbers.values()) or set(self.lacking) - set(self.numbers):
            raise ValueError("covariates.numbers are no means and standard deviations")

    @classmethod
    def named(cls, categorical: Sequence[str], numeric: Sequence[str], fusion: Fusion = "concat") -> Covariates:
        """Of these columns, before anything is known of them."""
        return cls(dict.fromkeys(categorical, ()), True, dict.fromkeys(numeric, (0.0, 0.0)), fusion=fusion)

    def fit(self, metadata: Metadata) -> Covariates:
        """The same columns, of the training samples' rows of the metadata.

        InputError for an absent column, and for text in a column of numbers.
        """
        self._require(metadata)
        levels = {column: tuple(sorted(set(metadata.texts(column)) - {None})) for column in self.vocabularies}
        values = {column: numbers_of(metadata, column) for column in self.numbers}
        lacking = tuple(column for column, found in values.items() if 0 < np.isnan(found).sum() < len(found))
        scales: dict[str, tuple[float, ...]] = {column: _scale(found) for column, found in values.items()}
        return replace(self, vocabularies=levels, numbers=scales, lacking=lacking)

    def warn_of_constant(self, metadata: Metadata) -> None:
        """Warn of columns that are the same in all rows of the metadata, from which nothing is learned."""
        design = self.matrix(metadata)
        for column, places in self.places.items():
            if not np.ptp(design[:, places], axis=0).any():
                log.warning("covariate %s: the same in all training samples, or missing in all: nothing is learned from it", column)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the metadata columns."""
        return (*self.vocabularies, *self.numbers)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Levels of each categorical column, without the unknown one."""
        return tuple(map(len, self.vocabularies.values()))

    @property
    def width(self) -> int:
        """Columns of the matrix, K."""
        return sum(self.sizes) + len(self.numbers) + len(self.lacking)

    @property
    def places(self) -> dict[str, list[int]]:
        """By metadata column, its columns of the matrix: levels of all categorical ones, then numbers, then indicators."""
        ends = np.cumsum([0, *self.sizes])
        found = {name: list(range(*ends[place : place + 2])) for place, name in enumerate(self.vocabularies)}
        first = int(ends[-1])
        for place, name in enumerate(self.numbers):
            indicator = [first + len(self.numbers) + self.lacking.index(name)] if name in self.lacking else []
            found[name] = [first + place, *indicator]
        return found

    def encode(self, metadata: Metadata) -> np.ndarray:
        """Rows of the metadata -> float32 [N, K]; says which values no training sample has.

        A level is a column of 0 and 1; a missing value, and one unseen in training, is 0 in all. A number is scaled to mean 0 and
        standard deviation 1 in training; a missing one is the mean, and 1 in an indicator where training samples lack some.
        InputError for an absent column, and for text in a column of numbers.
        """
        self._require(metadata)
        for column, values in self.vocabularies.items():
            texts = metadata.as_known(column, values, as_written=self.as_written)
            if unseen := sorted({text for text in texts if text is not None and text not in values}):
                log.warning(
                    "column %s: values that no training sample has, read as of an unknown level: %s; training samples have %s",
                    *(column, first_few(unseen), first_few(values)),
                )
        for column in self.numbers:
            if column not in self.lacking and (missing := int(np.isnan(numbers_of(metadata, column)).sum())):
                have = some_of(missing, len(metadata.typed), f"have no {column}, which all training samples have")
                log.warning("%s: read as their mean", have)
        return self.matrix(metadata)

    def matrix(self, metadata: Metadata) -> np.ndarray:
        """The same, without a word."""
        parts = [np.zeros((len(metadata.typed), 0))]
        for column, values in self.vocabularies.items():
            texts = metadata.as_known(column, values, as_written=self.as_written).to_numpy(dtype=object)
            parts.append(texts[:, None] == np.array(values, dtype=object))
        numbers = {column: numbers_of(metadata, column) for column in self.numbers}
        parts += [_scaled(numbers[column], *scale)[:, None] for column, scale in self.numbers.items()]
        parts += [np.isnan(numbers[column])[:, None] for column in self.lacking]
        return np.hstack(parts).astype(np.float32)

    def of_samples(self, metadata: Metadata | None) -> np.ndarray | None:
        """The matrix of all samples of a study; None for no columns. InputError where there are no metadata."""
        if not self.columns:
            return None
        if metadata is None:
            raise InputError(f"`metadata` is missing: this model was trained with the columns {', '.join(self.columns)}")
        return self.encode(metadata)

    def _require(self, metadata: Metadata) -> None:
        if absent := [column for column in self.columns if column not in metadata.typed.columns]:
            columns = first_few(metadata.typed.columns, 30)
            raise InputError(f"the metadata has no column {first_few(absent)}, which the model reads; columns: {columns}")


def numbers_of(metadata: Metadata, column: str, *, chosen: bool = False) -> np.ndarray:
    """Values of a column of numbers, float64 [N], NaN where missing. InputError that names values that are none, and samples.

    chosen: the columns are being chosen, so that this one could be read otherwise; else a model reads it as numbers.
    """
    values = metadata.typed[column]
    found = np.array([np.nan if pd.isna(value) else finite_number(str(value)) for value in values], dtype=np.float64)
    wrong = np.isnan(found) & values.notna().to_numpy()
    if wrong.any():
        texts = by_text(values[wrong].map(str), values.index[wrong])
        words = suspects(texts)
        named, advice = f"column {column}, which the model reads as numbers", "correct them"
        if chosen:
            named, advice = f"`numeric_columns={column}`", f"correct them, or give {column} as `categorical_columns`"
        if option := option_for(words):
            advice = f"give {option} where that means missing"
        some = f"{int(wrong.sum())} of {len(values)} values are not numbers"
        raise InputError(f"{named}: {some}: {with_samples(texts, limit=5)}; {advice}")
    return found


def _scale(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; 0 and 0 of nothing."""
    there = values[~np.isnan(values)]
    size = np.abs(there).max(initial=0.0)
    if not size:
        return 0.0, 0.0
    # Of values near the largest of floating-point numbers a sum is infinite; a power of two rounds nothing.
    size = np.exp2(np.floor(np.log2(size)))
    mean, spread = float((there / size).mean() * size), float((there / size).std() * size)
    return mean, spread if (there != there[0]).any() else 0.0


def _scaled(values: np.ndarray, mean: float, spread: float) -> np.ndarray:
    """Numbers in standard deviations from the mean; 0 where missing, and in all samples where there is no spread."""
    if not spread:
        return np.zeros(len(values))
    with np.errstate(over="ignore"):
        return np.nan_to_num((values - mean) / spread, nan=0.0, posinf=_FURTHEST, neginf=-_FURTHEST).clip(-_FURTHEST, _FURTHEST)
