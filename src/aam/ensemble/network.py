"""The deep path: the sample level of the transformer on fixed ASV vectors, trained on a part of the samples."""

from __future__ import annotations

import math

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from aam.compute import default_device
from aam.config import ModelOptions, ReadOptions
from aam.data.dataset import Batch, Collate, Draw, SampleDataset, make_loader
from aam.ensemble.catalogue import SeenTable
from aam.ensemble.lesson import Lesson
from aam.models import SampleNetwork
from aam.training.fit import quiet_lightning

OPTIONS = ModelOptions(embedding_dim=64, attention_heads=4, attention_layers=1, dropout=0.1)
_BATCH, _RATE, _DECAY, _CLIP = 32, 2e-3, 0.05, 1.0
# Of identities: a pull to zero, so that only what many samples say of an ASV is learned.
_IDENTITY_DECAY = 1.0
_STEPS, _LEAST_EPOCHS, _MOST_EPOCHS = 400, 5, 20
_WARM_UP = 0.1
# Up to this share of a sample's ASVs are left out, in each epoch others.
_LEFT_OUT = 0.5
_PREDICTED_AT_ONCE = 64


class ThinnedSamples(SampleDataset):
    """Samples that lack a random part of their ASVs, another one in each epoch; two ASVs stay at least."""

    def __getitem__(self, key: tuple[int, int]) -> Draw:
        draw = super().__getitem__(key)
        rng = np.random.default_rng((self.seed, *key))
        kept = rng.random(len(draw.columns)) >= _LEFT_OUT * rng.random()
        return Draw(draw.columns[kept], draw.counts[kept], draw.row) if kept.sum() >= 2 else draw


class NetworkModule(L.LightningModule):
    """Absolute error of numbers, as models are judged by it; cross-entropy of classes weighted alike."""

    vectors: Tensor
    identity: Tensor
    class_weights: Tensor | None

    def __init__(self, network: SampleNetwork, table: SeenTable, class_weights: Tensor | None, steps: int) -> None:
        super().__init__()
        self.network, self.steps = network, steps
        self.register_buffer("vectors", torch.tensor(table.vectors))
        self.register_buffer("identity", torch.tensor(table.identity))
        self.register_buffer("class_weights", class_weights)

    def outputs(self, batch: Batch) -> Tensor:
        columns = batch.asv_columns
        return self.network(self.vectors[columns], self.identity[columns], batch.asv_index, batch.counts)

    def training_step(self, batch: Batch, batch_number: int) -> Tensor:
        said = self.outputs(batch)
        assert batch.target is not None
        if self.class_weights is None:
            return (said[:, 0] - batch.target).abs().mean()
        return (F.cross_entropy(said, batch.target, reduction="none") * self.class_weights[batch.target]).mean()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        own = self.network.identity.weight
        others = [parameter for parameter in self.network.parameters() if parameter is not own]
        groups = [{"params": others, "weight_decay": _DECAY}, {"params": [own], "weight_decay": _IDENTITY_DECAY}]
        optimiser = torch.optim.AdamW(groups, lr=_RATE)

        def rate(step: int) -> float:
            done = (step + 1) / self.steps
            return min(1.0, done / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, done)))

        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": LambdaLR(optimiser, rate), "interval": "step"}}


def epochs_for(n: int) -> int:
    """Passes over n samples: enough steps for a small table, not too many for a large one."""
    return min(max(math.ceil(_STEPS / math.ceil(n / _BATCH)), _LEAST_EPOCHS), _MOST_EPOCHS)


def train_network(lesson: Lesson, rows: np.ndarray, seed: int) -> SampleNetwork:
    """Train a network on the samples `rows`."""
    L.seed_everything(seed, verbose=False)
    table = lesson.table
    network = SampleNetwork(OPTIONS, table.vectors.shape[1], table.known, lesson.outputs)
    target = lesson.target if lesson.classes else lesson.target.astype(np.float32)
    samples = ThinnedSamples(table.feature_table(), ReadOptions(), seed)
    loader = make_loader(samples, Collate(table.tokens[:, :1], target), rows, _BATCH, shuffle=True)
    weights = None
    if lesson.classes is not None:
        members = np.bincount(lesson.target[rows], minlength=lesson.classes).clip(min=1)
        weights = torch.from_numpy(len(rows) / (lesson.classes * members)).float()
    epochs = epochs_for(len(rows))
    module = NetworkModule(network, table, weights, epochs * len(loader))
    quiet_lightning()
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator=default_device().type,
        devices=1,
        gradient_clip_val=_CLIP,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    return network.cpu().eval()


@torch.inference_mode()
def run_network(network: SampleNetwork, table: SeenTable, rows: np.ndarray) -> np.ndarray:
    """What a network says of the samples `rows`, float64 [rows, outputs]: training units, or class probabilities."""
    device = default_device()
    network.to(device)
    vectors, identity = torch.tensor(table.vectors, device=device), torch.tensor(table.identity, device=device)
    samples = SampleDataset(table.feature_table(), ReadOptions(), 0)
    # By size, so that little is padding.
    order = np.argsort(np.diff(table.counts.indptr)[rows], kind="stable")
    parts = []
    for batch in make_loader(samples, Collate(table.tokens[:, :1]), rows[order], _PREDICTED_AT_ONCE, shuffle=False):
        moved = batch.to(device)
        columns = moved.asv_columns
        output = network(vectors[columns], identity[columns], moved.asv_index, moved.counts).double()
        parts.append((output.softmax(dim=1) if output.shape[1] > 1 else output).cpu())
    found = np.empty((len(rows), parts[0].shape[1]))
    found[order] = torch.cat(parts).numpy()
    return found
