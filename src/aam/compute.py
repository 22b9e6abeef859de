"""Where and how a model runs: device, plan, compilation."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from aam.errors import InputError
from aam.options import ComputeOptions, TrainComputeOptions
from aam.parallel.ranks import nodes, size
from aam.parallel.threads import allotted_cores

LOW_PRECISION = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Plan:
    """How models run on a kind of device.

    chunk: distinct ASVs encoded at a time, None: as many as `chunk_elements` allow (positions x width), of which gradient
    checkpointing takes a sixteenth; group: samples encoded at a time at the sample level, None: all, in few groups of like size;
    spared_slots: places of ASVs that another such group must spare; recompute: the backward pass makes norms and activations again,
    rather than have them leave a cache; products: attention in 16 bits by matrix products, not by a fused kernel; gradients_of: the
    share of a batch's ASVs whose gradients pretraining computes; fused: the optimiser's step is one operation; workers: processes
    that prepare batches, at the most.
    """

    chunk: int | None
    chunk_elements: int
    group: int | None
    spared_slots: int
    recompute: bool
    products: bool
    gradients_of: float
    fused: bool
    workers: int

    def asvs_at_once(self, length: int, width: int, checkpointing: bool = False) -> int:
        """Distinct ASVs of `length` tokens that a model of `width` encodes at a time."""
        return self.chunk or max(1, self.chunk_elements // (16 if checkpointing else 1) // (length * width))


# A CPU is fastest where the activations of a chunk stay in its caches; a GPU where it has few and large things to do: each
# operation costs 5 to 10 us to ask for. 2**26 elements are 1 GB in the widest layer.
_CPU = Plan(
    chunk=16,
    chunk_elements=0,
    group=8,
    spared_slots=0,
    recompute=True,
    products=True,
    gradients_of=0.125,
    fused=False,
    workers=0,
)
_GPU = Plan(
    chunk=None,
    chunk_elements=2**26,
    group=None,
    spared_slots=2**14,
    recompute=False,
    products=False,
    gradients_of=1.0,
    fused=True,
    workers=4,
)
_PLANS = {"cpu": _CPU, "cuda": _GPU}
_as_kind: str | None = None


def plan_of(options: ComputeOptions, device: torch.device | str) -> Plan:
    """The plan of a device, with the chunks that were asked for."""
    plan = _PLANS[_as_kind or torch.device(device).type]
    return plan if options.asv_chunk_size is None else replace(plan, chunk=options.asv_chunk_size)


@contextmanager
def planned_as(kind: str) -> Iterator[None]:
    """Run as on another kind of device, "cpu" or "cuda": for tests, and for counts of what a GPU would be asked to do."""
    global _as_kind  # noqa: PLW0603
    before, _as_kind = _as_kind, kind
    try:
        yield
    finally:
        _as_kind = before


def workers_of(options: TrainComputeOptions) -> int:
    """Processes that prepare batches: as asked for, or as the device needs and the cores allow."""
    if options.num_workers is not None:
        return options.num_workers
    # torchrun tells each process to use one thread: that is said of the operations of a CPU.
    cores = allotted_cores() // max(1, size() // max(1, nodes()))
    return max(0, min(plan_of(options, default_device()).workers, cores - 1))


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def check_compute(options: ComputeOptions) -> None:
    """InputError for what this machine cannot do, before anything is computed."""
    if torch.cuda.is_available():
        return
    if options.mixed_precision == "fp16":
        raise InputError("`mixed_precision=fp16` needs a GPU; use bf16 on a CPU")
    if options.compile_model and not any(shutil.which(compiler) for compiler in ("c++", "g++", "clang++")):
        raise InputError("`compile_model` needs a C++ compiler on a CPU: install g++, or leave the option out")


def describe(options: ComputeOptions, gradient_checkpointing: bool) -> str:
    """One line on how a model runs here, with what was chosen for the device."""
    device = default_device()
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    chunk = plan_of(options, device).chunk
    at_once = "all ASVs of a batch" if chunk is None else f"{chunk} ASVs"
    chunks = f"{at_once} at a time{' in each thread' if device.type == 'cpu' else ''}"
    precision = {"no": "fp32"}.get(options.mixed_precision, options.mixed_precision)
    kernel = options.attn_implementation
    if device.type == "cpu" and kernel in ("auto", "mem_efficient"):
        kernel = "math" if kernel == "auto" and precision == "bf16" else "flash"
    checkpointing = "gradient checkpointing" if gradient_checkpointing else "no gradient checkpointing"
    return f"{where}; {precision}; attention: {kernel}; {chunks}; {checkpointing}"
