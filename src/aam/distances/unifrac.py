"""UniFrac and Faith PD, exact, of a batch, on any device.

With the tips in depth-first order every node is an interval of tips, so the reads below all nodes are two look-ups in a cumulative
sum. The tree is cut to the ASVs of the batch first. Definitions are scikit-bio's; p is a sample's share of reads below a node, b
the branch length above it:

- unweighted: length below which one of two samples has reads, over length below which any has (Lozupone & Knight 2005).
- weighted_unnormalized: sum b |p_i - p_j|; weighted_normalized: that over sum b (p_i + p_j) (Lozupone et al. 2007).
- generalized: sum b (p_i + p_j)^alpha |p_i - p_j| / (p_i + p_j), over sum b (p_i + p_j)^alpha (Chen et al. 2012); alpha 1 is
  weighted_normalized.

Shares are of the reads that are on the tree: ASVs that the tree lacks are left out, as if the table did not have them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from aam.data.phylogeny import Phylogeny
from aam.distances.batches import mirror, whole_reads
from aam.distances.cut import CutTree, Nodes
from aam.distances.metric import metric_of
from aam.options import UniFracMetric


class OnTree(nn.Module):
    """What a batch has on a tree. Its buffers are the tree's, so they move with the model but are not saved with it."""

    column_tip: Tensor

    def __init__(self, phylogeny: Phylogeny, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.phylogeny, self.dtype = phylogeny, dtype
        self.tree = CutTree(phylogeny)
        self.register_buffer("column_tip", torch.from_numpy(tip_of_columns(phylogeny)), persistent=False)

    def cut(self, columns: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Reads below each node of the batch's own tree, int64 [K, B], and the lengths of its branches [K]."""
        whole = whole_reads(counts)
        tips = self.column_tip[columns]
        samples, slots = ((counts > 0) & (tips >= 0)).nonzero().unbind(1)
        used, places = tips[samples, slots].unique(return_inverse=True)
        nodes = self.tree(used)
        reads = reads_below(nodes, (samples, places, whole[samples, slots]), (len(columns), len(used)))
        return reads, nodes.length.to(self.dtype)


class UniFrac(OnTree):
    """UniFrac between the samples of a batch.

    Examples
    --------
    >>> import aam
    >>> import torch
    >>> from io import StringIO
    >>> from skbio import TreeNode
    >>> tree = TreeNode.read(StringIO("((A:1,B:1):1,(C:1,D:1):1);"))
    >>> phylogeny = aam.Phylogeny.from_tree(tree, ["A", "B", "C", "D"])
    >>> columns = torch.tensor([[0, 1], [0, 2]])  # of two samples: A and B, A and C
    >>> counts = torch.tensor([[5, 1], [5, 1]])
    >>> aam.UniFrac(phylogeny)(columns, counts)
    tensor([[0.0000, 0.6000],
            [0.6000, 0.0000]], dtype=torch.float64)

    """

    def __init__(
        self, phylogeny: Phylogeny, metric: UniFracMetric = "unweighted", alpha: float = 0.5, dtype: torch.dtype = torch.float64
    ) -> None:
        """Distances are computed and returned in `dtype`; `alpha`, 0 to 1, is of the generalized metric alone."""
        super().__init__(phylogeny, dtype)
        self.comparison = comparison_of(metric, alpha)

    @torch.no_grad()
    def forward(self, columns: Tensor, counts: Tensor, sample_index: Tensor | None = None) -> Tensor:
        """Distances [B, B], symmetric, diagonal exactly 0.

        columns: int64 [B, S] in the table; counts: whole numbers of reads [B, S], 0 for padding, whose column is arbitrary.
        sample_index is unused: it is the shared signature of batch distances. Two samples without reads on the tree are at distance
        0, as in scikit-bio. ValueError for counts that are not whole.
        """
        # Autocast would multiply matrices in 16 bits.
        with torch.autocast(columns.device.type, enabled=False):
            reads, lengths = self.cut(columns, counts)
            values = self.comparison.values(reads, self.dtype)
            own = self.comparison.own(values, lengths)
            return mirror(self.comparison.distances(own, own, self.comparison.shared(values, values, lengths)))


class FaithPD(OnTree):
    """Faith PD of the samples of a batch."""

    @torch.no_grad()
    def forward(self, columns: Tensor, counts: Tensor, sample_index: Tensor | None = None) -> Tensor:
        """Faith PD [B], in the tree's unit: length of the paths from a sample's ASVs to the root (Faith 1992); 0 without reads.

        Arguments as for `UniFrac`.
        """
        with torch.autocast(columns.device.type, enabled=False):
            reads, lengths = self.cut(columns, counts)
            return lengths @ (reads > 0).to(self.dtype)


def tip_of_columns(phylogeny: Phylogeny) -> np.ndarray:
    """The tip of each column of the table, int64 [M]; -1 for one that the tree lacks."""
    column_tip = np.full(len(phylogeny.tip_columns) + len(phylogeny.missing), -1, dtype=np.int64)
    column_tip[phylogeny.tip_columns] = np.arange(len(phylogeny.tip_columns))
    return column_tip


def reads_below(nodes: Nodes, entries: tuple[Tensor, Tensor, Tensor], shape: tuple[int, int]) -> Tensor:
    """Reads below each node, int64 [K, samples], from entries (sample, tip, reads), int64 [E]; repeated ones add up.

    shape: samples and tips. Integers: exact, and deterministic on a GPU.
    """
    samples, tips, reads = entries
    # One row before the first tip, whose sum is 0.
    table = torch.zeros((shape[1] + 1) * shape[0], dtype=torch.int64, device=reads.device)
    # Flat, because only a one-dimensional scatter is allowed in deterministic mode on a GPU.
    table.scatter_add_(0, (tips + 1) * shape[0] + samples, reads)
    before = table.view(shape[1] + 1, shape[0]).cumsum(dim=0)
    return before.index_select(0, nodes.end).sub_(before.index_select(0, nodes.start))


@dataclass(frozen=True)
class Shared:
    """What pairs of samples [A, C] (or [P]) share: sums over the nodes below which both have reads.

    overlap: of b min(p_i, p_j), presence counting as p = 1; for generalized, of b min(p_i, p_j) (p_i + p_j)^(alpha - 1).
    joint: of b ((p_i + p_j)^alpha - p_i^alpha - p_j^alpha), for generalized; else 0.
    """

    overlap: Tensor
    joint: Tensor | float = 0.0


@dataclass(frozen=True)
class Comparison:
    """A metric as sums that samples own alone and sums over the nodes that two of them share.

    A node without reads of one of two samples adds to what the other owns and nothing else, and a sample touches few nodes (6 % of
    the oral table's): |p_i - p_j| = p_i + p_j - 2 min(p_i, p_j).
    """

    metric: UniFracMetric
    alpha: float

    def values(self, reads: Tensor, dtype: torch.dtype) -> Tensor:
        """What is compared below each node, [K, B], from the reads there: presence (0 or 1) if unweighted, else their share."""
        if self.metric == "unweighted":
            return (reads > 0).to(dtype)
        # A node of all tips has the most reads.
        most = reads.amax(dim=0) if len(reads) else reads.new_zeros(reads.shape[1])
        return reads.to(dtype) / most.clamp_min(1).to(dtype)

    def own(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Sum over nodes of b p (p^alpha for generalized), [B], from values [K, B] and lengths [K]."""
        return lengths @ self.mass(values)

    def mass(self, values: Tensor) -> Tensor:
        """p, or p^alpha for generalized, where there are reads; 0 elsewhere, also for alpha 0."""
        if self.metric != "generalized":
            return values
        return values.pow(self.alpha) if self.alpha > 0 else (values > 0).to(values.dtype)

    def terms(self, first: Tensor, second: Tensor) -> Shared:
        """What one node adds to the sums of a pair, but for its length, from values above 0 of any one shape."""
        smaller = torch.minimum(first, second)
        if self.metric != "generalized":
            return Shared(smaller)
        both = first + second
        weight = both.pow(self.alpha - 1)
        return Shared(smaller * weight, both * weight - self.mass(first) - self.mass(second))

    def shared(self, first: Tensor, second: Tensor, lengths: Tensor) -> Shared:
        """Sums of all pairs [A, C] over all nodes, from values [K, A] and [K, C] and lengths [K]."""
        long = lengths.unsqueeze(1)
        if self.metric == "unweighted":
            return Shared((first * long).T @ second)
        if self.metric == "generalized":
            return self._generalized(first, second, long)
        own = (lengths @ first).unsqueeze(1) + lengths @ second
        return Shared((own - torch.cdist((first * long).T.contiguous(), (second * long).T.contiguous(), p=1)) / 2)

    def distances(self, first_own: Tensor, second_own: Tensor, shared: Shared) -> Tensor:
        """Distances [A, C] from what samples own, [A] and [C], and share. 0 where there is nothing at all."""
        total = first_own.unsqueeze(1) + second_own + shared.joint
        apart = (total - 2 * shared.overlap).clamp_min_(0)
        if self.metric == "weighted_unnormalized":
            return apart
        whole = total - shared.overlap if self.metric == "unweighted" else total
        return torch.where(whole > 0, apart / whole, 0.0)

    def _generalized(self, first: Tensor, second: Tensor, long: Tensor) -> Shared:
        """Sample by sample of `first`, over the nodes that it touches."""
        overlap = first.new_empty(first.shape[1], second.shape[1])
        joint = -(((first > 0) * long).T @ self.mass(second)) - self.own(first, long[:, 0]).unsqueeze(1)
        for row, values in enumerate(first.T.contiguous()):
            nodes = values.nonzero().squeeze(1)
            own, other, lengths = values[nodes].unsqueeze(1), second.index_select(0, nodes), long[nodes, 0]
            both = other + own
            weight = both.pow(self.alpha - 1)
            overlap[row] = lengths @ torch.minimum(other, own, out=other).mul_(weight)
            joint[row] += lengths @ both.mul_(weight)
        return Shared(overlap, joint)


def comparison_of(metric: UniFracMetric, alpha: float) -> Comparison:
    """ValueError for what is no UniFrac metric."""
    return Comparison(metric_of(metric, alpha), alpha)
