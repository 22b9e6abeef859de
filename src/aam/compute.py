"""Where and how a model runs: device, arithmetic, compilation."""

from __future__ import annotations

import shutil

import torch

from aam.errors import InputError
from aam.options import ComputeOptions, Precision

# A CPU is fastest where the activations of a chunk stay in its caches, a GPU where all of it is busy.
_CHUNK = {False: 16, True: 256}
_AUTOCAST = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def asv_chunk_size(options: ComputeOptions, device: torch.device) -> int:
    """Distinct ASVs encoded at a time: as asked for, or as is fastest on the device."""
    return options.asv_chunk_size or _CHUNK[device.type == "cuda"]


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
    chunks = f"{asv_chunk_size(options, device)} ASVs at a time{' in each thread' if device.type == 'cpu' else ''}"
    precision = {"no": "fp32"}.get(options.mixed_precision, options.mixed_precision)
    kernel = options.attn_implementation
    if device.type == "cpu" and kernel in ("auto", "mem_efficient"):
        kernel = "math" if kernel == "auto" and precision == "bf16" else "flash"
    checkpointing = "gradient checkpointing" if gradient_checkpointing else "no gradient checkpointing"
    return f"{where}; {precision}; attention: {kernel}; {chunks}; {checkpointing}"


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Context in which the network computes in `precision`, outside of a Lightning trainer."""
    dtype = _AUTOCAST[precision]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)
