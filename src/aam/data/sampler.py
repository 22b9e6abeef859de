"""Which samples come when, and which together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from aam.data.workers import begin_worker, end_workers_at_exit, from_workers
from aam.errors import InputError
from aam.parallel.collectives import share, world
from aam.parallel.ranks import rank

log = logging.getLogger(__name__)

# Whether a batch of so many distinct ASVs, samples and ASVs in the largest of them may be made.
Fits = Callable[[int, int, int], bool]
# Rows in a random order.
Shuffle = Callable[[np.ndarray, np.random.Generator], np.ndarray]
# Epoch and row.
Key = tuple[int, int]


class EpochSampler(Sampler[Key]):
    """(epoch, row) keys of the given rows: in an order that `shuffle` makes by (seed, epoch) alone, or as given, of epoch 0.

    Lightning calls `set_epoch`.
    """

    def __init__(self, rows: np.ndarray, seed: int, shuffle: Shuffle | None) -> None:
        self.rows, self.seed, self.shuffle = rows, seed, shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch if self.shuffle else 0

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys(self.epoch))

    def keys(self, epoch: int) -> list[Key]:
        """Those of one epoch."""
        rows = self.shuffle(self.rows, np.random.default_rng((self.seed, epoch))) if self.shuffle else self.rows
        return [(epoch, int(row)) for row in rows]


class RankBatchSampler(Sampler[list[Key]]):
    """The part of this rank in batches that all ranks take together, in the sampler's order: `batch_size` samples each.

    The last ones are shared out evenly; where they are fewer than ranks, they join the batch before. No sample is left out or taken
    twice, and every rank has as many batches, unless there are fewer samples than ranks.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int) -> None:
        self.sampler = sampler
        self.bounds = shared_batches(len(sampler), batch_size, world())

    def __len__(self) -> int:
        return len(self.bounds)

    def __iter__(self) -> Iterator[list[Key]]:
        for keys in self.together():
            if own := keys[part_of(len(keys), rank(), world())]:
                yield own

    def together(self) -> list[list[Key]]:
        """The batches of all ranks."""
        keys = list(self.sampler)
        return [keys[start:end] for start, end in self.bounds]


def shared_batches(samples: int, batch_size: int, ranks: int) -> list[tuple[int, int]]:
    """First place and end of each batch that all ranks take together."""
    starts = list(range(0, samples, batch_size * ranks))
    if len(starts) > 1 and samples - starts[-1] < ranks:
        starts.pop()
    return list(zip(starts, [*starts[1:], samples], strict=True))


def part_of(samples: int, rank: int, ranks: int) -> slice:
    """What one rank takes of a batch; the first ranks have one more where it does not come out even."""
    size, more = divmod(samples, ranks)
    first = rank * size + min(rank, more)
    return slice(first, first + size + (rank < more))


@dataclass(frozen=True)
class Packing:
    """What packs batches: whether one fits, the ASVs of each row (table columns below `n_columns`), and the epochs of the run."""

    fits: Fits
    columns: Sequence[np.ndarray]
    n_columns: int
    epochs: int


class PackedBatchSampler(Sampler[list[Key]]):
    """Batches of up to `batch_size` samples in the sampler's order, closed earlier where one sample more would not fit; ranks take
    them in turn.

    A sample that does not fit alone is a batch of its own; none is left out. Every epoch has as many batches as the epoch with
    most of them - its largest batches are halved until it has - because Lightning counts them once for the whole run.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, packing: Packing) -> None:
        self.sampler, self.batch_size, self.packing = sampler, batch_size, packing
        epochs = range(packing.epochs if sampler.shuffle else 1)
        most = max(len(self.pack(sampler.keys(epoch))) for epoch in epochs)
        self.number = -(-most // world()) * world()
        if self.number > len(sampler):
            raise InputError(f"{len(sampler)} samples do not fit into batches for {world()} devices: raise `max_memory_gb`")
        alone = sum(len(batch) == 1 for batch in self.pack(sampler.keys(0)))
        if alone > 1 and batch_size > 1:
            log.warning("%d of %d samples are alone in their batch: raise `max_memory_gb`", alone, len(sampler))

    def __len__(self) -> int:
        return self.number // world()

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(share(self._batches()))

    def together(self) -> list[list[Key]]:
        """The batches that all ranks learn from in one step."""
        batches = self._batches()
        return [list(chain.from_iterable(batches[first : first + world()])) for first in range(0, len(batches), world())]

    def _batches(self) -> list[list[Key]]:
        batches = self.pack(list(self.sampler))
        while len(batches) < self.number:
            largest = max(range(len(batches)), key=lambda number: len(batches[number]))
            batch = batches[largest]
            batches[largest : largest + 1] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        return batches

    def pack(self, keys: list[Key]) -> list[list[Key]]:
        """The keys in order, in batches as full as they may be."""
        seen = np.zeros(self.packing.n_columns, dtype=bool)
        batches: list[list[Key]] = []
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


class ResumableBatches(Sampler[list[Key]]):
    """The batches of another sampler; of the next epoch only those from number `first` on."""

    def __init__(self, batches: RankBatchSampler | PackedBatchSampler) -> None:
        # Lightning tells `sampler` the epoch.
        self.batches, self.sampler, self.first = batches, batches.sampler, 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Key]]:
        # Not before the first is asked for: loaders with workers make an iterator too many.
        first, self.first = self.first, 0
        yield from islice(self.batches, first, None)

    def together(self, number: int) -> list[Key]:
        """The samples of all ranks in a batch of this epoch."""
        return self.batches.together()[number]


class Loader(DataLoader[Any]):
    """Batches that are made when the first is asked for: Lightning tells the epoch after it has the iterator.

    ids: of the rows of the table. Processes that make batches stay from one epoch to the next.
    """

    def __init__(self, dataset: Dataset[Any], batches: ResumableBatches, ids: Sequence[str], **kwargs: Any) -> None:
        workers = bool(kwargs.get("num_workers"))
        if workers:
            end_workers_at_exit()
        super().__init__(dataset, batch_sampler=batches, worker_init_fn=begin_worker, persistent_workers=workers, **kwargs)
        self.batches, self.ids = batches, ids
        self._processes: list[BaseProcess] = []

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        try:
            begin = super().__iter__
            yield from from_workers(begin, self.num_workers, self._processes) if self.num_workers else begin()
        except InputError as error:
            # One of a worker comes with its traceback.
            raise InputError(str(error).strip().rpartition("aam.errors.InputError: ")[2]) from error
