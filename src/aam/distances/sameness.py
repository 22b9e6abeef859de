"""Whether samples are told apart by their distances at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from aam.data.stream import Counts

if TYPE_CHECKING:
    from torch import Tensor, nn

# More samples than this are not looked at, of so many at a time. As a rule the first ones differ.
_SAMPLES, _BLOCK = 1_000, 50
# Of the largest distance: less than this between two is rounding.
_ROUNDING = 1e-6
_NOTHING = 1e-12


def only_distance(between: Callable[[np.ndarray], np.ndarray], n_samples: int) -> float | None:
    """The distance of all pairs of samples (or of a thousand of them), where there is but one.

    between: from the numbers [B] of some samples to their distances [B, B].

    None where some differ, and for a single pair that is not at distance 0.
    """
    rows = np.random.default_rng(0).permutation(n_samples)[:_SAMPLES]
    blocks = np.split(rows, range(_BLOCK, len(rows), _BLOCK))
    least, most = np.inf, -np.inf
    for number, second in enumerate(blocks):
        for first in blocks[: number + 1]:
            chosen = np.union1d(first, second)
            pairs = between(chosen)[np.triu_indices(len(chosen), 1)]
            if len(pairs):
                least, most = min(least, float(pairs.min())), max(most, float(pairs.max()))
            if most - least > max(_NOTHING, _ROUNDING * most):
                return None
    if most <= _NOTHING:
        return 0.0 if len(rows) > 1 else None
    return most if len(rows) > 2 else None


def by_module(distance: nn.Module, counts: Counts) -> Callable[[np.ndarray], np.ndarray]:
    """The distances between samples, of counts [N, M], by a batch distance."""
    import torch

    @torch.no_grad()
    def between(rows: np.ndarray) -> np.ndarray:
        return distance(*_batch(counts, rows), torch.from_numpy(rows)).double().numpy()

    return between


def _batch(counts: Counts, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Columns and counts [B, S] of some rows."""
    import torch

    part = counts[rows]
    lengths = np.diff(part.indptr)
    there = np.arange(lengths.max(initial=1)) < lengths[:, None]
    columns, values = np.zeros(there.shape, dtype=np.int64), np.zeros(there.shape, dtype=part.data.dtype)
    columns[there], values[there] = part.indices, part.data
    return torch.from_numpy(columns), torch.from_numpy(values)
