"""What pairs of samples share as products of what they have at nodes: products of matrices, dense for common nodes."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from aam.distances.nodes import Part

# Samples of a block.
ROWS = 128


class Products:
    """Sum over nodes of b p_i p_j; `own` of b p_i^2."""

    rows = ROWS

    def __init__(self, common: Part, rare: Part) -> None:
        self.own = sum(part.values.power(2) @ part.lengths for part in (common, rare))
        self.common, self.lengths = self._dense(common)
        self.rare = rare.values
        self.below = sparse.csr_array(sparse.diags_array(rare.lengths) @ rare.values.T)

    def of(self, first: int, end: int) -> tuple[np.ndarray, float]:
        product = (self.common[:, first:end] * self.lengths[:, None]).T @ self.common[:, first:]
        return self.rare[first:end] @ self.below[:, first:] + product, 0.0

    def _dense(self, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Values at nodes [nodes, N], and their lengths [nodes]."""
        return part.values.T.toarray(order="C"), part.lengths


class Presence(Products):
    """The same of presence, 0 or 1; nodes that have reads in the same samples are one."""

    def _dense(self, part: Part) -> tuple[np.ndarray, np.ndarray]:
        by_node = part.values.tocsc()
        ends = zip(by_node.indptr[:-1], by_node.indptr[1:], strict=True)
        places = dict[bytes, int]()
        node = np.array(
            [places.setdefault(by_node.indices[start:end].tobytes(), len(places)) for start, end in ends], dtype=np.int64
        )
        _, kept = np.unique(node, return_index=True)
        return by_node[:, kept].T.toarray(order="C"), np.bincount(node, weights=part.lengths, minlength=len(kept))
