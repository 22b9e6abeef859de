"""What a run leaves on the disk to go on from, and its best weights; it is stopped by signals after a step that was saved."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from aam.data.sampler import STOPPING, Loader
from aam.errors import InputError, Stopped
from aam.ranks import rank
from aam.together import most, wait, world
from aam.training.module import LearningModule
from aam.writing import beside, errno_of, put_in_place, remove, write_text

log = logging.getLogger(__name__)

# SLURM and a launcher may both tell a process of the same event.
_SAME_SIGNAL_SECONDS = 3.0
_SAVE = 1
_LOOK_EVERY = 50
_BAD_BATCH = "bad_batch.txt"
# Beside a sharded checkpoint's parts, as Lightning names it.
_META = "meta.pt"


class Checkpoints(Checkpoint):
    """`last`: all that a resumed run needs to end as if it had never been broken off, written after every epoch, every `minutes`
    within one, and when a signal asks to stop. `best`: the weights of the epoch with the best `monitor`.

    taken: batches of this epoch that were learned from when `last` was written, of so many `batches`.

    What is written replaces the one before only when it is complete, and that one is kept too (`last-before`, `best-before`).
    """

    def __init__(self, folder: Path, monitor: str, higher_is_better: bool, minutes: float) -> None:
        self.folder, self.monitor, self.higher_is_better, self.minutes = folder, monitor, higher_is_better, minutes
        self.best_value: float | None = None
        self.finished = False
        self.taken, self.batches = 0, 0
        self.asked, self.asked_at = 0, 0.0
        self.saved_at = time.monotonic()
        self.handlers: dict[int, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value, "finished": self.finished, "taken": self.taken, "batches": self.batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value, self.finished = state_dict["best_value"], state_dict["finished"]
        self.taken, self.batches = state_dict["taken"], state_dict["batches"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # A run that has stopped early has nothing to go on with.
        trainer.should_stop = self.finished
        assert isinstance(trainer.train_dataloader, Loader)
        trainer.train_dataloader.batches.first = self.taken
        if self.taken and self.batches != trainer.num_training_batches:
            raise InputError("--resume in the middle of an epoch needs the --epochs and --max-steps that the run had")
        self.batches = int(trainer.num_training_batches)
        self.saved_at = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            # One that is ignored, as Ctrl-C is in the background, stays so.
            heard = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
            self.handlers = {number: signal.signal(number, self._ask) for number in heard}

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._give_back()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}

    def _ask(self, number: int, frame: object) -> None:
        if self.asked and time.monotonic() - self.asked_at > _SAME_SIGNAL_SECONDS:
            raise Stopped(number, saved=(self.folder / "last.ckpt").exists())
        if self.asked:
            return
        self.asked, self.asked_at = number, time.monotonic()
        log.info("%s: stopping after this step; again in a few seconds to stop at once", signal.Signals(number).name)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        steps = batch_idx + 1
        # To look at a number on a GPU is to wait for it.
        if pl_module.device.type == "cpu" or steps % _LOOK_EVERY == 0:
            self.require_finite(trainer, pl_module, batch_idx)
        elif world() > 1:
            return
        # After the last batch comes validation, and then `on_train_epoch_end`; gradients that add up are not kept.
        if steps >= trainer.num_training_batches or steps % trainer.accumulate_grad_batches:
            return
        due = _SAVE if time.monotonic() - self.saved_at >= 60 * self.minutes else 0
        # All ranks do the same.
        if wanted := most(max(due, self.asked), pl_module.device):
            self.require_finite(trainer, pl_module, batch_idx)
            self._save_last(trainer, wanted, taken=steps)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.require_finite(trainer, pl_module, int(trainer.num_training_batches) - 1)
        value = float(trainer.callback_metrics[self.monitor])
        if _better(value, self.best_value, self.higher_is_better):
            self.best_value = value
            self._save(trainer, "best", weights_only=True)
        # Early stopping has had its say: it comes before.
        self.finished = trainer.should_stop
        self._save_last(trainer, most(self.asked, pl_module.device), taken=0)

    def require_finite(self, trainer: L.Trainer, module: L.LightningModule, batch_idx: int) -> None:
        """InputError after a loss that is not finite, or when weights are not: what is on the disk is from before."""
        assert isinstance(module, LearningModule)
        bad, what = int(module.first_bad), "the loss is"
        if bad < 0:
            if all(bool(torch.isfinite(weights).all()) for weights in module.parameters()):
                return
            bad, what = batch_idx, "weights are"
        assert isinstance(trainer.train_dataloader, Loader)
        batch = trainer.train_dataloader.batches.together(bad)
        named = f"in step {bad + 1} of epoch {trainer.current_epoch + 1}; its samples are in {_BAD_BATCH}"
        if rank() == 0:
            ids = trainer.train_dataloader.ids
            write_text(self.folder.parent / _BAD_BATCH, "".join(f"{ids[row]}\n" for _, row in batch))
        saved = "the last checkpoint is from before" if (self.folder / "last.ckpt").exists() else "nothing was saved yet"
        advice = "lower --lr, take --mixed-precision bf16 rather than fp16, or look at these samples"
        raise InputError(f"{what} not finite {named}; {saved}: {advice}")

    def _save_last(self, trainer: L.Trainer, wanted: int, taken: int) -> None:
        self.taken = taken
        self._save(trainer, "last", weights_only=False)
        self.saved_at = time.monotonic()
        if wanted > _SAVE:
            raise Stopped(wanted, saved=True)

    def _save(self, trainer: L.Trainer, name: str, weights_only: bool) -> None:
        path = self.folder / f"{name}.ckpt"
        new = beside(path, "new")
        if rank() == 0:
            self.folder.mkdir(exist_ok=True)
            remove(new)
        wait()
        try:
            trainer.save_checkpoint(new, weights_only)
        except (OSError, RuntimeError) as error:
            remove(new)
            if (number := errno_of(error)) is not None:
                raise OSError(number, os.strerror(number), str(path)) from error
            raise
        if rank() == 0:
            put_in_place(new, path, _before(path))
        wait()


def _better(value: float, best: float | None, higher: bool) -> bool:
    """NaN is not better than anything, nor is an infinite value."""
    if not abs(value) < float("inf"):
        return False
    return best is None or (value > best if higher else value < best)


def _look_into(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Whatever error says that it is no whole checkpoint."""
    sharded = path.is_dir()
    content = torch.load(path / _META if sharded else path, map_location="cpu", weights_only=True, mmap=not sharded)
    for part in ("epoch", "loops", "running", *(() if path.name.startswith("best") else ("callbacks", "lr_schedulers"))):
        content[part]
    if sharded:
        (path / ".metadata").stat()
    elif {key: value.shape for key, value in content["state_dict"].items()} != {key: value.shape for key, value in weights.items()}:
        raise ValueError("other weights")


def _before(path: Path) -> Path:
    return path.with_name(f"{path.stem}-before{path.suffix}")


class CheckpointFiles(TorchCheckpointIO):
    """Checkpoints straight into their files: Lightning's own go through memory and the temporary folder first."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        with Path(path).open("wb") as file:
            torch.save(checkpoint, file)


def newest(folder: Path, name: str, weights: Mapping[str, Tensor]) -> Path:
    """The checkpoint `last` or `best` of a run, or the one before where it cannot be read or has other `weights` than a module's.

    InputError where neither will do.
    """
    path = folder / f"{name}.ckpt"
    for candidate in (path, _before(path)):
        try:
            _look_into(candidate, weights)
        except (OSError, EOFError, LookupError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError) as error:
            if candidate.exists():
                log.warning("%s cannot be read (%s)", candidate, type(error).__name__)
        else:
            return candidate
    raise InputError(f"{path}: no checkpoint there that can be read; start afresh with --overwrite")
