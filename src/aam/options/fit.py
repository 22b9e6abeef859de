"""How a transformer is trained: objectives, optimiser, and what is kept between runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from aam.errors import InputError
from aam.options.checks import Options, check, check_counts, check_seed
from aam.options.data import ReadOptions

Optimizer = Literal["muon", "adamw"]
MaskStrategy = Literal["random", "span", "hybrid"]
BestMetric = Literal[
    "auto", "loss", "unifrac_mse", "unifrac_spearman", "mae", "rmse", "r2",
    "accuracy", "balanced_accuracy", "auc", "f1", "precision", "recall", "pr_auc", "brier", "ece",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LabelFreeObjectives(Options):
    """What is learned without labels, alone or beside a target."""

    penalty: float = 0.0
    """Weight of the UniFrac loss beside the target (above 0 needs a tree or a distance matrix)."""
    nuc_penalty: float = 0.0
    """Weight of the masked-nucleotide loss."""
    count_penalty: float = 0.0
    """Weight of the masked-abundance loss."""
    nuc_mask_ratio: float = 0.15
    """Share of an ASV's nucleotides that are masked and predicted."""
    nuc_mask_strategy: MaskStrategy = "random"
    """Mask single nucleotides, spans of 3-5, or half of each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("penalty", "nuc_penalty", "count_penalty"):
            check(getattr(self, option) >= 0, option, getattr(self, option), "0 or more")
        check(0.0 < self.nuc_mask_ratio < 1.0, "nuc_mask_ratio", self.nuc_mask_ratio, "between 0 and 1")

    @property
    def is_taught(self) -> bool:
        """Whether the encoder is taught anything of samples or ASVs as a whole."""
        return self.penalty > 0

    @property
    def learns_nothing(self) -> bool:
        """Whether no label-free objective has a weight."""
        return self.penalty == self.nuc_penalty == self.count_penalty == 0


_DEFAULT_TYPES = ("unifrac",)


@dataclass(frozen=True, kw_only=True)
class PretrainObjectives(LabelFreeObjectives):
    encoder_type: tuple[str, ...] = _DEFAULT_TYPES
    """What the encoder is taught: distances between samples (unifrac, another metric of `aam distances`, `matrix`), quantities of
    samples (faith_pd, shannon, richness, `vector`), the `taxonomy` of ASVs. NAME or NAME=WEIGHT, several by commas.
    Distances alone are those between embeddings; several are told by a layer each, and `embed` writes the first of them."""
    matrix: Path | None = None
    """Distances between samples by ID (.h5, .npy, .tsv) for `encoder_type=matrix`."""
    vector: Path | None = None
    """A number for each sample by ID (.tsv) for `encoder_type=vector`."""
    taxonomy: Path | None = None
    """Taxonomy of the ASVs (.qza, .tsv) for `encoder_type=taxonomy`; ranks that an ASV lacks are left out."""
    penalty: float = 1.0
    """Weight of the losses of `encoder_type`."""
    nuc_penalty: float = 0.5
    """Weight of the masked-nucleotide loss."""

    def __post_init__(self) -> None:
        given = (self.encoder_type,) if isinstance(self.encoder_type, str) else self.encoder_type
        named = tuple(part.strip() for text in given for part in str(text).split(","))
        object.__setattr__(self, "encoder_type", named)
        super().__post_init__()
        if not named or len(names := [name for name, _ in self.encoder_weights]) > len(set(names)):
            raise InputError(f"`encoder_type={','.join(named)}`: name one or more, each once")
        for name, weight in self.encoder_weights:
            check(math.isfinite(weight) and weight > 0, "encoder_type", f"{name}={weight:g}", "of a weight above 0")
        if self.penalty == 0 and named != _DEFAULT_TYPES:
            raise InputError(
                f"`encoder_type={','.join(named)}` with `penalty=0`, the weight of all it teaches: leave one of them out"
            )
        # An option that names a file is that of the type of its name.
        for option in (field.name for field in fields(self) if field.type == "Path | None"):
            if (option in names) != (getattr(self, option) is not None):
                raise InputError(f"`{option}` and `encoder_type={option}` need each other: give both, or neither")

    @property
    def encoder_weights(self) -> tuple[tuple[str, float], ...]:
        """Names of encoder types, and their weights."""
        return tuple(_named_weight(text) for text in self.encoder_type)


def _named_weight(text: str) -> tuple[str, float]:
    name, given, weight = text.partition("=")
    try:
        return name.strip(), float(weight) if given else 1.0
    except ValueError:
        raise InputError(f"`encoder_type={text}`: the weight is no number; write NAME or NAME=WEIGHT") from None


@dataclass(frozen=True, kw_only=True)
class TrainObjectives(LabelFreeObjectives):
    target_penalty: float = 1.0
    """Weight of the target's loss."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.target_penalty > 0, "target_penalty", self.target_penalty, "above 0")


