"""What shows how epochs go beside the metrics: a bar within each, a line in the log at its end, and plots."""

from __future__ import annotations

import logging
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from aam.progress import Bar
from aam.scoring.plots import scatter
from aam.training.logger import OverlayLogger
from aam.training.module import LearningModule, PretrainModule, TrainModule

log = logging.getLogger(__name__)

# Ends of metrics that metrics.json and TensorBoard have, and the line of an epoch has no room for.
_SHORT_OF = ("_mse", "_rmse", "majority_accuracy", "_log_loss", "_precision", "_recall", "_f1", "_pr_auc", "_brier", "_ece")


class EpochBar(Callback):
    """How far an epoch is."""

    def __init__(self) -> None:
        self.bar: Bar | None = None

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        name = f"Epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self.bar = Bar(name, int(trainer.num_training_batches), stay=False).__enter__()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *step: Any) -> None:
        if self.bar is not None:
            self.bar.advance()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.bar is not None:
            self.bar.end()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self.on_train_epoch_end(trainer, pl_module)


class EpochLine(Callback):
    """One line per epoch in the log: the parts of the loss and the scores, training | validation. Keeps them as a history."""

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        log.info("each epoch: its loss and scores, training | validation")

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = state_dict["history"]

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        metrics = trainer.callback_metrics
        values = {name: float(value) for name, value in metrics.items() if name.startswith(("train/", "val/"))}
        self.history.append(values)
        shown = [
            f"{name.removeprefix('val/')} {_number(values.get(name.replace('val/', 'train/')))} | {value:.4g}"
            for name, value in sorted(values.items())
            if name.startswith("val/") and not name.endswith(_SHORT_OF)
        ]
        log.info("epoch %d/%s  %s", trainer.current_epoch + 1, trainer.max_epochs, "  ".join(shown))


class ValidationPlots(Callback):
    """Predicted against true, of the points kept in the reservoirs, in TensorBoard after each validation epoch."""

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Callbacks run before the module's own hook, which starts the metrics afresh.
        if trainer.sanity_checking or not isinstance(trainer.logger, OverlayLogger):
            return
        assert isinstance(pl_module, LearningModule)
        if isinstance(pl_module, (PretrainModule, TrainModule)):
            for name, reservoir in pl_module.val_metrics.reservoirs.items():
                if len(reservoir.points):
                    figure = scatter(reservoir.points.cpu().numpy(), name, "told by the encoder", "validation samples")
                    trainer.logger.log_figure(f"val/{name}", figure, trainer.global_step - 1)
        if isinstance(pl_module, TrainModule) and pl_module.val_scores.reservoir is not None:
            points = pl_module.val_scores.reservoir.points
            figure = scatter(points.cpu().numpy(), "true", "predicted", "validation samples")
            trainer.logger.log_figure("val/target", figure, trainer.global_step - 1)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
