"""UniFrac and Faith PD, exact, of a batch or of a whole table, on any device.

With the tips in depth-first order every node is an interval of tips, so the reads below all nodes are two look-ups in a cumulative
sum. Definitions are scikit-bio's; p is a sample's share of reads below a node, b the branch length above it:

- unweighted: length below which one of two samples has reads, over length below which any has (Lozupone & Knight 2005).
- weighted_unnormalized: sum b |p_i - p_j|; weighted_normalized: that over sum b (p_i + p_j) (Lozupone et al. 2007).
- generalized: sum b (p_i + p_j)^alpha |p_i - p_j| / (p_i + p_j), over sum b (p_i + p_j)^alpha (Chen et al. 2012); alpha 1 is
  weighted_normalized.

Shares are of the reads that are on the tree: ASVs that the tree lacks are left out, as if the table did not have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, get_args

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from aam.config import UniFracMetric
from aam.data.phylogeny import Phylogeny
from aam.errors import InputError, first_few
from aam.progress import track

# Memory for the tables of samples x nodes of 8 bytes: TABLES of them live at once in each thread, where two blocks of samples meet.
BLOCK_BYTES = 2**31
TABLES = 8
MOST_SAMPLES = 512

Item = TypeVar("Item")


class UniFrac(nn.Module):
    """UniFrac between the samples of a batch. Its buffers are a tree's, so they move with the model but are not saved with it."""

    column_tip: Tensor
    node_start: Tensor
    node_end: Tensor
    branch_length: Tensor

    def __init__(
        self, phylogeny: Phylogeny, metric: UniFracMetric = "unweighted", alpha: float = 0.5, dtype: torch.dtype = torch.float64
    ) -> None:
        """Distances are computed and returned in `dtype`; `alpha`, 0 to 1, is of the generalized metric alone."""
        super().__init__()
        if metric not in get_args(UniFracMetric) or not 0.0 <= alpha <= 1.0:
            raise ValueError(f"{metric!r} with alpha {alpha} is no UniFrac metric")
        self.metric: UniFracMetric = "weighted_normalized" if metric == "generalized" and alpha == 1.0 else metric
        self.alpha = alpha
        self.n_tips = len(phylogeny.tip_columns)
        # Columns that the tree lacks become one tip more, which no node spans.
        column_tip = np.full(self.n_tips + len(phylogeny.missing), self.n_tips, dtype=np.int64)
        column_tip[phylogeny.tip_columns] = np.arange(self.n_tips)
        self.register_buffer("column_tip", torch.from_numpy(column_tip), persistent=False)
        self.register_buffer("node_start", torch.from_numpy(phylogeny.node_start), persistent=False)
        self.register_buffer("node_end", torch.from_numpy(phylogeny.node_end), persistent=False)
        self.register_buffer("branch_length", torch.from_numpy(phylogeny.branch_length).to(dtype), persistent=False)

    @torch.no_grad()
    def forward(self, columns: Tensor, counts: Tensor, sample_index: Tensor | None = None) -> Tensor:
        """Distances [B, B], symmetric, diagonal exactly 0.

        columns: int64 [B, S] in the table; counts: whole numbers of reads [B, S], 0 for padding, whose column is arbitrary.
        sample_index is unused: it is the shared signature of batch distances. Two samples without reads on the tree are at distance
        0, as in scikit-bio. ValueError for counts that are not whole.
        """
        # Autocast would multiply matrices in 16 bits.
        with torch.autocast(columns.device.type, enabled=False):
            values = self.node_values(self._batch_reads(columns, counts))
            touched = (values > 0).any(dim=0).nonzero().squeeze(1)
            values = values[:, touched]
            return _mirror(pair_distances(values, values, self.branch_length[touched], self.metric, self.alpha))

    @torch.no_grad()
    def faith_pd(self, columns: Tensor, counts: Tensor) -> Tensor:
        """Faith PD [B], in the tree's unit: length of the paths from a sample's ASVs to the root (Faith 1992).

        Arguments as for `forward`.
        """
        present = node_reads(self._batch_reads(columns, counts), self.node_start, self.node_end) > 0
        with torch.autocast(columns.device.type, enabled=False):
            return present.to(self.branch_length.dtype) @ self.branch_length

    def node_values(self, tip_reads: Tensor) -> Tensor:
        """What the metric compares below each node, [B, K]: presence (0 or 1) if unweighted, else the share of the reads."""
        reads = node_reads(tip_reads, self.node_start, self.node_end)
        dtype = self.branch_length.dtype
        if self.metric == "unweighted":
            return (reads > 0).to(dtype)
        return reads.to(dtype) / tip_reads.sum(dim=1, keepdim=True).clamp_min(1).to(dtype)

    def tip_reads(self, rows: Tensor, columns: Tensor, counts: Tensor, n_samples: int) -> Tensor:
        """Reads at each tip, int64 [n_samples, T], from entries (row, table column, reads), int64 [E]; repeated ones add up."""
        width = self.n_tips + 1
        table = torch.zeros(n_samples * width, dtype=torch.int64, device=counts.device)
        # Flat, because only a one-dimensional scatter is allowed in deterministic mode on a GPU.
        table.scatter_add_(0, rows * width + self.column_tip[columns], counts)
        return table.view(n_samples, width)[:, : self.n_tips]

    def _batch_reads(self, columns: Tensor, counts: Tensor) -> Tensor:
        whole = counts.to(torch.int64)
        if not torch.equal(whole.to(counts.dtype), counts):
            raise ValueError("counts must be whole numbers of reads")
        rows = torch.arange(len(columns), device=columns.device).unsqueeze(1).expand_as(columns)
        return self.tip_reads(rows.reshape(-1), columns.reshape(-1), whole.reshape(-1), len(columns))


