"""The samples of the ranks' batches, as one process would have them in one batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aam.data.dataset import Batch, measured
from aam.parallel.collectives import gather_rows, total, world
from aam.parallel.ranks import rank


@dataclass(frozen=True)
class Step:
    """own: the samples of this rank, which it encodes; whole: those of all ranks, one after the other; sizes: how many each has;
    measured: what is learned of the samples of all ranks, see `Batch`.

    Alone, own and whole are the same.
    """

    own: Batch
    whole: Batch
    sizes: tuple[int, ...]
    measured: Mapping[str, Tensor]

    @classmethod
    def alone(cls, batch: Batch) -> Step:
        """Of one rank, whatever others there are."""
        return cls(batch, batch, (len(batch.counts),), batch.measured)

    @classmethod
    def of(cls, batch: Batch, measures: Mapping[str, nn.Module]) -> Step:
        """Of all ranks: each calls this with its own batch. Only sparse counts and the tokens of distinct ASVs travel.

        measures: of what is learned, for several ranks, whose samples come together here; alone, the batch brings what is learned.
        """
        if world() == 1:
            return cls.alone(batch)
        device = batch.counts.device
        shape = torch.tensor([[*batch.counts.shape, *batch.asv_tokens.shape, bool(batch.equal_lengths)]], device=device)
        samples, slots, distinct, length, equal = gather_rows(shape, (1,) * world()).T.tolist()
        across, long = max(slots) - batch.counts.shape[1], max(length) - batch.asv_tokens.shape[1]
        counts = gather_rows(F.pad(batch.counts, (0, across)), samples)
        places = gather_rows(F.pad(batch.columns, (0, across)), samples)
        tokens = gather_rows(F.pad(batch.asv_tokens, (0, long)), distinct)
        columns, found = gather_rows(batch.asv_columns, distinct).unique(return_inverse=True)
        # An ASV of two ranks is the same twice.
        there = torch.empty_like(columns).scatter_(0, found, torch.arange(len(found), device=device))
        # Padding, whose column is arbitrary, gets one that is there.
        index = torch.searchsorted(columns, torch.where(counts > 0, places, columns[0]))
        equal_lengths = all(equal) and len(set(length)) == 1
        sample_index = gather_rows(batch.sample_index, samples)
        whole = Batch(tokens[there], columns, index, counts, sample_index, equal_lengths=equal_lengths)
        return cls(batch, whole, tuple(samples), measured(measures, whole))

    def __len__(self) -> int:
        """Samples of all ranks."""
        return sum(self.sizes)

    @property
    def shared(self) -> bool:
        return len(self.sizes) > 1

    def total(self, part: Tensor) -> Tensor:
        """What the ranks of this step have together, with gradients."""
        return total(part) if self.shared else part

    def gather(self, rows: Tensor) -> Tensor:
        """Rows of the samples of this rank [own, ...] -> of all samples [whole, ...], with gradients."""
        return gather_rows(rows, self.sizes) if self.shared else rows

    def own_of(self, rows: Tensor) -> Tensor:
        """The reverse: the rows of this rank's samples, [whole, S] -> [own, S of its batch]."""
        if not self.shared:
            return rows
        start = sum(self.sizes[: rank()])
        return rows[start : start + self.sizes[rank()], : self.own.counts.shape[1]]

    def share_of(self, rows: Tensor) -> Tensor:
        """Every so many, such that ranks have all between them."""
        return rows[rank() :: len(self.sizes)] if self.shared else rows

    def mean(self, part: Tensor, number: Tensor) -> Tensor:
        """The mean over all ranks, from a sum over `number` values of this one; 0 for none."""
        return self.total(part) / self.total(number).clamp(min=1)
