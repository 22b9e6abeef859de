"""All pairs of the samples of a table, block by block, in threads, on a CPU."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from aam.parallel.threads import allotted_threads, in_threads
from aam.progress import track

# Arrays of a block with all samples that a thread holds at a time.
ARRAYS = 6
# Memory of all blocks that are compared at a time: more threads take more.
BLOCK_BYTES = 2**30


class Pairs(Protocol):
    """Distances of the samples `first` to `end` with all from `first` on, [R, N - first]; at most `rows` samples at a time."""

    rows: int

    def of(self, first: int, end: int) -> np.ndarray: ...


def all_pairs(pairs: Pairs, n_samples: int, title: str, dtype: type[np.floating] = np.float64) -> np.ndarray:
    """Distances [N, N], symmetric, diagonal exactly 0, with a progress bar; the same whatever the number of threads."""
    rows = pairs.rows
    result = np.empty((n_samples, n_samples), dtype=dtype)

    def fill(first: int) -> None:
        end = min(first + rows, n_samples)
        block = pairs.of(first, end)
        upper = np.triu(block[:, : end - first], 1)
        result[first:end, first:end] = upper + upper.T
        result[first:end, end:] = block[:, end - first :]
        result[end:, first:end] = block[:, end - first :].T

    starts = range(0, n_samples, rows)
    threads = min(allotted_threads(), max(1, BLOCK_BYTES // (8 * ARRAYS * rows * max(n_samples, 1))))
    # A product is computed by the thread that asks for it.
    with threadpool_limits(1, "blas"):
        for _ in track(in_threads(fill, starts, threads), title, len(starts)):
            pass
    return result
