"""What work takes: seconds, and memory above what was in use before it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from aam.parallel.heap import return_freed

Result = TypeVar("Result")

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def taken(work: Callable[[], Result]) -> tuple[Result, float, float]:
    """The result of some work, its seconds, and the bytes that this process had at most above those that it had before; NaN where
    the system does not tell (it is Linux that does).
    """
    return_freed()
    before = _restart()
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start, max(0.0, _highest() - before)


def _restart() -> float:
    """Forget the highest use of memory so far; bytes in use now."""
    try:
        _FORGET.write_text("5", encoding="ascii")
    except OSError:
        return float("nan")
    return _highest()


def _highest() -> float:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
