"""What a tracked run is told of its steps beside losses and scores: the norm of the gradient, speed, memory."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import psutil
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from aam.parallel.collectives import world

_MB = 2**20


class Speed(Callback):
    """`gradient_norm` before clipping, `samples_per_second` on all devices, `memory_mb` of this process and `gpu_memory_mb` at its
    most, as often as the loss of a step is logged, and at the end of each epoch.
    """

    def __init__(self) -> None:
        self.norm: Tensor | None = None
        self.samples, self.since = 0, time.monotonic()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Not the time of validation.
        self.samples, self.since = 0, time.monotonic()

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer) -> None:
        """Lightning calls this with gradients that are whole: not scaled, and not yet clipped."""
        self.norm = torch.nn.utils.get_total_norm([p.grad for p in pl_module.parameters() if p.grad is not None])

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.samples += len(batch.counts if hasattr(batch, "counts") else batch.target) * world()
        last = batch_idx + 1 >= trainer.num_training_batches
        if self.norm is None or not (last or (batch_idx + 1) % trainer.log_every_n_steps == 0):  # type: ignore[attr-defined]
            return
        # Of what is sharded, on every rank.
        norm = float(self.norm.full_tensor() if hasattr(self.norm, "full_tensor") else self.norm)
        now = time.monotonic()
        values = {
            "gradient_norm": norm,
            "samples_per_second": self.samples / max(now - self.since, 1e-9),
            "memory_mb": psutil.Process().memory_info().rss / _MB,
        }
        if torch.cuda.is_available():
            values["gpu_memory_mb"] = torch.cuda.max_memory_allocated() / _MB
        self.samples, self.since = 0, now
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step - 1)
