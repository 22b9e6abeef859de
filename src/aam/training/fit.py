"""Run a module with Lightning: callbacks, checkpoints, early stopping, resuming; return it with its best weights."""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch.utils.data import DataLoader

from aam.errors import InputError, counted, one_line
from aam.options import BestMetric, FitOptions, TrainComputeOptions
from aam.parallel.collectives import cluster, world
from aam.parallel.ranks import nodes
from aam.study.splits import Split
from aam.tracking.tracked import Tracked
from aam.training.callbacks import EpochBar, EpochLine, ValidationPlots
from aam.training.checkpoint_files import CheckpointFiles, newest
from aam.training.checkpoints import Checkpoints
from aam.training.learning_rate import find_learning_rate
from aam.training.logger import OverlayLogger, TrackedLogger
from aam.training.module import LearningModule
from aam.training.sharded import Sharded, load_whole, release
from aam.training.speed import Speed

log = logging.getLogger(__name__)


class ScaledLosses(MixedPrecision):
    """Losses scaled up so that gradients in fp16 do not vanish, and those down again. The model knows its own precision."""

    def forward_context(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """As without."""
        return nullcontext()


_HIGHER_IS_BETTER = ("spearman", "r2", "accuracy", "auc", "f1", "precision", "recall")


@dataclass(frozen=True)
class FitResult:
    """What a fit reached: the monitored metric, its best value and epoch (from 1), and all metrics of every epoch."""

    monitor: str
    best_value: float
    best_epoch: int
    history: list[dict[str, float]]

    @property
    def best(self) -> dict[str, float]:
        """Metrics of the best epoch."""
        return self.history[self.best_epoch - 1]


def _logged(metric: BestMetric) -> str:
    """The name that a metric is logged under."""
    return f"val/{metric}" if metric in _OF_NO_TARGET else f"val/target_{metric}"


_OF_NO_TARGET = ("loss", "unifrac_mse", "unifrac_spearman")


def monitor_of(best_metric: BestMetric, measured: Sequence[BestMetric]) -> str:
    """Logged name of `best_metric`; auto is the first of those `measured` in this kind of run. InputError for one that is not."""
    chosen = measured[0] if best_metric == "auto" else best_metric
    if chosen not in measured:
        raise InputError(f"`best_metric={chosen}`: not measured in this run; choose one of {', '.join(measured)}")
    return _logged(chosen)


def check_fit(options: FitOptions, split: Split, pairs_are_taught: bool) -> None:
    """InputError for what cannot work, before anything is computed."""
    val_samples = len(split.val)
    if min(len(split.train), val_samples) < world():
        raise InputError(
            f"{len(split.train)} training and {counted(val_samples, 'validation sample')} for {world()} devices: take fewer"
        )
    if pairs_are_taught and options.batch_size * world() == 1:
        raise InputError("`batch_size=1`: distances are between samples; take at least 2, or `penalty=0`")
    if pairs_are_taught and val_samples < 2:
        raise InputError(f"{val_samples} validation sample has no pair for distances; raise `val_fraction`, or `penalty=0`")


def whole_epochs(options: FitOptions, batches: int) -> tuple[int, int]:
    """Epochs of a run and batches in each, when the training samples make up `batches`.

    `max_steps` shortens all epochs evenly rather than break off the last one, which would then never be validated.
    """
    steps = math.ceil(batches / options.accumulate)
    if options.max_steps is None or options.epochs * steps <= options.max_steps:
        return options.epochs, batches
    epochs = math.ceil(options.max_steps / steps)
    return epochs, min(batches, options.max_steps // epochs * options.accumulate)


def _trainer(
    options: FitOptions,
    compute: TrainComputeOptions,
    train: DataLoader,
    folder: Path,
    monitor: str,
    show: bool,
    tracked: Tracked | None,
) -> tuple[L.Trainer, Checkpoints, EpochLine]:
    higher_is_better = monitor.endswith(_HIGHER_IS_BETTER)
    checkpoints = Checkpoints(folder / "checkpoints", monitor, higher_is_better, options.checkpoint_minutes)
    lines = EpochLine()
    epochs, batches = whole_epochs(options, len(train))
    trainer = L.Trainer(
        max_epochs=epochs,
        # All of them, however many an epoch has, unless epochs are shortened.
        limit_train_batches=batches if batches < len(train) else 1.0,
        **_step_options(options, compute),
        logger=[OverlayLogger(folder / "tensorboard"), *([] if tracked is None else [TrackedLogger(tracked)])],
        callbacks=[
            EarlyStopping(monitor, mode="max" if higher_is_better else "min", patience=options.patience, check_finite=True),
            LearningRateMonitor("step"),
            *([EpochBar()] if show else []),
            lines,
            ValidationPlots(),
            *([] if tracked is None else [Speed()]),
            # After the others, whose state it saves.
            checkpoints,
        ],
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=False,
        default_root_dir=folder,
    )
    return trainer, checkpoints, lines


def _step_options(options: FitOptions, compute: TrainComputeOptions) -> dict[str, Any]:
    """What every trainer is told about a step."""
    return {
        "deterministic": options.deterministic,
        "accumulate_grad_batches": options.accumulate,
        "gradient_clip_val": options.gradient_clip,
        # Not "auto": Apple's GPUs have no float64, which exact distances and running sums need.
        "accelerator": "cuda" if torch.cuda.is_available() else "cpu",
        "devices": world() // nodes(),
        "num_nodes": nodes(),
        "strategy": _strategy(compute),
        # What is sharded is written by its strategy.
        "plugins": [
            cluster(),
            *([] if compute.strategy == "fsdp" and world() > 1 else [CheckpointFiles()]),
            *([ScaledLosses("16-mixed", "cuda")] if compute.mixed_precision == "fp16" else []),
        ],
        # Samples are shared out by `RankBatchSampler`.
        "use_distributed_sampler": False,
    }


def _strategy(compute: TrainComputeOptions) -> Strategy | str:
    """What ranks share; alone there is nothing to share."""
    if world() == 1:
        return "auto"
    if compute.strategy == "fsdp":
        return Sharded()
    # Buffers are a tree, the same on every rank.
    return DDPStrategy(broadcast_buffers=False)


def quiet_lightning() -> None:
    """Nothing from Lightning but what a user can act on."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*number of training batches.*")
    warnings.filterwarnings("ignore", message=".*treespec.*")
    # A frozen base.
    warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
    # They are taken up where they were left.
    warnings.filterwarnings("ignore", message=".*ended before the epoch ended and your dataloader is not resumable.*")
    # Its new name is not in older versions.
    warnings.filterwarnings("ignore", message=".*broadcast_buffers.*")
    # What is logged is of all ranks already.
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")


def fit(
    module: LearningModule,
    loaders: tuple[DataLoader, DataLoader],
    compute: TrainComputeOptions,
    folder: Path,
    monitor: str,
    resume: bool,
    show: bool = True,
    tracked: Tracked | None = None,
) -> FitResult:
    """Fit `module` in place to (training, validation) batches, by its `fit_options`; show: a progress bar; tracked: a run that is
    told of every step, on all ranks or none.

    It is left with the weights of the epoch at which `monitor` was best. Raises InputError where no epoch gave a finite `monitor`.
    """
    options, (train, val) = module.fit_options, loaders
    quiet_lightning()
    trainer, checkpoints, lines = _trainer(options, compute, train, folder, monitor, show, tracked)
    sharded = isinstance(trainer.strategy, Sharded)
    # What is sharded cannot be put together again in place.
    fitted = copy.deepcopy(module) if sharded else module
    if sharded:
        release(module)
    written = folder / "checkpoints"
    last = newest(written, "last", module.state_dict()) if resume and any(written.glob("last*.ckpt")) else None
    if options.find_lr and last is None:
        module.lr = find_learning_rate(module, train, folder, _step_options(options, compute))
    # A loaded encoder comes in inference mode, and Lightning leaves it as it is.
    fitted.train()
    try:
        trainer.fit(fitted, train, val, ckpt_path=last, weights_only=True)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if last is None or checkpoints.started or isinstance(error, InputError):
            raise
        what = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(f"{last}: damaged, or of another version of a library ({what}); start afresh with `overwrite`") from error
    if checkpoints.best_value is None:
        raise InputError(f"{monitor} was never finite: lower `lr`, or look at the target for extreme values")
    best = newest(written, "best", module.state_dict())
    if sharded:
        epoch = load_whole(module, best)
    else:
        checkpoint = torch.load(best, map_location="cpu", weights_only=True)
        module.load_state_dict(checkpoint["state_dict"])
        epoch = int(checkpoint["epoch"])
    module.eval()
    if not 0 <= epoch < len(lines.history):
        raise InputError(f"{best}: of epoch {epoch + 1}, and {len(lines.history)} were run; start afresh with `overwrite`")
    # Of the weights that are there, also where they are those of the best epoch but one.
    result = FitResult(monitor, lines.history[epoch][monitor], epoch + 1, lines.history)
    if len(result.history) < trainer.max_epochs:  # type: ignore[operator]
        log.info("stopped early: %s was not better for %s, or not finite", monitor, counted(options.patience, "epoch"))
    log.info("best %s %.4g at epoch %d of %d", result.monitor, result.best_value, result.best_epoch, len(result.history))
    return result
