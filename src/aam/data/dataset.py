"""Samples -> batches that carry each distinct ASV once."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from aam.data.sampler import EpochSampler, Fits, Loader, PackedBatchSampler, Packing, RankBatchSampler, ResumableBatches, Shuffle
from aam.data.stream import Counts, StreamedCounts, shuffled
from aam.data.table import FeatureTable, rarefy
from aam.options import ReadOptions


@dataclass(frozen=True)
class Batch:
    """B samples of at most S ASVs each, U distinct ASVs between them.

    asv_tokens: uint8 [U, 1 + L]; asv_columns: int64 [U], their columns in the table; asv_index: int64 [B, S] into both;
    counts: float32 [B, S], 0 = padding; sample_index: int64 [B], rows of the table; target: [B], float32 (transformed number) or
    int64 (class), or None; design: float32 [B, K] of the covariates, or None; measured: by encoder type, what is learned of the
    samples: distances float32 [B, B] between them, or a quantity float32 [B].

    Known without asking a device, None where nobody said so: `sizes`, the ASVs of each sample, and whether all sequences are of
    one length.
    """

    asv_tokens: Tensor
    asv_columns: Tensor
    asv_index: Tensor
    counts: Tensor
    sample_index: Tensor
    target: Tensor | None = None
    design: Tensor | None = None
    measured: Mapping[str, Tensor] = field(default_factory=dict)
    sizes: tuple[int, ...] | None = None
    equal_lengths: bool | None = None

    @property
    def columns(self) -> Tensor:
        """Table column of every ASV of every sample, int64 [B, S]."""
        return self.asv_columns[self.asv_index]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on another device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The same batch in memory that a GPU copies from while it computes; loaders ask for it by this name."""
        return self._with(Tensor.pin_memory)

    def _with(self, change: Callable[[Tensor], Tensor]) -> Batch:
        tensors = {part.name: value for part in fields(self) if isinstance(value := getattr(self, part.name), Tensor)}
        measured = {name: change(tensor) for name, tensor in self.measured.items()}
        return replace(self, measured=measured, **{name: change(tensor) for name, tensor in tensors.items()})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Draw:
    """The ASVs (table columns) and counts of one sample as the model sees them in one epoch, and its row in the table.

    Of an augmented sample also tokens, uint8 [S, 1 + L], where they are not those of the table, and target, where it is not that of
    the row.
    """

    columns: np.ndarray
    counts: np.ndarray
    row: int
    tokens: np.ndarray | None = None
    target: np.generic | None = None


class SampleDataset(Dataset[Draw]):
    """Samples by (epoch, row): rarefied and limited as `reads` says, the same draw for the same (seed, epoch, sample id).

    Without `rarefy_each_epoch` every epoch has the draw of epoch 0.
    """

    def __init__(self, table: FeatureTable, reads: ReadOptions, seed: int) -> None:
        self.counts: Counts = table.counts
        self.sample_ids, self.reads, self.seed = table.sample_ids, reads, seed
        # By id and not by row, so that the order of the samples in a table changes nothing.
        self.sample_keys = [zlib.crc32(sample_id.encode()) for sample_id in table.sample_ids]

    def most_columns(self) -> list[np.ndarray]:
        """Of each row, the table columns of as many ASVs as a draw can have: all, or with a `token_limit` the most abundant ones,
        or where they are drawn at random those of epoch 0.
        """
        assert not isinstance(self.counts, StreamedCounts)  # refused with the options that need it
        limit = self.reads.token_limit
        if limit is not None and self.reads.asv_sampling == "random":
            return [self[0, row].columns for row in range(self.counts.shape[0])]
        rows = [slice(*self.counts.indptr[row : row + 2]) for row in range(self.counts.shape[0])]
        columns = [self.counts.indices[row] for row in rows]
        if limit is None:
            return columns
        return [asvs[np.argsort(-self.counts.data[row], kind="stable")[:limit]] for asvs, row in zip(columns, rows, strict=True)]

    def __getitem__(self, key: tuple[int, int]) -> Draw:
        epoch, row = key
        rng = np.random.default_rng((self.seed, epoch if self.reads.rarefy_each_epoch else 0, self.sample_keys[row]))
        sample = self.counts[[row]]
        # A sample that was drawn already may have fewer, where `token_limit` cut it. Shallow ones were refused when they were read.
        if self.reads.sampling_depth is not None and sample.data.sum() > self.reads.sampling_depth:
            sample = rarefy(sample, self.reads.sampling_depth, rng)
        columns, counts = sample.indices, sample.data
        limit = self.reads.token_limit
        if limit is not None and len(columns) > limit:
            keep = np.sort(_limit(counts, limit, self.reads.asv_sampling == "random", rng))
            columns, counts = columns[keep], counts[keep]
        return Draw(columns, counts, row)

    def drawn(self, rows: np.ndarray) -> sparse.csr_array:
        """The samples `rows` in epoch 0, CSR int64 [rows, M]."""
        draws = [self[0, int(row)] for row in rows]
        ends = np.cumsum([0, *(len(draw.columns) for draw in draws)])
        columns, counts = (np.concatenate([getattr(draw, name) for draw in draws]) for name in ("columns", "counts"))
        return sparse.csr_array((counts, columns, ends), shape=(len(draws), self.counts.shape[1]))


