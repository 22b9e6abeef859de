"""A learning-rate range test (Smith 2017, arXiv 1506.01186), with Lightning's finder."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import lightning as L
import numpy as np
from lightning.pytorch.tuner import Tuner
from matplotlib.figure import Figure
from torch.utils.data import DataLoader
from torchmetrics import Metric

from aam.errors import InputError
from aam.scoring.plots import save
from aam.training.module import LearningModule

log = logging.getLogger(__name__)

_LOWEST, _HIGHEST, _STEPS = 1e-6, 0.3, 100
# Steps after which Lightning's running mean of the losses has settled.
_SETTLING = 10


def find_learning_rate(module: LearningModule, train: DataLoader, folder: Path, trainer_options: dict) -> float:
    """The learning rate at which the loss falls fastest per factor; `plots/learning_rate.png` shows the losses.

    A hundred steps with rates from 1e-6 to 0.3; the module's weights are as before. InputError when no rate can be named.
    """
    module.train()
    with TemporaryDirectory() as scratch:
        trainer = L.Trainer(
            max_epochs=math.ceil(_STEPS * module.fit_options.accumulate / len(train)),
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            # The weights from before are written there.
            default_root_dir=scratch,
            **trainer_options,
        )
        finder = Tuner(trainer).lr_find(module, train, min_lr=_LOWEST, max_lr=_HIGHEST, num_training=_STEPS, update_attr=False)
    assert finder is not None
    for part in module.modules():
        if isinstance(part, Metric):
            part.reset()  # they saw losses at every rate
    module.first_bad.fill_(-1)
    rates, losses = (np.array(finder.results[name]) for name in ("lr", "loss"))
    chosen = steepest(rates, losses)
    save(_plot(rates, losses, chosen), folder / "plots" / "learning_rate.png")
    log.info("`find_lr`: `lr=%.2g` (see plots/learning_rate.png)", chosen)
    return chosen


def steepest(rates: np.ndarray, losses: np.ndarray) -> float:
    """The rate at which the loss falls fastest with the logarithm of the rate, from rising rates and their losses [steps]."""
    finite = np.isfinite(losses)
    rates, losses = rates[finite][_SETTLING:], losses[finite][_SETTLING:]
    end = int(losses.argmin()) + 1 if len(losses) else 0
    if end < 3:
        raise InputError("`find_lr`: the loss did not fall at any rate; give `lr`")
    smooth = np.convolve(np.pad(losses, 2, mode="edge"), np.full(5, 0.2), mode="valid")[:end]
    return float(rates[np.gradient(smooth, np.log(rates[:end])).argmin()])


def _plot(rates: np.ndarray, losses: np.ndarray, chosen: float) -> Figure:
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(rates, losses, color="C0")
    axes.axvline(chosen, color="C1", label=f"chosen: {chosen:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss (running mean)", title="Learning-rate range test")
    axes.legend()
    return figure
