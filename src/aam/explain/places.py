"""The ASVs of some samples, one after the other: what attributions belong to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse


@dataclass(frozen=True, eq=False)
class Places:
    """The ASVs of some samples of a table, one sample after the other.

    rows: int64 [n], of the table; sample, column: int64 [T], places in `rows` and columns of the table; count: float64 [T].
    """

    rows: np.ndarray
    sample: np.ndarray
    column: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, counts: sparse.csr_array, rows: np.ndarray) -> Places:
        """Of the samples `rows` of counts CSR [N, M]."""
        some = sparse.csr_array(counts[rows])
        sample = np.repeat(np.arange(len(rows)), np.diff(some.indptr))
        return cls(rows, sample, some.indices.astype(np.int64), some.data.astype(np.float64))

    @cached_property
    def size(self) -> np.ndarray:
        """ASVs of each sample, int64 [n]."""
        return np.bincount(self.sample, minlength=len(self.rows))