def _limit(counts: np.ndarray, limit: int, at_random: bool, rng: np.random.Generator) -> np.ndarray:
    if at_random:
        return rng.choice(len(counts), limit, replace=False, p=counts / counts.sum())
    return np.argsort(-counts, kind="stable")[:limit]


@dataclass(frozen=True)
class Collate:
    """Draws -> Batch.

    asv_tokens: uint8 [M, 1 + L] of the table; target [N] and design float32 [N, K] by row of the table, or None; measures: of the
    samples of a batch, by encoder type: what is learned of them.
    """

    asv_tokens: np.ndarray
    target: np.ndarray | None = None
    design: np.ndarray | None = None
    measures: Mapping[str, nn.Module] = field(default_factory=dict)

    def __call__(self, draws: Sequence[Draw]) -> Batch:
        lengths = np.array([len(draw.columns) for draw in draws])
        distinct, occurrence, tokens = self._distinct(draws)
        real = np.arange(lengths.max()) < lengths[:, None]
        asv_index = np.zeros(real.shape, dtype=np.int64)
        asv_index[real] = occurrence
        counts = np.zeros(real.shape, dtype=np.float32)
        counts[real] = np.concatenate([draw.counts for draw in draws])
        rows = np.array([draw.row for draw in draws])
        places = np.count_nonzero(tokens, axis=1)
        batch = Batch(
            asv_tokens=torch.from_numpy(tokens[:, : places.max()]),
            asv_columns=torch.from_numpy(distinct.astype(np.int64)),
            asv_index=torch.from_numpy(asv_index),
            counts=torch.from_numpy(counts),
            sample_index=torch.from_numpy(rows),
            target=None if self.target is None else torch.from_numpy(self._targets(draws)),
            design=None if self.design is None else torch.from_numpy(self.design[rows]),
            sizes=tuple(lengths.tolist()),
            equal_lengths=bool(places.min() == places.max()),
        )
        return replace(batch, measured=measured(self.measures, batch))

    def _distinct(self, draws: Sequence[Draw]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distinct ASVs of some draws: their table columns [U], which of them each occurrence is, and their tokens [U, 1 + L]."""
        columns = np.concatenate([draw.columns for draw in draws])
        if all(draw.tokens is None for draw in draws):
            distinct, occurrence = np.unique(columns, return_inverse=True)
            return distinct, occurrence, self.asv_tokens[distinct]
        tokens = np.concatenate([self.asv_tokens[draw.columns] if draw.tokens is None else draw.tokens for draw in draws])
        # Told apart by both: a changed sequence keeps its place in the tree.
        keys = np.hstack([columns.astype(">i8").view(np.uint8).reshape(len(columns), -1), tokens])
        _, first, occurrence = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        return columns[first], occurrence, tokens[first]

    def _targets(self, draws: Sequence[Draw]) -> np.ndarray:
        assert self.target is not None
        targets = self.target[[draw.row for draw in draws]]
        for place, draw in enumerate(draws):
            if draw.target is not None:
                targets[place] = draw.target
        return targets


def measured(measures: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
    """What measures say of the samples of a batch, float32 [B, B] or [B]."""
    return {name: measure(batch.columns, batch.counts, batch.sample_index).float() for name, measure in measures.items()}


def make_loader(
    dataset: SampleDataset,
    collate: Collate,
    rows: np.ndarray,
    batch_size: int,
    shuffle: bool | Shuffle,
    fits: Fits | None = None,
    epochs: int = 1,
    workers: int = 0,
) -> DataLoader[Batch]:
    """Batches of this rank's part of the given rows of the table, of `batch_size` samples or as many as `fits` allows.

    shuffle: whether they come in a random order, every row in every epoch; or what makes the order, in which a row may come twice.
    `epochs`: of the run, for batches packed by `fits`; `workers`: processes that make them, 0 for this one.
    """
    order = partial(shuffled, dataset.counts) if shuffle is True else shuffle or None
    sampler = EpochSampler(rows, dataset.seed, order)
    batches: RankBatchSampler | PackedBatchSampler = RankBatchSampler(sampler, batch_size)
    if fits is not None:
        batches = PackedBatchSampler(sampler, batch_size, Packing(fits, dataset.most_columns(), dataset.counts.shape[1], epochs))
    pinned = torch.cuda.is_available()
    return Loader(
        dataset, ResumableBatches(batches), dataset.sample_ids, collate_fn=collate, num_workers=workers, pin_memory=pinned
    )
