"""Lightning's loggers: TensorBoard, with training and validation as two runs of the same tags, so that their curves lie over each
other; and the trackers of a run.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter

from aam.tracking.tracked import Tracked


class OverlayLogger(Logger):
    """`train/loss` and `val/loss` become the tag `loss` of the runs `train` and `val` below `folder`; other tags go to `train`.

    first_step: of a resumed run; what was logged from there on before it was broken off is not shown.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.first_step = folder, 0
        self.writers: dict[str, SummaryWriter] = {}

    @property
    def name(self) -> str:
        return "tensorboard"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Options are kept in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            split, tag = split_tag(name)
            self.writer(split).add_scalar(tag, value, step)

    @rank_zero_only
    def log_figure(self, name: str, figure: Any, step: int) -> None:
        """Add a picture and close it."""
        split, tag = split_tag(name)
        self.writer(split).add_figure(tag, figure, step)

    def writer(self, split: str) -> SummaryWriter:
        if split not in self.writers:
            self.writers[split] = SummaryWriter(str(self.folder / split), purge_step=self.first_step)
        return self.writers[split]

    @rank_zero_only
    def save(self) -> None:
        """Have the disk hold what was logged."""
        for writer in self.writers.values():
            writer.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        for writer in self.writers.values():
            writer.close()
        self.writers.clear()


def split_tag(name: str) -> tuple[str, str]:
    """`val/unifrac_loss` -> (`val`, `unifrac_loss`); a name without a split belongs to `train`."""
    split, _, tag = name.partition("/")
    return (split, tag) if split in ("train", "val") else ("train", name)


class TrackedLogger(Logger):
    """What is logged goes to the trackers of a run, which outlives the fit."""

    def __init__(self, run: Tracked) -> None:
        super().__init__()
        self.run = run

    @property
    def name(self) -> str:
        return "tracked"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """They were told when the run began."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        # The number of the epoch is Lightning's own, beside every step.
        self.run.metrics({name: float(value) for name, value in metrics.items() if name != "epoch"}, step or 0)
