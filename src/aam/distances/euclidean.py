"""Euclidean distances between rows of logarithms, of which few are not 0: all pairs of a table, exact also for close ones."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from aam.distances.nodes import split
from aam.distances.products import ROWS, Products

# Squared distances below this, as a share of the rows' own squares, are summed up once more, difference by difference: what is left
# of two large sums is rounding (two equal samples would be at 1e-7).
_CLOSE = 1e-6
# Pairs that are summed up at a time.
_CHUNK = 4096


class Euclidean:
    """Distances between rows ``values - centre`` of all M columns, with values CSR float64 [N, M] and centre [N].

    The centre is 0 or the mean of the row over all M columns. Then |a - b|^2 - M (centre_a - centre_b)^2, of values a and b, is the
    squared distance, and the rows stay as sparse as the table.
    """

    rows = ROWS

    def __init__(self, values: sparse.csr_array, centre: np.ndarray) -> None:
        self.values, self.centre = values, centre
        self.products = Products(*split(values))

    def of(self, first: int, end: int) -> np.ndarray:
        own = self.products.own
        scale = own[first:end, None] + own[first:]
        shared, _ = self.products.of(first, end)
        apart = scale - 2 * shared
        apart -= self.values.shape[1] * (self.centre[first:end, None] - self.centre[first:]) ** 2
        # The lower half and the diagonal are not used.
        close = np.triu(apart < _CLOSE * scale, 1)
        apart[close] = self._summed_up(*(places + first for places in np.nonzero(close)))
        return np.sqrt(np.maximum(apart, 0, out=apart), out=apart)

    def _summed_up(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Squared distances of pairs, [P]."""
        found = np.empty(len(first))
        for start in range(0, len(first), _CHUNK):
            here = slice(start, start + _CHUNK)
            apart = sparse.csr_array(self.values[first[here]] - self.values[second[here]])
            centre = self.centre[first[here]] - self.centre[second[here]]
            number = np.diff(apart.indptr)
            apart.data = (apart.data - np.repeat(centre, number)) ** 2
            found[here] = apart.sum(axis=1) + (self.values.shape[1] - number) * centre**2
        return found
