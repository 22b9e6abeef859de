"""Every option of every command, once: name, type, default, help and check.

The command line, its help, ``config.yaml`` and the model folder derive from these dataclasses, so nothing heavy is imported
here. Each command puts its own together. Fields carry their help as the string below them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Group, Parameter

from aam.errors import InputError

UniFracMetric = Literal["unweighted", "weighted_normalized", "weighted_unnormalized", "generalized"]
MaskStrategy = Literal["random", "span", "hybrid"]
AsvSampling = Literal["abundant", "random"]
AttnImplementation = Literal["auto", "sdpa", "flash", "mem_efficient", "math"]
PositionEncoding = Literal["rotary", "learned"]
TransformName = Literal["none", "minmax", "zscore", "log-zscore"]
LossType = Literal["mse", "mae", "huber"]
BestMetric = Literal["auto", "loss", "unifrac_mse", "unifrac_spearman", "mae", "rmse", "r2", "accuracy", "auc"]
Precision = Literal["no", "bf16", "fp16"]
Strategy = Literal["auto", "ddp", "fsdp"]
EmbedLevel = Literal["sample", "asv"]

# Sections of the help, in this order.
INPUT = Group("Input", sort_key=1)
DISTANCES = Group("Tree and distances", sort_key=2)
METADATA = Group("Metadata", sort_key=3)
MODEL = Group("Model", sort_key=4)
OBJECTIVES = Group("Objectives", sort_key=5)
TRAINING = Group("Training", sort_key=6)
COMPUTE = Group("Memory and speed", sort_key=7)
OUTPUT = Group("Output", sort_key=8)


def check(condition: bool, option: str, value: object, need: str) -> None:
    """Raise the one-line error about an option's value unless the condition holds."""
    if not condition:
        raise InputError(f"--{option.replace('_', '-')} {value}: must be {need}")


def check_counts(options: object, *names: str) -> None:
    """The same for options that count something, where they are given."""
    for name in names:
        value = getattr(options, name)
        check(value is None or value >= 1, name, value, "at least 1")


@Parameter(name="*", group=INPUT)
@dataclass(frozen=True, kw_only=True)
class TableOptions:
    table: Path
    """Feature table, samples x ASVs: BIOM 2.1 (HDF5), BIOM 1 (JSON), QIIME 2 .qza, or TSV."""
    more_tables: tuple[Path, ...] = ()
    """Tables of other samples, taken together with it; an ASV is the same where its id is."""
    stream: bool = False
    """Read samples from disk when they are wanted, for tables larger than memory. Needs BIOM 2.1; one network only."""
    rep_seqs: Path | None = None
    """Sequences of the ASVs (FASTA or .qza), for a table whose feature ids are hashes or names."""
    ignore_missing: bool = False
    """Leave out samples that cannot be used (no metadata, no target, too few reads) instead of stopping."""


