"""A long computation that can be interrupted: what it has found so far, written down now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

# Between two times that it is written down: what an end from outside loses.
_SECONDS = 20


@dataclass
class Begun:
    """The beginning of results that come one after another.

    first: what is there of them, arrays of as many results each, or none; write: keeps such arrays for the next time, or None.
    """

    first: Sequence[np.ndarray] = ()
    write: Callable[[Sequence[np.ndarray]], None] | None = None
    since: float = field(default_factory=time.monotonic)

    def fill(self, *arrays: np.ndarray) -> int:
        """Fill arrays [K, ...] of all results with those that are there; how many these are."""
        if not self.first:
            return 0
        for whole, first in zip(arrays, self.first, strict=True):
            whole[: len(first)] = first
        return len(self.first[0])

    def note(self, done: int, *arrays: np.ndarray) -> None:
        """The first `done` results of the arrays are there now."""
        if self.write is None or time.monotonic() - self.since < _SECONDS:
            return
        self.write([whole[:done] for whole in arrays])
        self.since = time.monotonic()
