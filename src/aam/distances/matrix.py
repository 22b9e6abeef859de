"""UniFrac between all samples of a table, and Faith PD, on a CPU without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy import sparse

from aam.data.phylogeny import Phylogeny
from aam.distances.all_pairs import all_pairs
from aam.distances.metric import metric_of
from aam.distances.nodes import reads_below, split
from aam.distances.on_tree import require_reads_on_tree
from aam.distances.products import Presence
from aam.options import UniFracMetric
from aam.parallel.accelerators import may_have_gpu


class Sharing(Protocol):
    """What samples own alone, float64 [N], and what those of a block share with each from the first of them on.

    overlap: sum over nodes of b min(p_i, p_j), presence counting as p = 1; for generalized, of b min(p_i, p_j) (p_i + p_j)^(alpha -
    1). joint: of b ((p_i + p_j)^alpha - p_i^alpha - p_j^alpha), for generalized; else 0. [R, N - first] both.
    """

    own: np.ndarray
    rows: int

    def of(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray | float]: ...


class Compared:
    """Pairs by what they own and share, compared as a metric does it: see `distances`."""

    def __init__(self, sharing: Sharing, metric: UniFracMetric) -> None:
        self.sharing, self.metric, self.rows = sharing, metric, sharing.rows

    def of(self, first: int, end: int) -> np.ndarray:
        own = self.sharing.own
        return distances(self.metric, own[first:end], own[first:], *self.sharing.of(first, end))


def faith_pd(counts: sparse.csr_array, phylogeny: Phylogeny) -> np.ndarray:
    """Faith PD of each sample of a table, float64 [N], in the tree's unit.

    It is the length of the paths from a sample's ASVs to the root (Faith 1992). counts: CSR int64 [N, M], columns as the phylogeny
    was made for.
    """
    below = reads_below(counts, phylogeny)
    below.data[:] = 1
    return np.asarray(below @ phylogeny.branch_length)


def unifrac_matrix(
    counts: sparse.csr_array,
    phylogeny: Phylogeny,
    metric: UniFracMetric = "unweighted",
    alpha: float = 0.5,
    *,
    sample_ids: Sequence[str] | None = None,
    dtype: type[np.floating] = np.float64,
    device: str = "cpu",
) -> np.ndarray:
    """Distances [N, N] between all samples of a table, float64 or float32 as `dtype` says, with a progress bar.

    counts: CSR int64 [N, M], columns as the phylogeny was made for. A CPU computes in float64, in as many threads as the run may
    have; another `device` computes in `dtype`, by PyTorch, if it has room for all nodes. Memory beside the result: 12 bytes
    for each node that a sample touches, twice, 8 (generalized: 16) for each sample at each common node, and up to BLOCK_BYTES of
    `all_pairs`. ASVs that the tree lacks are one warning. InputError for samples without reads on it.

    Examples
    --------
    >>> import aam
    >>> from scipy import sparse
    >>> from io import StringIO
    >>> from skbio import TreeNode
    >>> tree = TreeNode.read(StringIO("((A:1,B:1):1,(C:1,D:1):1);"))
    >>> phylogeny = aam.Phylogeny.from_tree(tree, ["A", "B", "C", "D"])
    >>> counts = sparse.csr_array([[5, 1, 0, 0], [5, 0, 1, 0]])
    >>> aam.unifrac_matrix(counts, phylogeny).round(4)
    array([[0. , 0.6],
           [0.6, 0. ]])

    """
    require_reads_on_tree(counts, phylogeny, sample_ids)
    return compare_all(counts, phylogeny, metric, alpha, dtype=dtype, device=device)


def compare_all(
    counts: sparse.csr_array,
    phylogeny: Phylogeny,
    metric: UniFracMetric,
    alpha: float,
    *,
    dtype: type[np.floating] = np.float64,
    device: str = "cpu",
) -> np.ndarray:
    """`unifrac_matrix` of samples that all have reads on the tree."""
    metric = metric_of(metric, alpha)
    if device != "cpu":
        from aam.distances.on_gpu import compare_on_gpu, has_room

        if has_room(counts.shape[0], len(phylogeny.branch_length), dtype, device):
            return compare_on_gpu(counts, phylogeny, metric, alpha, dtype, device)
    return all_pairs(Compared(_sharing(counts, phylogeny, metric, alpha), metric), counts.shape[0], "UniFrac", dtype)


def fastest_device() -> str:
    """The GPU where there is one, else the CPU; PyTorch is loaded only where there may be one."""
    if not may_have_gpu():
        return "cpu"
    from aam.compute import default_device

    return str(default_device())


def distances(
    metric: UniFracMetric, first_own: np.ndarray, second_own: np.ndarray, overlap: np.ndarray, joint: np.ndarray | float
) -> np.ndarray:
    """Distances [A, C] from what samples own, [A] and [C], and share: see `Sharing`. 0 where there is nothing at all."""
    total = first_own[:, None] + second_own
    if isinstance(joint, np.ndarray):
        total += joint
    apart = np.multiply(overlap, -2)
    apart += total
    np.maximum(apart, 0, out=apart)
    if metric == "weighted_unnormalized":
        return apart
    if metric == "unweighted":
        total -= overlap
    # Nothing of nothing is 0.
    np.maximum(total, np.finfo(total.dtype).tiny, out=total)
    return np.divide(apart, total, out=apart)


def _sharing(counts: sparse.csr_array, phylogeny: Phylogeny, metric: UniFracMetric, alpha: float) -> Sharing:
    """What is compared below each node, presence or the share of a sample's reads, apart for common nodes and rare ones."""
    below, lengths = reads_below(counts, phylogeny), phylogeny.branch_length
    # A node of all tips has the most reads.
    most = 1 if metric == "unweighted" else np.repeat(below.max(axis=1).toarray().clip(min=1), np.diff(below.indptr))
    below.data = np.minimum(below.data, most) / most
    first, second = split(below, lengths)
    del below
    if metric == "unweighted":
        return Presence(first, second)
    from aam.distances.shares import MinimumShares, WeightedShares

    return WeightedShares(first, second, alpha) if metric == "generalized" else MinimumShares(first, second)
