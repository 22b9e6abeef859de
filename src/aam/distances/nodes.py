"""What samples have below the nodes of a tree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from aam.data.phylogeny import Phylogeny


@dataclass(frozen=True, eq=False)
class Part:
    """Some nodes: the value of each sample, CSR float64 [N, nodes], and the length of the branch above, float64 [nodes]."""

    values: sparse.csr_array
    lengths: np.ndarray


def reads_below(counts: sparse.csr_array, phylogeny: Phylogeny) -> sparse.csr_array:
    """Reads below each node, from counts [N, M]: CSR float64 [N, K], whole numbers.

    A product with the nodes above each tip, so the cost follows the nodes that samples touch.
    """
    size = phylogeny.node_end - phylogeny.node_start
    starts = np.append(0, size.cumsum())
    tips = np.arange(starts[-1]) + np.repeat(phylogeny.node_start - starts[:-1], size)
    shape = (counts.shape[1], len(size))
    columns = phylogeny.tip_columns[tips].astype(np.int32)
    nodes = sparse.csc_array((np.ones(len(tips)), columns, starts.astype(np.int32)), shape=shape)
    places = (counts.indices.astype(np.int32), counts.indptr.astype(np.int32))
    return sparse.csr_array((counts.data.astype(np.float64), *places), shape=counts.shape) @ nodes.tocsr()
