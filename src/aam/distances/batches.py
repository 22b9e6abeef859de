"""What batch distances share, and the form of those that know nothing but the reads of each ASV."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class OnAsvs(nn.Module):
    """A measure of a batch, from the reads of each ASV."""

    def __init__(self, measure: Callable[[Tensor], Tensor]) -> None:
        """`measure`: from reads float64 [B, U] of the U ASVs of a batch to [B, B] or [B]."""
        super().__init__()
        self.measure = measure

    @torch.no_grad()
    def forward(self, columns: Tensor, counts: Tensor, sample_index: Tensor | None = None) -> Tensor:
        """Float64 [B, B], symmetric, diagonal exactly 0, or [B].

        columns: int64 [B, S] in the table; counts: whole numbers of reads [B, S], 0 for padding, whose column is arbitrary.
        sample_index is unused: it is the shared signature of batch distances. Autocast leaves 64 bits alone. ValueError for
        counts that are not whole.
        """
        found = self.measure(reads_of_asvs(columns, counts))
        return found if found.ndim == 1 else mirror(found)


def reads_of_asvs(columns: Tensor, counts: Tensor) -> Tensor:
    """Reads of the U distinct ASVs of a batch, float64 [B, U]; repeated ones add up."""
    whole = whole_reads(counts)
    samples, slots = (counts > 0).nonzero().unbind(1)
    used, places = columns[samples, slots].unique(return_inverse=True)
    # Flat, because only a one-dimensional scatter is allowed in deterministic mode on a GPU.
    reads = whole.new_zeros(len(columns) * len(used))
    reads.scatter_add_(0, samples * len(used) + places, whole[samples, slots])
    return reads.view(len(columns), len(used)).double()


def whole_reads(counts: Tensor) -> Tensor:
    """Counts as int64. ValueError for those that are not whole."""
    whole = counts.to(torch.int64)
    if not torch.equal(whole.to(counts.dtype), counts):
        raise ValueError("counts must be whole numbers of reads")
    return whole


def mirror(distances: Tensor) -> Tensor:
    """Square matrix made exactly symmetric, with a diagonal of exactly 0, from its upper half."""
    upper = distances.triu(diagonal=1)
    return upper + upper.T