@Parameter(name="*", group=INPUT)
@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What the model sees of a sample. Kept in the model folder, so that predict does as train did."""

    max_bp: int = 150
    """Nucleotides of each ASV that are read; longer sequences are cut, with a warning."""
    sampling_depth: int | None = None
    """Rarefy every sample to this many reads. Default: all reads."""
    rarefy_each_epoch: bool = False
    """Draw the rarefied reads afresh in every epoch (augmentation) instead of once."""
    token_limit: int | None = None
    """Most ASVs of a sample that the model sees. Default: all of them."""
    asv_sampling: AsvSampling = "abundant"
    """Which ASVs --token-limit keeps: the most abundant, or a random draw weighted by abundance."""

    def __post_init__(self) -> None:
        check_counts(self, "max_bp", "sampling_depth", "token_limit")
        if self.rarefy_each_epoch and self.sampling_depth is None:
            raise InputError("--rarefy-each-epoch needs --sampling-depth: how many reads to draw")


@Parameter(name="*", group=DISTANCES)
@dataclass(frozen=True, kw_only=True)
class TreeOptions:
    tree: Path | None = None
    """Phylogeny of the ASVs (newick or .qza). Default: one is built from the sequences and kept in the output folder."""
    unifrac_matrix: Path | None = None
    """Precomputed distances (HDF5, .npy or LSMat TSV) to learn from, instead of UniFrac computed on each batch."""
    unifrac_metric: UniFracMetric = "unweighted"
    """UniFrac variant that the sample embeddings learn."""
    alpha: float = 0.5
    """Exponent of generalized UniFrac: 0 weighs branches alike, 1 by abundance."""

    def __post_init__(self) -> None:
        check(0.0 <= self.alpha <= 1.0, "alpha", self.alpha, "between 0 and 1")
        if self.tree and self.unifrac_matrix:
            raise InputError("--tree and --unifrac-matrix both given: choose one source of distances")


@Parameter(name="*", group=METADATA)
@dataclass(frozen=True, kw_only=True)
class GroupOptions:
    """Which samples, and which of them stay together."""

    metadata: Path | None = None
    """Sample metadata, TSV as QIIME 2 reads it."""
    where: str | None = None
    """Keep the samples for which this SQLite condition on the metadata holds, as --p-where in QIIME 2: "[mom_child]='C'"."""
    group_column: str | None = None
    """Metadata column whose groups (subject, study) stay on one side of every split."""
    val_fraction: float = 0.1
    """Share of the samples learned from that are kept out to choose the best epoch."""

    def __post_init__(self) -> None:
        check(0.0 < self.val_fraction < 1.0, "val_fraction", self.val_fraction, "between 0 and 1")
        for option in ("where", "group_column"):
            if getattr(self, option) is not None and self.metadata is None:
                raise InputError(f"--{option.replace('_', '-')} needs --metadata")


@Parameter(name="*", group=METADATA)
@dataclass(frozen=True, kw_only=True)
class SampleOptions(GroupOptions):
    """How samples are kept apart in one run."""

    test_fraction: float = 0.2
    """Share of the samples held out of everything, for the final score."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0.0 <= self.test_fraction < 1.0, "test_fraction", self.test_fraction, "0 or more and below 1")
        total = self.val_fraction + self.test_fraction
        check(total < 1.0, "val_fraction + --test_fraction", round(total, 3), "below 1")


@Parameter(name="*", group=METADATA)
@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    metadata_column: str
    """Metadata column to predict."""
    classifier: bool = False
    """Predict classes; without it a number is predicted."""
    categorical_columns: tuple[str, ...] = ()
    """Metadata columns given to the model beside the microbes (sex, site); predict needs them too."""
    target_transform: TransformName = "zscore"
    """Scale of the target while training, fitted on the training samples; scores are in original units."""
    loss_type: LossType = "mae"
    """Loss of a regression target. Classes use cross-entropy with balanced class weights."""


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    embedding_dim: int = 64
    """Width D of ASV and sample embeddings."""
    attention_heads: int = 4
    """Attention heads of every layer."""
    attention_layers: int = 2
    """Transformer layers at each level: nucleotides, samples."""
    ffn_ratio: float = 4.0
    """Width of the feed-forward layers, as a multiple of --embedding-dim: 1 took two thirds of the time of 4, 8 % less memory."""
    position_encoding: PositionEncoding = "rotary"
    """Positions of nucleotides in an ASV. ASVs in a sample have none: a sample is a set."""
    dropout: float = 0.1
    """Dropout in the head of the target. The encoder has none: its noise would add to every distance."""

    def __post_init__(self) -> None:
        check_counts(self, "embedding_dim", "attention_heads", "attention_layers")
        divisor = 2 * self.attention_heads
        need = f"a multiple of {divisor} (2 x --attention-heads)"
        check(self.embedding_dim % divisor == 0, "embedding_dim", self.embedding_dim, need)
        check(self.ffn_ratio > 0, "ffn_ratio", self.ffn_ratio, "above 0")
        check(0.0 <= self.dropout < 1.0, "dropout", self.dropout, "0 or more and below 1")


