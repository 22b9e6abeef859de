"""Ends a run whose loss or weights are not finite, and names the samples of the batch."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import torch

from aam.data.sampler import Loader
from aam.disk.writing import write_text
from aam.errors import InputError
from aam.parallel.ranks import rank
from aam.training.module import LearningModule

_BAD_BATCH = "bad_batch.txt"


def require_finite(trainer: L.Trainer, module: L.LightningModule, batch_idx: int, checkpoint: Path) -> None:
    """InputError after a loss of this epoch that was not finite, or when weights are not after this batch: what is on the disk, in
    `checkpoint`, is from before. The samples are named in `bad_batch.txt` of the run's folder.
    """
    assert isinstance(module, LearningModule)
    bad, what = int(module.first_bad), "the loss is"
    if bad < 0:
        if all(bool(torch.isfinite(weights).all()) for weights in module.parameters() if weights.requires_grad):
            return
        bad, what = batch_idx, "weights are"
    assert isinstance(trainer.train_dataloader, Loader)
    batch = trainer.train_dataloader.batches.together(bad)
    named = f"in step {bad + 1} of epoch {trainer.current_epoch + 1}; its samples are in {_BAD_BATCH}"
    if rank() == 0:
        ids = trainer.train_dataloader.ids
        write_text(checkpoint.parent.parent / _BAD_BATCH, "".join(f"{ids[row]}\n" for _, row in batch))
    saved = "the last checkpoint is from before" if checkpoint.exists() else "nothing was saved yet"
    advice = "lower `lr`, take `mixed_precision=bf16` rather than fp16, or look at these samples"
    raise InputError(f"{what} not finite {named}; {saved}: {advice}")
