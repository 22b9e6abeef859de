"""Training samples of a transformer, augmented anew in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aam.augment.registry import augmented, mixed_target
from aam.augment.sample import Clades, Context, Sample
from aam.data.dataset import Draw, SampleDataset
from aam.options import Step


class AugmentedDataset(SampleDataset):
    """The training samples `rows` of a dataset by (epoch, row), changed by `steps`: the same for the same (seed, epoch, sample id),
    whatever process makes it and in whatever order.

    learned: what models learn, by row [N]; tokens: uint8 [M, 1 + L] of the table.
    """

    def __init__(
        self,
        base: SampleDataset,
        steps: Sequence[Step],
        rows: np.ndarray,
        learned: np.ndarray,
        tokens: np.ndarray,
        clades: Clades | None = None,
    ) -> None:
        self.counts, self.sample_ids, self.reads, self.seed = base.counts, base.sample_ids, base.reads, base.seed
        self.sample_keys = base.sample_keys
        self.steps, self.learned, self.tokens, self.clades = tuple(steps), learned, tokens, clades
        self.rows = np.array(sorted(rows, key=lambda row: self.sample_ids[row]), dtype=np.int64)

    def __getitem__(self, key: tuple[int, int]) -> Draw:
        epoch, row = key

        def read(other: int) -> tuple[np.ndarray, np.ndarray]:
            drawn = super(AugmentedDataset, self).__getitem__((epoch, other))
            return drawn.columns, drawn.counts

        context = Context(self.rows, read, self.tokens, self.clades)
        seed = (self.seed, epoch, self.sample_keys[row])
        sample, rng = augmented(Sample.of(row, *read(row)), self.steps, context, seed)
        target = mixed_target(self.learned, sample, rng)
        draw = Draw(sample.columns, sample.counts, row, sample.tokens, target)
        limit = self.reads.token_limit
        if limit is None or len(draw.columns) <= limit:
            return draw
        kept = np.sort(np.argsort(-draw.counts, kind="stable")[:limit])
        tokens = None if draw.tokens is None else draw.tokens[kept]
        return replace(draw, columns=draw.columns[kept], counts=draw.counts[kept], tokens=tokens)
