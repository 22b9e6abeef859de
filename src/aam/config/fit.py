"""What a run learns, how, and what it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Parameter

from aam.config.groups import OBJECTIVES, OUTPUT, TRAINING, check, check_counts
from aam.errors import InputError

MaskStrategy = Literal["random", "span", "hybrid"]
BestMetric = Literal["auto", "loss", "unifrac_mse", "unifrac_spearman", "mae", "rmse", "r2", "accuracy", "auc"]


@Parameter(name="*", group=OBJECTIVES)
@dataclass(frozen=True, kw_only=True)
class PretrainObjectives:
    penalty: float = 1.0
    """Weight of the UniFrac loss."""
    nuc_penalty: float = 0.1
    """Weight of the masked-nucleotide loss."""
    count_penalty: float = 0.0
    """Weight of the masked-abundance loss."""
    nuc_mask_ratio: float = 0.15
    """Share of an ASV's nucleotides that are hidden and predicted."""
    nuc_mask_strategy: MaskStrategy = "random"
    """Hide single nucleotides, spans of 3-5, or half of each."""

    def __post_init__(self) -> None:
        for option in ("penalty", "nuc_penalty", "count_penalty"):
            check(getattr(self, option) >= 0, option, getattr(self, option), "0 or more")
        check(0.0 < self.nuc_mask_ratio < 1.0, "nuc_mask_ratio", self.nuc_mask_ratio, "between 0 and 1")


@Parameter(name="*", group=OBJECTIVES)
@dataclass(frozen=True, kw_only=True)
class TrainObjectives(PretrainObjectives):
    penalty: float = 0.0
    """Weight of the UniFrac loss beside the target (above 0 needs distances: a tree or a matrix)."""
    nuc_penalty: float = 0.0
    """Weight of the masked-nucleotide loss."""
    target_penalty: float = 1.0
    """Weight of the target's loss."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.target_penalty > 0, "target_penalty", self.target_penalty, "above 0")


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True, kw_only=True)
class FitOptions:
    batch_size: int = 32
    """Samples per step, on each device."""
    epochs: int = 50
    """Most passes over the training samples."""
    max_steps: int | None = None
    """Most optimiser steps. Epochs are shortened evenly, so that the last one is whole."""
    lr: float = 2e-3
    """Peak learning rate (AdamW)."""
    find_lr: bool = False
    """First try learning rates from tiny to too large, plot the losses, and take the one where the loss falls fastest as --lr."""
    weight_decay: float = 0.01
    """Weight decay of the weights of linear layers; embeddings, biases and norms have none."""
    warmup_fraction: float = 0.05
    """Share of the run in which the learning rate rises; then it falls as a cosine."""
    gradient_clip: float = 1.0
    """Largest norm of a step's gradient."""
    accumulate: int = 1
    """Batches added up for one optimiser step."""
    patience: int = 10
    """Epochs without a better --best-metric before the run stops."""
    best_metric: BestMetric = "auto"
    """Validation metric that picks the best epoch. auto: unifrac_mse or loss in pretrain; mae, or loss of classes, in train."""
    checkpoint_minutes: float = 10.0
    """Minutes between checkpoints for --resume within an epoch; there is one after every epoch, and when a signal stops the run."""
    seed: int = 0
    """Seed of everything random: same seed, same result."""
    deterministic: bool = False
    """Refuse operations that may differ from run to run on a GPU."""

    def __post_init__(self) -> None:
        check_counts(self, "batch_size", "epochs", "accumulate", "patience", "max_steps")
        for option in ("lr", "gradient_clip", "checkpoint_minutes"):
            check(getattr(self, option) > 0, option, getattr(self, option), "above 0")
        check(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        check(0.0 <= self.warmup_fraction <= 1.0, "warmup_fraction", self.warmup_fraction, "between 0 and 1")
        check(0 <= self.seed < 2**32, "seed", self.seed, "from 0 to 4294967295")


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True, kw_only=True)
class TrainFitOptions(FitOptions):
    # At pretraining's rate the target's gradients can collapse all embeddings into one.
    lr: float = 5e-4
    """Peak learning rate (AdamW)."""


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True, kw_only=True)
class EvaluateFitOptions(TrainFitOptions):
    # Every fold fits several models: these defaults are of a first answer, not of the last one.
    epochs: int = 8
    """Most passes over the training samples of a fold."""
    lr: float = 1e-3
    """Peak learning rate (AdamW)."""


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    output_dir: Path
    """Folder for everything the run writes."""
    overwrite: bool = False
    """Replace an output folder that holds an earlier run."""
    resume: bool = False
    """Go on from the last checkpoint in the output folder, or from the start where it has none yet."""

    def __post_init__(self) -> None:
        if self.overwrite and self.resume:
            raise InputError("--overwrite and --resume both given: choose one")


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True, kw_only=True)
class CacheOptions:
    cache: bool = True
    """Keep the tree and the embeddings of a frozen base for later runs on the same data: same results, sooner."""
    cache_dir: Path | None = None
    """Folder for that, up to 5 GB. Default: $XDG_CACHE_HOME/aam, or ~/.cache/aam."""
