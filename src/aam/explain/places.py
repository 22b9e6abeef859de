"""The ASVs of some samples, one after the other: what attributions belong to and made-up samples hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse


@dataclass(frozen=True, eq=False)
class Places:
    """The ASVs of some samples of a table, one sample after the other.

    rows: int64 [n], of the table, which may repeat; sample, column: int64 [T], places in `rows` and columns of the table; count:
    [T], as the table has them; width: columns of the table.
    """

    rows: np.ndarray
    sample: np.ndarray
    column: np.ndarray
    count: np.ndarray
    width: int

    @classmethod
    def of(cls, counts: sparse.csr_array, rows: np.ndarray) -> Places:
        """Of the samples `rows` of counts CSR [N, M]."""
        some = sparse.csr_array(counts[rows])
        sample = np.repeat(np.arange(len(rows)), np.diff(some.indptr))
        return cls(rows, sample, some.indices.astype(np.int64), some.data, counts.shape[1])

    @cached_property
    def size(self) -> np.ndarray:
        """ASVs of each sample, int64 [n]."""
        return np.bincount(self.sample, minlength=len(self.rows))

    def only(self, kept: np.ndarray) -> sparse.csr_array:
        """The samples with the ASVs of the mask `kept` [T] alone, CSR [n, width]."""
        ends = np.concatenate([[0], np.bincount(self.sample[kept], minlength=len(self.rows)).cumsum()])
        return sparse.csr_array((self.count[kept], self.column[kept], ends), shape=(len(self.rows), self.width))
