"""Whether samples are told apart at all, by their distances or a quantity of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from aam.data.stream import Counts
from aam.errors import InputError

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


def only_quantity(of: Callable[[np.ndarray], np.ndarray], n_samples: int) -> float | None:
    """The quantity of all samples (or of a thousand of them), where there is but one; None where some differ.

    of: from the numbers [B] of some samples to the quantity of each [B].
    """
    rows = np.random.default_rng(0).permutation(n_samples)[:_SAMPLES]
    least, most = np.inf, -np.inf
    for some in np.split(rows, range(_BLOCK, len(rows), _BLOCK)):
        values = of(some)
        least, most = min(least, float(values.min())), max(most, float(values.max()))
        if most - least > max(_NOTHING, _ROUNDING * abs(most)):
            return None
    return most


def require_differences(between: Callable[[np.ndarray], np.ndarray], n_samples: int, what: str = "") -> None:
    """InputError, which begins with `what`, for distances that are the same between all samples: see `only_distance`."""
    if (value := only_distance(between, n_samples)) is not None:
        advice = "do all samples hold the same, or is the tree or matrix of other data?"
        raise InputError(f"{what}all distances between the samples are {value:g}: nothing can be learned from them; {advice}")


def by_module(measure: nn.Module, counts: Counts) -> Callable[[np.ndarray], np.ndarray]:
    """The distances between samples, or the quantity of each, of counts [N, M], by a measure of a batch."""
    import torch

    @torch.no_grad()
    def of(rows: np.ndarray) -> np.ndarray:
        return measure(*_batch(counts, rows), torch.from_numpy(rows)).double().numpy()

    return of


def _batch(counts: Counts, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Columns and counts [B, S] of some rows."""
    import torch

    part = counts[rows]
    lengths = np.diff(part.indptr)
    there = np.arange(lengths.max(initial=1)) < lengths[:, None]
    columns, values = np.zeros(there.shape, dtype=np.int64), np.zeros(there.shape, dtype=part.data.dtype)
    columns[there], values[there] = part.indices, part.data
    return torch.from_numpy(columns), torch.from_numpy(values)
