"""Which samples come when, and which together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

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
        rows = self.rows
        if self.shuffle:
            rows = np.random.default_rng((self.seed, self.epoch)).permutation(rows)
        return iter([(self.epoch, int(row)) for row in rows])


class PackedBatchSampler(Sampler[list[tuple[int, int]]]):
    """Batches of up to `batch_size` samples in the sampler's order, closed earlier where one sample more would not fit.

    columns: the ASVs of each row (table columns), from which the size of a batch is known before it is drawn. A sample that does
    not fit alone is a batch of its own; none is left out.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, columns: Sequence[np.ndarray], n_columns: int, fits: Fits) -> None:
        self.sampler, self.batch_size, self.columns, self.n_columns, self.fits = sampler, batch_size, columns, n_columns, fits

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        seen = np.zeros(self.n_columns, dtype=bool)
        batch: list[tuple[int, int]] = []
        distinct = longest = 0
        for key in self.sampler:
            columns = self.columns[key[1]]
            new = int(np.count_nonzero(~seen[columns]))
            grown = (distinct + new, len(batch) + 1, max(longest, len(columns)))
            if batch and (len(batch) == self.batch_size or not self.fits(*grown)):
                yield batch
                batch, grown = [], (len(columns), 1, len(columns))
                seen[:] = False
            batch.append(key)
            seen[columns] = True
            distinct, longest = grown[0], grown[2]
        if batch:
            yield batch

    def __len__(self) -> int:
        """Batches of the sampler's present epoch."""
        return sum(1 for _ in self)
