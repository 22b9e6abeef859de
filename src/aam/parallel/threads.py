"""How many threads a run may have, and several pieces of work at a time, each on cores of its own.

A chain of small tensor operations is faster on one core than shared by many: they would wait for each other at every operation.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController, threadpool_limits

from aam.parallel.heap import share_one_arena

Item = TypeVar("Item")
Result = TypeVar("Result")

# What says how many cores one process may use.
_OF_A_PROCESS = ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK")
_CGROUPS, _OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def allotted_threads(processes: int = 1, mount: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> int:
    """The threads that this run may have, at least 1: the least of its cores (affinity), what its container or job may use of them
    (cgroup quota), SLURM_CPUS_PER_TASK, OMP_NUM_THREADS and what PyTorch is told to use.

    processes: of this machine, which share what is not said of one of them; mount, own: see `cgroup_cores`.
    """
    cores = allotted_cores(mount, own)
    machine = min(cores, _torch().get_num_threads() if _torch() else cores)
    # OMP_NUM_THREADS may be a list, for loops within loops.
    told = [int(found[0]) for name in _OF_A_PROCESS if (found := re.match(r"[1-9]\d*", os.environ.get(name, "").strip()))]
    return max(1, min([machine, *told]) if told else machine // processes)


def allotted_cores(mount: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> int:
    """The cores of this machine that this run may use, whatever is said of threads: affinity and quota; see `cgroup_cores`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, cgroup_cores(mount, own))


def _torch() -> Any:
    """PyTorch where it is loaded: that takes a second, and a run without it has no threads of it."""
    return sys.modules.get("torch")


def cgroup_cores(mount: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> int:
    """Cores that the quotas of this process's control groups and of those around them amount to, rounded up; those of the machine
    where there are none. mount: where the groups are; own: file that names those of this process.
    """
    least = os.cpu_count() or 1
    with suppress(OSError):
        for line in own.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            # Version 2 has one tree, without a name; in a container the path may be that of the host, and the top is its own.
            if controllers and "cpu" not in controllers.split(","):
                continue
            top = mount / controllers
            place = top / path.strip("/")
            for folder in (place, *place.parents):
                if folder.is_relative_to(top):
                    least = min(least, _cores_of(folder))
    return least


def _cores_of(group: Path) -> int:
    """Cores of the quota of one control group, of version 2 or 1."""
    for read in (
        lambda: (group / "cpu.max").read_text(encoding="ascii").split(),
        lambda: [(group / f"cpu.cfs_{part}_us").read_text(encoding="ascii").strip() for part in ("quota", "period")],
    ):
        with suppress(OSError, ValueError):
            quota, period = (int(part) for part in read())
            if quota > 0:
                return max(1, math.ceil(quota / period))
    return 10**6


def use_allotted_threads(processes: int = 1) -> None:
    """Have PyTorch, and the libraries of numpy, scipy and scikit-learn, use no more threads than this run is allotted."""
    threads = allotted_threads(processes)
    if torch := _torch():
        torch.set_num_threads(threads)
    for library in ThreadpoolController().lib_controllers:
        if (library.num_threads or 0) > threads:
            library.set_num_threads(threads)


@contextmanager
def on_one_core() -> Iterator[None]:
    """PyTorch, BLAS and OpenMP use one thread within: small operations are faster so, and sums come out the same on any machine, in
    this process and in a worker that has one core.
    """
    torch = _torch()
    before = torch.get_num_threads() if torch else 1
    if torch:
        torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        if torch:
            torch.set_num_threads(before)


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], threads: int) -> Iterator[Result]:
    """Results in order, as they are ready, from `threads` threads that share no operation; in this thread where one is enough."""
    if min(threads, len(items)) <= 1:
        yield from map(work, items)
        return
    share_one_arena()
    torch = _torch()
    before = torch.get_num_threads() if torch else 1
    if torch:
        torch.set_num_threads(max(1, before // threads))
    pool = ThreadPoolExecutor(threads)
    try:
        yield from pool.map(work, items)
    finally:
        # Not to wait for the rest after an interrupt.
        pool.shutdown(cancel_futures=True)
        if torch:
            torch.set_num_threads(before)
