"""Metadata columns that a transformer is given beside the microbes, as codes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from aam.data.metadata import Metadata
from aam.errors import InputError, first_few

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Categoricals:
    """Metadata columns given to the model: per column the values of the training samples, sorted. Value k has code k + 1.

    as_written: values are known as they are in the file. Models of version 0.1.0 know numbers as people write them: 6, not 6.0.
    """

    vocabularies: dict[str, tuple[str, ...]]
    as_written: bool = False

    def __post_init__(self) -> None:
        vocabularies = {column: tuple(values) for column, values in self.vocabularies.items()}
        object.__setattr__(self, "vocabularies", vocabularies)

    @classmethod
    def fit(cls, metadata: Metadata, columns: Sequence[str]) -> Categoricals:
        """Fit to the training samples' rows of the metadata. InputError for an unknown column."""
        _require(metadata.typed, columns)
        return cls({column: tuple(sorted(set(metadata.texts(column)) - {None})) for column in columns}, as_written=True)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each column, the 0 of unseen and missing values included."""
        return tuple(1 + len(values) for values in self.vocabularies.values())

    def encode(self, metadata: Metadata) -> np.ndarray:
        """Rows of the metadata -> int64 [N, C] codes; 0 = missing, or unseen in training. InputError for an absent column."""
        _require(metadata.typed, tuple(self.vocabularies))
        codes = np.zeros((len(metadata.typed), len(self.vocabularies)), dtype=np.int64)
        for position, (column, values) in enumerate(self.vocabularies.items()):
            code = {value: 1 + index for index, value in enumerate(values)}
            texts = metadata.as_known(column, values, as_written=self.as_written)
            if unseen := sorted({text for text in texts if text is not None and text not in code}):
                log.warning(
                    "column %s: values that no training sample has, read as of an unknown level: %s; training samples have %s",
                    *(column, first_few(unseen), first_few(values)),
                )
            codes[:, position] = [code.get(text, 0) for text in texts]
        return codes


def _require(frame: pd.DataFrame, needed: Sequence[str]) -> None:
    if absent := [column for column in needed if column not in frame.columns]:
        columns = ", ".join(frame.columns)
        raise InputError(f"`categorical_columns`: the metadata has no column {first_few(absent)}; columns: {columns}")