def check_frozen(objectives: LabelFreeObjectives, reads: ReadOptions) -> None:
    """InputError for what a frozen base cannot do: learn, and see other reads in every epoch."""
    for option in ("penalty", "nuc_penalty", "count_penalty"):
        check(getattr(objectives, option) == 0, option, getattr(objectives, option), "0 with `freeze_base`")
    if reads.rarefy_each_epoch:
        raise InputError("`rarefy_each_epoch` with `freeze_base`: a frozen encoder runs once, on one draw; leave one out")


@dataclass(frozen=True, kw_only=True)
class FitOptions(Options):
    batch_size: int = 64
    """Batch size: samples per step on each device."""
    epochs: int = 50
    """Maximum number of epochs."""
    max_steps: int | None = None
    """Maximum number of optimiser steps. Epochs are shortened evenly, so that the last one is whole."""
    lr: float = 2e-3
    """Peak learning rate of AdamW; Muon's is twice that."""
    optimizer: Optimizer = "muon"
    """Optimiser of the matrices of linear layers; all else is learned by AdamW."""
    asv_gradients: float | None = None
    """Share of a batch's distinct ASVs whose gradients are computed in a step, 32 at least: drawn by how much the loss depends on
    them, weighted so that their mean is the gradient of all. With `strategy=fsdp` all. Default: 0.125 on a CPU, 1 on a GPU."""
    find_lr: bool = False
    """Run a learning-rate range test first, plot it, and train at the rate where the loss falls fastest instead of `lr`."""
    weight_decay: float = 0.01
    """Weight decay of the weights of linear layers; embeddings, biases and norms have none."""
    warmup_fraction: float = 0.05
    """Share of the run during which the learning rate rises. It then falls as a cosine."""
    gradient_clip: float = 1.0
    """Maximum norm of a step's gradient."""
    accumulate: int = 1
    """Batches to accumulate for one optimiser step."""
    patience: int = 10
    """Stop after this many epochs without a better `best_metric`."""
    best_metric: BestMetric = "auto"
    """Validation metric that chooses the best epoch. auto: unifrac_mse or loss in pretrain; mae, or loss of classes, in train."""
    checkpoint_minutes: float = 10.0
    """Minutes between checkpoints within an epoch. There is also one after every epoch and when a signal stops the run."""
    seed: int = 0
    """Random seed: same seed, same result."""
    deterministic: bool = False
    """Refuse operations that may differ from run to run on a GPU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "batch_size", "epochs", "accumulate", "patience", "max_steps")
        for option in ("lr", "gradient_clip", "checkpoint_minutes"):
            check(getattr(self, option) > 0, option, getattr(self, option), "above 0")
        check(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        check(0.0 <= self.warmup_fraction <= 1.0, "warmup_fraction", self.warmup_fraction, "between 0 and 1")
        share = self.asv_gradients
        check(share is None or 0.0 < share <= 1.0, "asv_gradients", share, "above 0 and at most 1")
        check_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class TrainFitOptions(FitOptions):
    batch_size: int = 32
    """Batch size: samples per step on each device."""
    # At pretraining's rate the target's gradients can collapse all embeddings into one.
    lr: float = 5e-4
    """Peak learning rate of AdamW; Muon's is twice that."""
    optimizer: Optimizer = "adamw"
    """Optimiser of the matrices of linear layers; all else is learned by AdamW."""
    asv_gradients: float | None = 1.0
    """Share of a batch's distinct ASVs whose gradients are computed in a step, 32 at least: drawn by how much the loss depends on
    them, weighted so that their mean is the gradient of all. With `strategy=fsdp` all."""


@dataclass(frozen=True, kw_only=True)
class EvaluateFitOptions(TrainFitOptions):
    # Every fold fits several models: these defaults are of a first answer, not of the last one.
    epochs: int = 8
    """Maximum number of epochs in each fold."""
    lr: float = 1e-3
    """Peak learning rate of AdamW; Muon's is twice that."""


@dataclass(frozen=True, kw_only=True)
class CacheOptions(Options):
    cache: bool = True
    """Keep the built tree and the embeddings of a frozen base for later runs on the same data."""
    cache_dir: Path | None = None
    """Folder for the cache, up to 5 GB. Default: $XDG_CACHE_HOME/aam, or ~/.cache/aam."""