def node_reads(tip_reads: Tensor, node_start: Tensor, node_end: Tensor) -> Tensor:
    """Reads below each node, int64 [B, K], from reads at the tips, int64 [B, T]. Integers: exact, and deterministic on a GPU."""
    before = nn.functional.pad(tip_reads.cumsum(dim=1), (1, 0))
    return before[:, node_end] - before[:, node_start]


def pair_distances(first: Tensor, second: Tensor, branch_length: Tensor, metric: UniFracMetric, alpha: float) -> Tensor:
    """Distances [A, C] between samples given by their node values (`UniFrac.node_values`), [A, K] and [C, K]."""
    if metric == "generalized":
        return _generalized(first, second, branch_length, alpha)
    covered = (first @ branch_length).unsqueeze(1) + second @ branch_length
    if metric == "unweighted":
        overlap = (first * branch_length) @ second.T
        return _ratio(covered - 2 * overlap, covered - overlap)
    overlap = torch.empty_like(covered)
    for row, lengths, own, other in _touched(first, second, branch_length):
        overlap[row] = lengths @ torch.minimum(other, own, out=other)
    # |a - b| = a + b - 2 min(a, b)
    apart = (covered - 2 * overlap).clamp_min(0)
    return apart if metric == "weighted_unnormalized" else _ratio(apart, covered)


def _generalized(first: Tensor, second: Tensor, branch_length: Tensor, alpha: float) -> Tensor:
    # Below the nodes that the first of two samples touches, (p_i + p_j)^alpha is summed; below all others it is p_j^alpha alone.
    second_power = _power(second, alpha) * branch_length
    covered = second_power.sum(dim=1) - (first > 0).to(first.dtype) @ second_power.T
    overlap = torch.empty_like(covered)
    for row, lengths, own, other in _touched(first, second, branch_length):
        smaller = torch.minimum(other, own)
        both = other.add_(own)
        weight = both.pow(alpha)
        covered[row] += lengths @ weight
        overlap[row] = lengths @ smaller.mul_(weight).div_(both)
    return _ratio(covered - 2 * overlap, covered)


def _touched(first: Tensor, second: Tensor, branch_length: Tensor) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """For each sample of `first` [A, K]: its row, and of the k nodes with a value above 0 the branch lengths [k], its values [k, 1]
    and a fresh copy of those of `second` [k, C].

    A node that a sample does not touch shares nothing with it, and a sample touches few: 6 % of the oral table's.
    """
    # Copied row by row, so nodes first.
    by_node = second.T.contiguous()
    for row, values in enumerate(first):
        nodes = values.nonzero().squeeze(1)
        yield row, branch_length[nodes], values[nodes].unsqueeze(1), by_node.index_select(0, nodes)


