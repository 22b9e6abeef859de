"""What is fitted, and how it is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Parameter

from aam.config.groups import COMPUTE, MODEL, check, check_counts
from aam.errors import InputError

AttnImplementation = Literal["auto", "sdpa", "flash", "mem_efficient", "math"]
PositionEncoding = Literal["rotary", "learned"]
Precision = Literal["no", "bf16", "fp16"]
Strategy = Literal["auto", "ddp", "fsdp"]


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


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True, kw_only=True)
class TrainedModelOptions:
    model: Path
    """Output folder of train or pretrain, or the model folder in it. Nothing else of that run is needed."""
    batch_size: int = 64
    """Samples at a time; changes memory and speed only."""

    def __post_init__(self) -> None:
        check_counts(self, "batch_size")


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
    num_workers: int = 0
    """Processes that make batches while others are learned from; changes speed only. Default: none but the main one."""
    strategy: Strategy = "auto"
    """What several devices share: ddp (auto) the samples, fsdp parameters, gradients and optimiser state too, for larger models."""
    auto_batch_size: bool = False
    """Find the most samples at a time, up to --batch-size, that fit into memory (or --max-memory-gb), and accumulate to keep
    --batch-size samples per optimiser step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.num_workers >= 0, "num_workers", self.num_workers, "0 or more")
        check(self.max_memory_gb is None or self.max_memory_gb > 0, "max_memory_gb", self.max_memory_gb, "above 0")
