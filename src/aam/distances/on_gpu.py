"""UniFrac between all samples of a table on a GPU, block by block, where every node is one of a dense matrix."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse

from aam.data.phylogeny import Phylogeny
from aam.distances.batches import mirror
from aam.distances.nodes import reads_below
from aam.distances.unifrac import comparison_of
from aam.options import UniFracMetric
from aam.progress import track

# Of the reads of a block of samples below all nodes.
BLOCK_BYTES = 2**30
MOST_SAMPLES = 4096


def has_room(n_samples: int, n_nodes: int, dtype: type[np.floating], device: str) -> bool:
    """Whether all samples at all nodes, and a block of them beside its product, go into the memory that is free on a GPU."""
    free = torch.cuda.mem_get_info(device)[0]
    return n_samples * n_nodes * np.dtype(dtype).itemsize + 6 * BLOCK_BYTES < free


@torch.no_grad()
def compare_on_gpu(
    counts: sparse.csr_array, phylogeny: Phylogeny, metric: UniFracMetric, alpha: float, dtype: type[np.floating], device: str
) -> np.ndarray:
    """As `compare_all`. All samples at all nodes are on the device, in `dtype`."""
    comparison = comparison_of(metric, alpha)
    below, n_samples = reads_below(counts, phylogeny), counts.shape[0]
    kind = torch.from_numpy(np.empty(0, dtype=dtype)).dtype
    lengths = torch.from_numpy(phylogeny.branch_length).to(device, kind)
    size = int(np.clip(BLOCK_BYTES // (8 * len(lengths)), 1, MOST_SAMPLES))
    starts = range(0, n_samples, size)
    blocks = []
    for first in track(starts, "Reads below nodes", len(starts)):
        reads = torch.from_numpy(below[first : first + size].toarray()).to(device)
        blocks.append(comparison.values(reads.T.contiguous(), kind))
    own = [comparison.own(block, lengths) for block in blocks]
    result = np.empty((n_samples, n_samples), dtype=dtype)
    pairs = [(first, second) for second in range(len(blocks)) for first in range(second + 1)]
    for first, second in track(pairs, "UniFrac", len(pairs)):
        found = comparison.distances(own[first], own[second], comparison.shared(blocks[first], blocks[second], lengths))
        block = (mirror(found) if first == second else found).cpu().numpy()
        here, there = slice(first * size, (first + 1) * size), slice(second * size, (second + 1) * size)
        result[here, there] = block
        result[there, here] = block.T
    return result
