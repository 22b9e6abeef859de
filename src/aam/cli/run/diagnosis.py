"""``aam doctor``: what a report of a problem needs, in one screen."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from aam import __version__
from aam.cli.configs import DoctorConfig
from aam.cli.run.log import LOGGER
from aam.disk.cache import default_folder
from aam.errors import InputError
from aam.parallel.threads import allotted_threads

_GB = 1e9
_WIDTH = 12
# What is used where it is there, and for what.
# Extras that are of developers, or of other extras.
_NO_USERS = ("dev", "docs", "all")
_PROGRAMS = {"g++": "--compile-model on a CPU", "nvidia-smi": "GPUs", "srun": "SLURM"}
_KERNELS = ("flash", "mem_efficient", "math")


def run_diagnosis(config: DoctorConfig) -> None:
    """Print what there is, and the outcome of each self-test."""
    for title, text in facts():
        sys.stdout.write(f"{title:<{_WIDTH}}{text}\n")
        sys.stdout.flush()
    if not config.self_test:
        return
    # What is missing was said above, where a package that this needs cannot be imported.
    from aam.evaluation.self_test import CHECKS, run_check

    failed = 0
    for check in CHECKS:
        found = run_check(check)
        failed += not found.good
        sys.stdout.write(f"{'self-test' if check is CHECKS[0] else '':<{_WIDTH}}{found.line}\n")
        sys.stdout.flush()
    if failed:
        raise InputError(f"{failed} of {len(CHECKS)} self-tests failed; all of the above belongs into a report of it")
    LOGGER.info("everything works")


def facts() -> Iterator[tuple[str, str]]:
    """Titles and what there is."""
    yield "AAM", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield "packages", ", ".join(_packages(extra=False))
    yield "optional", "; ".join([*_packages(extra=True), *_programs()])
    yield "processor", _processor()
    yield "memory", _memory()
    yield "GPU", _gpus()
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        yield "attention", f"{device}: {_attention(torch.device(device))}"
    for title, place in (("disk", Path.cwd()), ("temporary", Path(tempfile.gettempdir())), ("cache", _cache())):
        yield title, _disk(place)


def _packages(extra: bool) -> Iterator[str]:
    """Names and versions of what AAM needs, or may use by an extra of its own."""
    for requirement in requires("attention-all-microbes") or ():
        of = re.search(r"extra == ['\"](\w+)", requirement)
        if (of is not None) != extra or (of and of[1] in _NO_USERS):
            continue
        name = re.split(r"[^\w.-]", requirement)[0]
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} not found (pip install 'attention-all-microbes[{of[1]}]')" if of else f"{name} MISSING"


def _programs() -> Iterator[str]:
    for program, use in _PROGRAMS.items():
        yield f"{program} {'found' if shutil.which(program) else 'not found'} ({use})"


def _processor() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{_model()}, {usable} of {os.cpu_count()} cores usable, {allotted_threads()} threads, {capability}"


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _memory() -> str:
    memory = psutil.virtual_memory()
    return f"{memory.total / _GB:.1f} GB, {memory.available / _GB:.1f} free{_bound()}"


def _bound() -> str:
    """What a container or a batch system allows, which is less than what the machine has."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limit = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if limit.isdigit() and int(limit) < 1 << 50:
            return f"; this job may take {int(limit) / _GB:.1f} GB"
    return ""


def _gpus() -> str:
    if not torch.cuda.is_available():
        return f"none that PyTorch can use (built for {'CUDA ' + torch.version.cuda if torch.version.cuda else 'the CPU alone'})"
    parts = []
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        free, total = torch.cuda.mem_get_info(number)
        parts.append(f"{properties.name}, {total / _GB:.1f} GB, {free / _GB:.1f} free, sm_{properties.major}{properties.minor}")
    return f"{'; '.join(parts)}; CUDA {torch.version.cuda}"


def _attention(device: torch.device) -> str:
    """The kernels that run, for each arithmetic."""
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16} | ({"fp16": torch.float16} if device.type == "cuda" else {})
    return "; ".join(f"{name} {', '.join(_working(device, dtype)) or 'none'}" for name, dtype in kinds.items())


def _working(device: torch.device, dtype: torch.dtype) -> Iterable[str]:
    backends = (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)
    for name, backend in zip(_KERNELS, backends, strict=True):
        query = torch.zeros(2, 4, 16, 16, device=device, dtype=dtype)
        try:
            with warnings.catch_warnings(action="ignore"), sdpa_kernel(backend):
                torch.nn.functional.scaled_dot_product_attention(query, query, query)
        except RuntimeError:
            continue
        yield name


def _cache() -> Path:
    return default_folder() or Path(tempfile.gettempdir())


def _disk(place: Path) -> str:
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    held = sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) if place == _cache() else 0
    writable = "" if os.access(there, os.W_OK) else ", NOT WRITABLE"
    return f"{place}: {shutil.disk_usage(there).free / _GB:.1f} GB free{f', holds {held / _GB:.2f} GB' if held else ''}{writable}"
