"""UniFrac between all samples of a table.

Most nodes of a tree are rare: they have reads of few samples. The others, 8 % of the oral table's nodes, are compared as a dense
matrix; what pairs share below the rare ones is added pair by pair, so that the cost follows the pairs that share something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from aam.data.phylogeny import Phylogeny
from aam.distances.cut import Nodes
from aam.distances.on_tree import require_reads_on_tree
from aam.distances.unifrac import Comparison, Shared, comparison_of, mirror, reads_below, tip_of_columns
from aam.options import UniFracMetric
from aam.parallel.threads import in_threads
from aam.progress import track

# Memory of the samples x nodes tables that are made in each thread while a block is prepared.
BLOCK_BYTES = 2**29
MOST_SAMPLES = 256
# With blocks of fewer samples than this, fewer threads are faster.
FEWEST_SAMPLES = 32
# Nodes of pairs that are compared at a time below rare nodes: bounds memory where all samples of a block share what is rare in the
# table.
MOST_TERMS = 2**22
# A pair of samples costs 15 ns at a rare node, and at a common one 0.03 ns as part of a matrix product, 0.3 ns otherwise: below
# this share of the samples a node is cheaper as rare.
RARE = {"unweighted": 0.04, "weighted_normalized": 0.12, "weighted_unnormalized": 0.12, "generalized": 0.12}


@dataclass(frozen=True)
class Entries:
    """Values above 0 of a block of samples: node, sample in the block and value [E] each, sorted by node."""

    nodes: Tensor
    samples: Tensor
    values: Tensor

    def where(self, chosen: Tensor) -> Entries:
        return Entries(self.nodes[chosen], self.samples[chosen], self.values[chosen])


@dataclass(frozen=True)
class Block:
    """Samples ready to be compared: what each owns [B], values of the common nodes [K, B], and those of the rare ones."""

    own: Tensor
    common: Tensor
    rare: Entries


def prepare(entries: Entries, n_samples: int, common_nodes: Tensor, comparison: Comparison, branch_length: Tensor) -> Block:
    """common_nodes: int64 [K of the tree], place of each node among the common ones, -1 for a rare one."""
    own = torch.zeros(n_samples, dtype=entries.values.dtype, device=entries.values.device)
    own.index_add_(0, entries.samples, comparison.mass(entries.values) * branch_length[entries.nodes])
    places = common_nodes[entries.nodes]
    common = own.new_zeros(int(common_nodes.max()) + 1, n_samples)
    is_common = places >= 0
    common[places[is_common], entries.samples[is_common]] = entries.values[is_common]
    return Block(own, common, entries.where(~is_common))


def rare_terms(first: Entries, second: Entries, comparison: Comparison, branch_length: Tensor, shared: Shared) -> Shared:
    """`shared` [A, C] with what the pairs share below rare nodes added to it."""
    # For each entry of the first block, those of the second block at the same node: a stretch, because they are sorted by node.
    start = torch.searchsorted(second.nodes, first.nodes)
    number = torch.searchsorted(second.nodes, first.nodes, right=True) - start
    before = number.cumsum(0) - number
    if (total := int(number.sum())) == 0:
        return shared
    borders = torch.searchsorted(before, torch.arange(0, total, MOST_TERMS, device=before.device)).tolist()
    for begin, end in zip(borders, [*borders[1:], len(number)], strict=True):
        mine = begin + torch.repeat_interleave(number[begin:end])
        other = torch.arange(len(mine), device=mine.device) + (start - before)[mine] + before[begin : begin + 1]
        terms = comparison.terms(first.values[mine], second.values[other])
        lengths = branch_length[first.nodes[mine]]
        pair = first.samples[mine] * shared.overlap.shape[1] + second.samples[other]
        shared.overlap.view(-1).scatter_add_(0, pair, terms.overlap * lengths)
        if isinstance(shared.joint, Tensor):
            shared.joint.view(-1).scatter_add_(0, pair, terms.joint * lengths)
    return shared


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
    Memory beside the result: 24 bytes for each node that a sample touches, 8 for each sample at each common node, and BLOCK_BYTES
    (or what `block_samples` at a time take). ASVs that the tree lacks are one warning. InputError for samples without reads on it.
    """
    require_reads_on_tree(counts, phylogeny, sample_ids)
    compared = comparison_of(metric, alpha)
    return compare_all(counts, phylogeny, compared, dtype=dtype, device=device, block_samples=block_samples)


@torch.no_grad()
def compare_all(
    counts: sparse.csr_array,
    phylogeny: Phylogeny,
    comparison: Comparison,
    *,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    block_samples: int | None = None,
) -> np.ndarray:
    """`unifrac_matrix` of samples that all have reads on the tree."""
    arrays = (phylogeny.node_start, phylogeny.node_end, phylogeny.branch_length)
    nodes = Nodes(*(torch.from_numpy(part).to(device) for part in arrays))
    branch_length = nodes.length.to(dtype)
    tips = tip_of_columns(phylogeny)
    n_samples, n_nodes = counts.shape[0], len(phylogeny.branch_length)
    affordable = BLOCK_BYTES // (8 * 4 * n_nodes)
    threads = min(torch.get_num_threads(), max(1, affordable // FEWEST_SAMPLES)) if device == "cpu" else 1
    size = block_samples or int(np.clip(affordable // threads, 1, MOST_SAMPLES))

    @torch.no_grad()
    def entries_of(start: int) -> Entries:
        block = counts[start : start + size]
        rows, places = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr)), tips[block.indices]
        on_tree = places >= 0
        entries = [torch.from_numpy(part[on_tree].astype(np.int64)).to(device) for part in (rows, places, block.data)]
        below = reads_below(nodes, (entries[0], entries[1], entries[2]), (block.shape[0], len(phylogeny.tip_columns)))
        values = comparison.values(below, dtype)
        touched, samples = values.nonzero().unbind(1)
        return Entries(touched, samples, values[touched, samples])

    starts = range(0, n_samples, size)
    entries = list(in_threads(entries_of, starts, threads))
    occupancy = torch.stack([torch.bincount(block.nodes, minlength=n_nodes) for block in entries]).sum(dim=0)
    is_common = occupancy > RARE[comparison.metric] * n_samples
    common_nodes = torch.where(is_common, is_common.cumsum(0) - 1, -1)
    common_lengths = branch_length[is_common]
    blocks = [prepare(entries.pop(0), min(size, n_samples - start), common_nodes, comparison, branch_length) for start in starts]

    @torch.no_grad()
    def distances_of(pair: tuple[int, int]) -> Tensor:
        first, second = blocks[pair[0]], blocks[pair[1]]
        shared = comparison.shared(first.common, second.common, common_lengths)
        shared = rare_terms(first.rare, second.rare, comparison, branch_length, shared)
        distances = comparison.distances(first.own, second.own, shared).cpu()
        return mirror(distances) if pair[0] == pair[1] else distances

    result = np.zeros((n_samples, n_samples), dtype=np.float32 if dtype == torch.float32 else np.float64)
    pairs = [(first, second) for second in range(len(blocks)) for first in range(second + 1)]
    done = track(in_threads(distances_of, pairs, threads), "UniFrac", len(pairs))
    for (first, second), block in zip(pairs, done, strict=True):
        here, there = slice(first * size, (first + 1) * size), slice(second * size, (second + 1) * size)
        result[here, there] = block
        result[there, here] = block.T
    return result
