"""Training a head on a frozen base, whose embeddings were computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aam.data.sampler import EpochSampler, Key, Loader, RankBatchSampler, ResumableBatches
from aam.data.stream import permuted
from aam.models.sequence_predictor import Prediction
from aam.options import FitOptions
from aam.training.module import TrainModule
from aam.training.scores import SelfSupervisedMetrics


@dataclass(frozen=True)
class EmbeddedBatch:
    """A batch whose base model has already run: embedding [B, D] and what the head needs, as in `Batch`."""

    embedding: Tensor
    target: Tensor
    design: Tensor | None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> EmbeddedBatch:
        """The same batch on another device."""
        design = None if self.design is None else self.design.to(device, non_blocking=non_blocking)
        embedding, target = (x.to(device, non_blocking=non_blocking) for x in (self.embedding, self.target))
        return EmbeddedBatch(embedding, target, design)


class HeadModule(TrainModule):
    """Training on a frozen base, whose embeddings were computed once: an epoch costs the head."""

    def predict_batch(  # type: ignore[override]
        self, batch: EmbeddedBatch, metrics: SelfSupervisedMetrics, batch_idx: int
    ) -> tuple[Prediction, dict[str, Tensor]]:
        return Prediction(batch.embedding, self.model.head(batch.embedding, batch.design)), {}


class _Keys(Dataset[Key]):
    """What a sampler says, as it is."""

    def __getitem__(self, key: Key) -> Key:
        return key


def make_embedded_loader(
    inputs: tuple[np.ndarray, np.ndarray, np.ndarray | None],
    ids: Sequence[str],
    rows: np.ndarray,
    fit: FitOptions,
    shuffle: bool,
) -> DataLoader[EmbeddedBatch]:
    """Batches of this rank's part of the rows of `inputs`: embeddings float32 [N, D], target [N], design float32 [N, K]; `ids`
    of N samples.
    """
    embeddings, target, design = inputs

    def collate(keys: list[Key]) -> EmbeddedBatch:
        chosen = [row for _, row in keys]
        given = None if design is None else torch.from_numpy(design[chosen])
        return EmbeddedBatch(torch.from_numpy(embeddings[chosen]), torch.from_numpy(target[chosen]), given)

    sampler = EpochSampler(rows, fit.seed, permuted if shuffle else None)
    return Loader(_Keys(), ResumableBatches(RankBatchSampler(sampler, fit.batch_size)), ids, collate_fn=collate)
