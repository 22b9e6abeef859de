"""Training the set network, the sample level of the transformer on fixed ASV vectors, on a part of the samples."""

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
from aam.data.dataset import Batch, Collate, Draw, SampleDataset, make_loader
from aam.data.table import FeatureTable
from aam.ensemble.catalogue import SeenTable
from aam.ensemble.training import Training
from aam.models import SampleNetwork
from aam.options import EnsembleOptions, ReadOptions
from aam.parallel.collectives import cluster
from aam.study.targets import balanced_weights
from aam.training.fit import quiet_lightning

_CLIP, _WARM_UP = 1.0, 0.1


class ThinnedSamples(SampleDataset):
    """Samples that lack a random part of their ASVs, up to a share `dropout`, another one in each epoch; two ASVs stay at least."""

    def __init__(self, table: FeatureTable, dropout: float, seed: int) -> None:
        super().__init__(table, ReadOptions(), seed)
        self.dropout = dropout

    def __getitem__(self, key: tuple[int, int]) -> Draw:
        draw = super().__getitem__(key)
        rng = np.random.default_rng((self.seed, *key))
        kept = rng.random(len(draw.columns)) >= self.dropout * rng.random()
        return Draw(draw.columns[kept], draw.counts[kept], draw.row) if kept.sum() >= 2 else draw


class NetworkModule(L.LightningModule):
    """Absolute error of numbers, as models are judged by it; cross-entropy of classes weighted alike."""

    vectors: Tensor
    identity: Tensor
    class_weights: Tensor | None

    def __init__(
        self, network: SampleNetwork, table: SeenTable, class_weights: Tensor | None, options: EnsembleOptions, steps: int
    ) -> None:
        super().__init__()
        self.network, self.options, self.steps = network, options, steps
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
        options = self.options
        groups = [
            {"params": others, "weight_decay": options.network_weight_decay},
            # A pull to zero, so that only what many samples say of an ASV is learned.
            {"params": [own], "weight_decay": options.identity_weight_decay},
        ]
        optimiser = torch.optim.AdamW(groups, lr=options.network_lr)

        def rate(step: int) -> float:
            done = (step + 1) / self.steps
            return min(1.0, done / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, done)))

        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": LambdaLR(optimiser, rate), "interval": "step"}}


def epochs_for(n: int, options: EnsembleOptions) -> int:
    """Epochs for n training samples: enough steps for a small table, not too many for a large one."""
    wanted = math.ceil(options.network_steps / math.ceil(n / options.network_batch_size))
    return min(max(wanted, options.network_min_epochs), options.network_max_epochs)


def train_network(training: Training, rows: np.ndarray) -> SampleNetwork:
    """Train a network on the samples `rows`."""
    problem, table, options = training.problem, training.table, training.options
    L.seed_everything(training.seed, verbose=False)
    network = SampleNetwork(options.network, table.vectors.shape[1], table.known, problem.target.outputs)
    samples = ThinnedSamples(table.feature_table(), options.asv_dropout, training.seed)
    loader = make_loader(samples, Collate(table.tokens[:, :1], problem.learned), rows, options.network_batch_size, shuffle=True)
    weights = None
    if problem.classes is not None:
        weights = torch.from_numpy(balanced_weights(problem.learned[rows], problem.classes)).float()
    epochs = epochs_for(len(rows), options)
    module = NetworkModule(network, table, weights, options, epochs * len(loader))
    quiet_lightning()
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator=default_device().type,
        devices=1,
        plugins=[cluster()],
        gradient_clip_val=_CLIP,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    return network.cpu().eval()
