"""What pairs of samples share by their shares of reads below nodes, for weighted UniFrac: arrays for the compiled `kernel`."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from aam.distances.kernel import WIDTH, Entries, add_minima, add_weighted
from aam.distances.nodes import Part


class MinimumShares:
    """weighted_normalized and weighted_unnormalized: b min(p, q) = min(b p, b q)."""

    rows = WIDTH

    def __init__(self, common: Part, rare: Part) -> None:
        for part in (common, rare):
            part.values.data *= part.lengths[part.values.indices]
        self.own = common.values.sum(axis=1) + rare.values.sum(axis=1)
        self.arrays = (_entries(common.values), _tiles(common.values), *_both_ways(rare.values))

    def of(self, first: int, end: int) -> tuple[np.ndarray, float]:
        overlap = np.zeros((end - first, WIDTH * len(self.arrays[1])))
        add_minima(first, *self.arrays, overlap)
        return overlap[:, first : len(self.own)], 0.0


class WeightedShares:
    """generalized."""

    rows = WIDTH

    def __init__(self, common: Part, rare: Part, alpha: float) -> None:
        alone = [
            sparse.csr_array((values.data**alpha * lengths[values.indices], values.indices, values.indptr), shape=values.shape)
            for values, lengths in ((part.values, part.lengths) for part in (common, rare))
        ]
        self.own = alone[0].sum(axis=1) + alone[1].sum(axis=1)
        self.tiles = (_tiles(common.values), _tiles(alone[0]))
        lengths = (common.lengths, rare.lengths)
        self.arrays = (alpha, lengths, _entries(common.values), self.tiles, *_both_ways(rare.values))

    def of(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        sums = np.zeros((2, end - first, WIDTH * len(self.tiles[0])))
        add_weighted(first, *self.arrays, (sums[0], sums[1]))
        return sums[0, :, first : len(self.own)], sums[1, :, first : len(self.own)]


def _both_ways(values: sparse.csr_array) -> tuple[Entries, Entries]:
    """By sample, and by node."""
    return _entries(values), _entries(values.tocsc())


def _entries(values: sparse.csr_array | sparse.csc_array) -> Entries:
    """By the first axis of a CSR, or the second of a CSC."""
    values.sort_indices()
    return values.indptr, values.indices, values.data


def _tiles(values: sparse.csr_array) -> np.ndarray:
    """Values of samples at nodes [N, nodes] as the kernel takes them."""
    tiles = np.zeros((-(-values.shape[0] // WIDTH), values.shape[1], WIDTH))
    for number, tile in enumerate(tiles):
        block = values[number * WIDTH : (number + 1) * WIDTH]
        tile[:, : block.shape[0]] = block.T.toarray()
    return tiles