def _power(values: Tensor, alpha: float) -> Tensor:
    """Values to the power of alpha where there are reads; 0 elsewhere, also for alpha 0."""
    return values.pow(alpha) if alpha > 0 else (values > 0).to(values.dtype)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Part / whole, both 0 or more; 0 where there is nothing at all."""
    return torch.where(whole > 0, part.clamp_min(0) / whole, 0.0)


def _mirror(distances: Tensor) -> Tensor:
    """Square matrix made exactly symmetric, with a diagonal of exactly 0, from its upper half."""
    upper = distances.triu(diagonal=1)
    return upper + upper.T


def require_reads_on_tree(counts: sparse.csr_array, phylogeny: Phylogeny, sample_ids: Sequence[str] | None = None) -> None:
    """InputError that names the samples (ids, or rows from 0) of counts [N, M] without reads on the tree: they have no distance."""
    on_tree = np.zeros(counts.shape[1], dtype=np.int64)
    on_tree[phylogeny.tip_columns] = 1
    if len(empty := np.flatnonzero(counts @ on_tree == 0)):
        names = [sample_ids[row] if sample_ids else f"row {row}" for row in empty.tolist()]
        advice = "remove them or give a tree that has their ASVs"
        raise InputError(f"{len(empty)} of {counts.shape[0]} samples have no ASV in the tree: {first_few(names)}; {advice}")


def unifrac_matrix(
    counts: sparse.csr_array,
    phylogeny: Phylogeny,
    metric: UniFracMetric = "unweighted",
    alpha: float = 0.5,
    *,
    sample_ids: Sequence[str] | None = None,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    block_samples: int | None = None,
) -> np.ndarray:
    """Distances [N, N] between all samples of a table, float64 or float32 as `dtype` says, with a progress bar.

    counts: CSR int64 [N, M], columns as the phylogeny was made for. Blocks of samples are compared in as many threads as torch has.
    Memory beside the result: at most about BLOCK_BYTES, or what `block_samples` at a time take in each thread (TABLES x
    block_samples x nodes x 8 bytes). InputError for samples without reads on the tree.
    """
    require_reads_on_tree(counts, phylogeny, sample_ids)
    unifrac = UniFrac(phylogeny, metric, alpha, dtype).to(device)
    n_samples = counts.shape[0]
    threads = torch.get_num_threads() if device == "cpu" else 1
    affordable = BLOCK_BYTES // (8 * TABLES * len(phylogeny.branch_length) * threads)
    size = block_samples or int(np.clip(affordable, 1, MOST_SAMPLES))

    def values_of(start: int) -> Tensor:
        block = counts[start : start + size]
        rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
        entries = [torch.from_numpy(part.astype(np.int64)).to(device) for part in (rows, block.indices, block.data)]
        return unifrac.node_values(unifrac.tip_reads(entries[0], entries[1], entries[2], block.shape[0]))

    @torch.no_grad()
    def block_of(starts: tuple[int, int]) -> Tensor:
        first = values_of(starts[0])
        second = first if starts[0] == starts[1] else values_of(starts[1])
        distances = pair_distances(first, second, unifrac.branch_length, unifrac.metric, alpha).cpu()
        return _mirror(distances) if starts[0] == starts[1] else distances

    result = np.zeros((n_samples, n_samples), dtype=np.float32 if dtype == torch.float32 else np.float64)
    pairs = [(first, second) for second in range(0, n_samples, size) for first in range(0, second + 1, size)]
    for (first, second), block in zip(pairs, track(_in_threads(block_of, pairs, threads), "UniFrac", len(pairs)), strict=True):
        result[first : first + size, second : second + size] = block
        result[second : second + size, first : first + size] = block.T
    return result


def _in_threads(work: Callable[[Item], Tensor], items: list[Item], threads: int) -> Iterator[Tensor]:
    """Results in order, from threads that share no operation: inside one, they would wait for each other thousands of times."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(threads)
    try:
        yield from pool.map(work, items)
    finally:
        # Not to wait for the rest after an interrupt.
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
