"""What a run leaves on the disk to go on from, and its best weights; it is stopped by signals after a step that was saved."""

from __future__ import annotations

import logging
import signal
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from aam.data.sampler import Loader
from aam.disk.writing import beside, disk_errors, put_in_place, remove
from aam.errors import InputError, Stopped
from aam.parallel.collectives import most, wait, world
from aam.parallel.ranks import rank
from aam.parallel.signals import Stops
from aam.training.checkpoint_files import before
from aam.training.divergence import require_finite
from aam.training.logger import OverlayLogger

log = logging.getLogger(__name__)

_LOOK_EVERY = 50


class Checkpoints(Checkpoint):
    """`last`: all that a resumed run needs to end as if it had never been interrupted, written after every epoch, every `minutes`
    within one, and when a signal asks to stop. `best`: the weights of the epoch with the best `monitor`.

    taken: batches of this epoch that were done when `last` was written, of so many `batches`.

    What is written replaces the one before only when it is complete, and that one is kept too (`last-before`, `best-before`).
    """

    def __init__(self, folder: Path, monitor: str, higher_is_better: bool, minutes: float) -> None:
        self.monitor, self.higher_is_better, self.minutes = monitor, higher_is_better, minutes
        self.last, self.best = folder / "last.ckpt", folder / "best.ckpt"
        self.best_value: float | None = None
        self.finished = False
        self.taken, self.batches = 0, 0
        self.started = False
        self.stops = Stops(saved=self.last.exists)
        self.saved_at = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value, "finished": self.finished, "taken": self.taken, "batches": self.batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value, self.finished = state_dict["best_value"], state_dict["finished"]
        self.taken, self.batches = state_dict["taken"], state_dict["batches"]

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        done = int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
        if trainer.max_epochs is not None and done > trainer.max_epochs:
            raise InputError(f"`resume`: {done} epochs are done, and `epochs` or `max_steps` allow {trainer.max_epochs}; give more")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        _require_own_moments(trainer)
        if isinstance(trainer.logger, OverlayLogger):
            trainer.logger.first_step = trainer.global_step
        self.started = True
        # A run that has stopped early has nothing to go on with.
        trainer.should_stop = self.finished
        assert isinstance(trainer.train_dataloader, Loader)
        trainer.train_dataloader.batches.first = self.taken
        if self.taken and self.batches != trainer.num_training_batches:
            raise InputError("`resume` in the middle of an epoch needs the `epochs` and `max_steps` that the run had")
        self.batches = int(trainer.num_training_batches)
        self.saved_at = time.monotonic()
        self.stops.listen()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self.stops.leave()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.stops.leave()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        steps = batch_idx + 1
        # To look at a number on a GPU is to wait for it.
        if pl_module.device.type == "cpu" or steps % _LOOK_EVERY == 0:
            require_finite(trainer, pl_module, batch_idx, self.last)
        elif world() > 1:
            return
        # After the last batch comes validation, and then `on_train_epoch_end`; gradients that add up are not kept.
        if steps >= trainer.num_training_batches or steps % trainer.accumulate_grad_batches:
            return
        due = time.monotonic() - self.saved_at >= 60 * self.minutes
        # All ranks do the same: the signal, and in the last bit whether the time has come.
        if wanted := most(2 * self.stops.asked + due, pl_module.device):
            require_finite(trainer, pl_module, batch_idx, self.last)
            self._save_last(trainer, wanted // 2, taken=steps)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        require_finite(trainer, pl_module, int(trainer.num_training_batches) - 1, self.last)
        value = float(trainer.callback_metrics[self.monitor])
        if _better(value, self.best_value, self.higher_is_better):
            self.best_value = value
            _save(trainer, self.best, weights_only=True)
        # Early stopping has had its say: it comes before.
        self.finished = trainer.should_stop
        self._save_last(trainer, most(self.stops.asked, pl_module.device), taken=0)

    def _save_last(self, trainer: L.Trainer, asked: int, taken: int) -> None:
        """Write `last`, and stop if a signal asked for it."""
        self.taken = taken
        # What a resumed run will not log again.
        for logger in trainer.loggers:
            logger.save()
        _save(trainer, self.last, weights_only=False)
        self.saved_at = time.monotonic()
        if asked:
            log.info("%s: saved after step %d", signal.Signals(asked).name, trainer.global_step)
            raise Stopped(asked, saved=True)


def _require_own_moments(trainer: L.Trainer) -> None:
    """ValueError where a checkpoint has brought an optimiser the moments of other weights, which PyTorch takes."""
    for optimizer in trainer.optimizers:
        for parameter, kept in optimizer.state.items():
            if any(value.ndim and value.shape != parameter.shape for value in kept.values()):
                raise ValueError("moments of other weights")


def _save(trainer: L.Trainer, path: Path, weights_only: bool) -> None:
    new = beside(path, "new")
    if rank() == 0:
        path.parent.mkdir(exist_ok=True)
        remove(new)
    wait()
    with disk_errors(path):
        try:
            trainer.save_checkpoint(new, weights_only)
        except BaseException:
            remove(new)
            raise
        if rank() == 0:
            put_in_place(new, path, before(path))
    wait()


def _better(value: float, best: float | None, higher: bool) -> bool:
    """NaN is not better than anything, nor is an infinite value."""
    if not abs(value) < float("inf"):
        return False
    return best is None or (value > best if higher else value < best)
