"""Which samples come when, and which together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

log = logging.getLogger(__name__)

# Whether a batch of so many distinct ASVs, samples and ASVs in the largest of them may be made.
Fits = Callable[[int, int, int], bool]


class EpochSampler(Sampler[tuple[int, int]]):
    """(epoch, row) keys of every given row once: shuffled by (seed, epoch) alone, or in the order given as of epoch 0.

    Lightning calls `set_epoch`.
    """

    def __init__(self, rows: np.ndarray, seed: int, shuffle: bool) -> None:
        self.rows, self.seed, self.shuffle = rows, seed, shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch if self.shuffle else 0

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.keys(self.epoch))

    def keys(self, epoch: int) -> list[tuple[int, int]]:
        """Those of one epoch."""
        rows = np.random.default_rng((self.seed, epoch)).permutation(self.rows) if self.shuffle else self.rows
        return [(epoch, int(row)) for row in rows]


@dataclass(frozen=True)
class Packing:
    """What packs batches: whether one fits, the ASVs of each row (table columns below `n_columns`), and the epochs of the run."""

    fits: Fits
    columns: Sequence[np.ndarray]
    n_columns: int
    epochs: int


class PackedBatchSampler(Sampler[list[tuple[int, int]]]):
    """Batches of up to `batch_size` samples in the sampler's order, closed earlier where one sample more would not fit.

    A sample that does not fit alone is a batch of its own; none is left out. Every epoch has as many batches as the epoch with
    most of them - its largest batches are halved until it has - because Lightning counts them once for the whole run.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, packing: Packing) -> None:
        self.sampler, self.batch_size, self.packing = sampler, batch_size, packing
        epochs = range(packing.epochs if sampler.shuffle else 1)
        self.number = max(len(self.pack(sampler.keys(epoch))) for epoch in epochs)
        alone = sum(len(batch) == 1 for batch in self.pack(sampler.keys(0)))
        if alone > 1 and batch_size > 1:
            log.warning("%d of %d samples are alone in their batch: raise --max-memory-gb", alone, len(sampler))

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batches = self.pack(list(self.sampler))
        while len(batches) < self.number:
            largest = max(range(len(batches)), key=lambda number: len(batches[number]))
            batch = batches[largest]
            batches[largest : largest + 1] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        return iter(batches)

    def pack(self, keys: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        """The keys in order, in batches as full as they may be."""
        seen = np.zeros(self.packing.n_columns, dtype=bool)
        batches: list[list[tuple[int, int]]] = []
        distinct = longest = 0
        for key in keys:
            columns = self.packing.columns[key[1]]
            new = int(np.count_nonzero(~seen[columns]))
            last = batches[-1] if batches else []
            grown = (distinct + new, len(last) + 1, max(longest, len(columns)))
            if not last or len(last) == self.batch_size or not self.packing.fits(*grown):
                batches.append([])
                grown = (len(columns), 1, len(columns))
                seen[:] = False
            batches[-1].append(key)
            seen[columns] = True
            distinct, longest = grown[0], grown[2]
        return batches
