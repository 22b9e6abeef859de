"""What samples have below the nodes of a tree, or at ASVs, which are the nodes of a star."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from aam.data.phylogeny import Phylogeny

# Of the samples: a node of fewer is cheaper as rare.
RARE = 0.12


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
    return as_nodes(counts) @ nodes.tocsr()


def as_nodes(counts: sparse.csr_array) -> sparse.csr_array:
    """A copy of counts [N, M] whose columns are nodes: CSR float64, its places in 32 bits."""
    places = (counts.indices.astype(np.int32), counts.indptr.astype(np.int32))
    return sparse.csr_array((counts.data.astype(np.float64), *places), shape=counts.shape)


def split(values: sparse.csr_array, lengths: np.ndarray | None = None) -> tuple[Part, Part]:
    """Common nodes and rare ones, from the value of each sample at each node [N, K] and the branches [K]; without them, all are 1.

    Most nodes are rare: they have reads of few samples, and cost as much as the pairs that share them. The others, a tenth of the
    oral table's nodes, are compared as a dense matrix.
    """
    lengths = np.ones(values.shape[1]) if lengths is None else lengths
    common = np.bincount(values.indices, minlength=len(lengths)) > RARE * values.shape[0]
    first, second = (Part(values[:, chosen], lengths[chosen]) for chosen in (np.flatnonzero(common), np.flatnonzero(~common)))
    return first, second
