"""What a transformer is, and how it is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aam.errors import InputError
from aam.options.checks import Options, check, check_counts

AttnImplementation = Literal["auto", "sdpa", "flash", "mem_efficient", "math"]
PositionEncoding = Literal["rotary", "learned"]
Precision = Literal["no", "bf16", "fp16"]
Strategy = Literal["auto", "ddp", "fsdp"]


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    embedding_dim: int = 64
    """Width D of ASV and sample embeddings."""
    attention_heads: int = 4
    """Attention heads of every layer."""
    attention_layers: int = 2
    """Transformer layers at each level: nucleotides, samples; 0 with `clades`, which take their place."""
    clades: int = 0
    """Clades of the tree. Above 0, `pretrain` first teaches ASVs, by their words, in which clades they are, and then samples from
    which clades they have: an encoder without attention, for tables and studies that are not seen in training. A tree is needed."""
    ffn_ratio: float = 4.0
    """Width of the feed-forward layers, as a multiple of `embedding_dim`. Lower is faster and takes less memory."""
    position_encoding: PositionEncoding = "rotary"
    """Encoding of the positions of nucleotides in an ASV. ASVs in a sample have none: a sample is a set."""
    word_length: int = 6
    """Length of the words of nucleotides that an ASV's vector begins from, beside what the layers make of it; 0 for none."""
    dropout: float = 0.1
    """Dropout in the head that predicts the target. The encoder has none: its noise would add to every distance."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "embedding_dim", "attention_heads")
        check(self.clades >= 0, "clades", self.clades, "0 or more")
        if self.clades:
            check(self.attention_layers == 0, "attention_layers", self.attention_layers, "0 with `clades`, which take their place")
            check(self.word_length > 0, "word_length", self.word_length, "above 0 with `clades`, which are told by words")
        else:
            check_counts(self, "attention_layers")
        divisor = 2 * self.attention_heads
        need = f"a multiple of {divisor} (2 x `attention_heads`)"
        check(self.embedding_dim % divisor == 0, "embedding_dim", self.embedding_dim, need)
        check(0 <= self.word_length <= 8, "word_length", self.word_length, "from 0 to 8")
        check(self.ffn_ratio > 0, "ffn_ratio", self.ffn_ratio, "above 0")
        check(0.0 <= self.dropout < 1.0, "dropout", self.dropout, "0 or more and below 1")


@dataclass(frozen=True, kw_only=True)
class StartOptions(Options):
    """Which weights a run starts from."""

    init_from: Path | None = None
    """Start from the weights of an earlier run of a transformer: its output folder, its model folder, or a checkpoint (*.ckpt). The
    head of a trained transformer comes too, where target and sizes are the same. Sizes of the model must be those of that run."""


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(StartOptions):
    """Where training starts from."""

    pretrained_encoder: Path | None = None
    """Output folder of pretrain (or its model folder), or the name of an encoder that comes with AAM: start from its weights and
    shape instead of from scratch."""
    freeze_base: bool = False
    """Train only the head that predicts the target; the pretrained encoder stays as it is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.freeze_base and self.pretrained_encoder is None:
            raise InputError("`freeze_base` needs `pretrained_encoder`: an encoder worth keeping")
        if self.init_from and self.pretrained_encoder:
            raise InputError("`init_from` and `pretrained_encoder` are both given: choose one")


@dataclass(frozen=True, kw_only=True)
class TrainedModelOptions(Options):
    model: Path
    """Output folder of train or pretrain, or the model folder in it; nothing else of that run is needed. Or the name of a model
    that comes with AAM."""
    batch_size: int = 64
    """Batch size; changes memory and speed only."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "batch_size")


@dataclass(frozen=True, kw_only=True)
class ComputeOptions(Options):
    """How a model is run. Not part of the model: none of it is kept in the model folder."""

    asv_chunk_size: int | None = None
    """Distinct ASVs to encode at a time; changes memory and speed only. Default: all of a batch on a GPU, 16 on a CPU (caches)."""
    attn_implementation: AttnImplementation = "auto"
    """Attention kernel. mem_efficient and flash never hold the weights of all pairs, math does, sdpa leaves the choice to PyTorch;
    a kernel that the device lacks is replaced by the next of these. Default (auto): mem_efficient, but math in bf16 on a CPU."""
    mixed_precision: Precision = "no"
    """Precision of the network's arithmetic; distances and losses stay in fp32."""
    compile_model: bool = False
    """Compile the layers first (torch.compile). On a CPU this needs a C++ compiler and is not faster."""
    devices: int | None = None
    """Processes on each machine, each with a GPU of its own or a share of the cores. Default: as many as torchrun or srun started,
    else one; 1 runs alone, whatever SLURM announces to a notebook or shell."""
    num_nodes: int = 1
    """Number of machines, each started by torchrun or srun."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "asv_chunk_size", "devices", "num_nodes")


DEFAULT_COMPUTE = ComputeOptions()


@dataclass(frozen=True, kw_only=True)
class TrainComputeOptions(ComputeOptions):
    gradient_checkpointing: bool | None = None
    """Recompute the activations of the nucleotide level in the backward pass instead of keeping them: less memory, more time.
    Default: only where memory needs it, that of the GPU or `max_memory_gb`."""
    max_memory_gb: float | None = None
    """Maximum memory of the run on each device. Batches are made smaller than `batch_size` where they would not fit."""
    num_workers: int | None = None
    """Worker processes that prepare batches; changes speed only. Default: none but the main process on a CPU, up to 4 on a GPU."""
    strategy: Strategy = "auto"
    """What several devices share: ddp (auto) the samples; fsdp also parameters, gradients and optimiser state, for large models."""
    auto_batch_size: bool = False
    """Find the largest batch size, up to `batch_size`, that fits into memory (or `max_memory_gb`), and accumulate batches to keep
    `batch_size` samples per optimiser step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.num_workers is None or self.num_workers >= 0, "num_workers", self.num_workers, "0 or more")
        check(self.max_memory_gb is None or self.max_memory_gb > 0, "max_memory_gb", self.max_memory_gb, "above 0")