@Parameter(name="*", group=COMPUTE)
@dataclass(frozen=True, kw_only=True)
class ComputeOptions:
    """How a model is run. Not part of the model: none of it is kept in the model folder."""

    asv_chunk_size: int | None = None
    """Distinct ASVs encoded at a time; changes memory and speed only. Default: 256 on a GPU; 16 on a CPU, whose caches they fit
    (256 took 42 % more memory and a quarter more time)."""
    attn_implementation: AttnImplementation = "auto"
    """Attention kernel. mem_efficient and flash never hold the weights of all pairs, math does (a quarter more memory), sdpa leaves
    the choice to PyTorch; a kernel that the device lacks is replaced by the next of these. Default (auto): mem_efficient, but math
    in bf16 on a CPU."""
    mixed_precision: Precision = "no"
    """Arithmetic of the network; distances and losses stay in fp32. bf16 took two thirds of the time on a CPU that has it."""
    compile_model: bool = False
    """Compile the layers first (torch.compile), which on a CPU needs a C++ compiler, took 15 s and made nothing faster."""
    devices: int = 1
    """Processes on each machine, each with a GPU of its own or a share of the cores; torchrun and srun start them themselves."""
    num_nodes: int = 1
    """Machines, each started by torchrun or srun."""

    def __post_init__(self) -> None:
        check_counts(self, "asv_chunk_size", "devices", "num_nodes")


DEFAULT_COMPUTE = ComputeOptions()


@Parameter(name="*", group=COMPUTE)
@dataclass(frozen=True, kw_only=True)
class TrainComputeOptions(ComputeOptions):
    gradient_checkpointing: bool | None = None
    """Keep no activations of the nucleotide level and compute them again in the backward pass: a third of the memory of a step of 8
    samples, for a third to a half more time. Default: on a GPU, and where --max-memory-gb needs it."""
    max_memory_gb: float | None = None
    """Memory that the run may take on each device. Batches of up to --batch-size samples are made smaller to fit."""
    strategy: Strategy = "auto"
    """What several devices share: ddp (auto) the samples, fsdp parameters, gradients and optimiser state too, for larger models."""
    auto_batch_size: bool = False
    """Find the most samples at a time, up to --batch-size, that fit into memory (or --max-memory-gb), and accumulate to keep
    --batch-size samples per optimiser step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.max_memory_gb is None or self.max_memory_gb > 0, "max_memory_gb", self.max_memory_gb, "above 0")


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
    seed: int = 0
    """Seed of everything random: same seed, same result."""
    deterministic: bool = False
    """Refuse operations that may differ from run to run on a GPU."""

    def __post_init__(self) -> None:
        check_counts(self, "batch_size", "epochs", "accumulate", "patience", "max_steps")
        for option in ("lr", "gradient_clip"):
            check(getattr(self, option) > 0, option, getattr(self, option), "above 0")
        check(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        check(0.0 <= self.warmup_fraction <= 1.0, "warmup_fraction", self.warmup_fraction, "between 0 and 1")
        check(0 <= self.seed < 2**32, "seed", self.seed, "from 0 to 4294967295")


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    output_dir: Path
    """Folder for everything the run writes."""
    overwrite: bool = False
    """Replace an output folder that holds an earlier run."""
    resume: bool = False
    """Go on from the last checkpoint in the output folder."""

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


@Parameter(name="*", group=METADATA)
@dataclass(frozen=True, kw_only=True)
class PretrainSampleOptions(SampleOptions):
    test_fraction: float = 0.0
    """Share of the samples held out of everything, for the final score."""


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """Where training starts from."""

    pretrained_encoder: Path | None = None
    """Output folder of pretrain (or its model folder): start from its weights and shape instead of from scratch."""
    freeze_base: bool = False
    """Train the head only; the pretrained encoder stays as it is."""

    def __post_init__(self) -> None:
        if self.freeze_base and self.pretrained_encoder is None:
            raise InputError("--freeze-base needs --pretrained-encoder: an encoder worth keeping")


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """What is fitted."""

    auto: bool | None = None
    """Fit networks on fixed ASV vectors, linear and kernel models, and trees, each judged on groups that it did not learn from, and
    predict by their mean. --no-auto: one network, from the nucleotides up. Default: --auto, unless an option of it is given."""
    trees: bool = True
    """With --auto: forests and boosted trees too; --no-trees leaves the networks and linear models alone."""


@Parameter(name="*", group=INPUT)
@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """The option of every command that :func:`aam.cli.config_file.read_config` acts on."""

    config: Path | None = None
    """YAML file of options by name (rep_seqs: seqs.fasta). The command line wins over it; --no-FLAG undoes a flag."""


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True, kw_only=True)
class TrainedModelOptions:
    model: Path
    """Output folder of train or pretrain, or the model folder in it. Nothing else of that run is needed."""
    batch_size: int = 64
    """Samples at a time; changes memory and speed only."""

    def __post_init__(self) -> None:
        check_counts(self, "batch_size")
