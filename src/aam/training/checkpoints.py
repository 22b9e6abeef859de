"""What a run leaves on the disk to go on from, and its best weights; it is stopped by signals after a step that was saved."""

from __future__ import annotations

import logging
import pickle
import signal
import threading
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint

from aam.data.sampler import Loader
from aam.errors import InputError, Stopped
from aam.ranks import rank
from aam.together import most, wait
from aam.training.module import LearningModule
from aam.writing import beside, put_in_place, remove, write_text

log = logging.getLogger(__name__)

# Ctrl-C; what SLURM and others send before they kill; what SLURM is asked to send (--signal=USR1@60) a while before that.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_SAVE = 1
_LOOK_EVERY = 50
_BAD_BATCH = "bad_batch.txt"
# Beside a sharded checkpoint's parts, as Lightning names it.
_META = "meta.pt"


class Checkpoints(Checkpoint):
    """`last`: all that a resumed run needs to end as if it had never been broken off, written after every epoch, every `minutes`
    within one, and when a signal asks to stop. `best`: the weights of the epoch with the best `monitor`.

    taken: batches of this epoch that were learned from when `last` was written.

    What is written replaces the one before only when it is complete, and that one is kept too (`last-before`, `best-before`).
    """

    def __init__(self, folder: Path, monitor: str, higher_is_better: bool, minutes: float) -> None:
        self.folder, self.monitor, self.higher_is_better, self.minutes = folder, monitor, higher_is_better, minutes
        self.best_value: float | None = None
        self.finished = False
        self.taken = 0
        self.asked = 0
        self.saved_at = time.monotonic()
        self.handlers: dict[int, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value, "finished": self.finished, "taken": self.taken}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value, self.finished, self.taken = (state_dict[name] for name in ("best_value", "finished", "taken"))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # A run that has stopped early has nothing to go on with.
        trainer.should_stop = self.finished
        assert isinstance(trainer.train_dataloader, Loader)
        trainer.train_dataloader.batches.first = self.taken
        self.saved_at = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            # One that is ignored, as Ctrl-C is in the background, stays so.
            heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self.handlers = {number: signal.signal(number, self._ask) for number in heard}

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            raise Stopped(number, saved=(self.folder / "last.ckpt").exists())
        self.asked = number
        log.info("%s: stopping after this step; once more to stop at once", signal.Signals(number).name)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        steps = batch_idx + 1
        # To look at a number on a GPU is to wait for it.
        if pl_module.device.type == "cpu" or steps % _LOOK_EVERY == 0:
            self.require_finite(trainer, pl_module)
        # After the last batch comes validation, and then `on_train_epoch_end`; gradients that add up are not kept.
        if steps >= trainer.num_training_batches or steps % trainer.accumulate_grad_batches:
            return
        due = _SAVE if time.monotonic() - self.saved_at >= 60 * self.minutes else 0
        # All ranks do the same.
        if wanted := most(max(due, self.asked), pl_module.device):
            self.require_finite(trainer, pl_module)
            self._save_last(trainer, wanted, taken=steps)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.require_finite(trainer, pl_module)
        value = float(trainer.callback_metrics[self.monitor])
        if _better(value, self.best_value, self.higher_is_better):
            self.best_value = value
            self._save(trainer, "best", weights_only=True)
        # Early stopping has had its say: it comes before.
        self.finished = trainer.should_stop
        self._save_last(trainer, most(self.asked, pl_module.device), taken=0)

    def require_finite(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """InputError after a loss that is not finite, or when weights are not: what is on the disk is from before."""
        assert isinstance(module, LearningModule)
        bad = int(module.first_bad)
        if bad < 0 and all(bool(torch.isfinite(weights).all()) for weights in module.parameters()):
            return
        assert isinstance(trainer.train_dataloader, Loader)
        named = ""
        if bad >= 0:
            batch = trainer.train_dataloader.batches.together(bad)
            named = f" in step {bad + 1} of epoch {trainer.current_epoch + 1}; its samples are in {_BAD_BATCH}"
            if rank() == 0:
                ids = trainer.train_dataloader.ids
                write_text(self.folder.parent / _BAD_BATCH, "".join(f"{ids[row]}\n" for _, row in batch))
        saved = "the last checkpoint is from before" if (self.folder / "last.ckpt").exists() else "nothing was saved yet"
        advice = "lower --lr, take --mixed-precision bf16 rather than fp16, or look at these samples"
        raise InputError(f"the loss is not finite{named}; {saved}: {advice}")

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
        trainer.save_checkpoint(new, weights_only)
        if rank() == 0:
            put_in_place(new, path, _before(path))
        wait()


def _better(value: float, best: float | None, higher: bool) -> bool:
    """NaN is not better than anything, nor is an infinite value."""
    if not abs(value) < float("inf"):
        return False
    return best is None or (value > best if higher else value < best)


def _before(path: Path) -> Path:
    return path.with_name(f"{path.stem}-before{path.suffix}")


def newest(folder: Path, name: str) -> Path:
    """The checkpoint `last` or `best` of a run, or the one before where it cannot be read; InputError where neither can."""
    path = folder / f"{name}.ckpt"
    for candidate in (path, _before(path)):
        try:
            meta = candidate / _META if candidate.is_dir() else candidate
            torch.load(meta, map_location="cpu", weights_only=True, mmap=True)
        except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            if candidate.exists():
                log.warning("%s cannot be read (%s)", candidate, type(error).__name__)
        else:
            return candidate
    raise InputError(f"{path}: no checkpoint there that can be read; start afresh with --overwrite")
