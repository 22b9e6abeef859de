"""Several pieces of work at a time, each on cores of its own.

A chain of small tensor operations is faster on one core than shared by many: they would wait for each other at every operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from aam.parallel.heap import share_one_arena

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], threads: int) -> Iterator[Result]:
    """Results in order, as they are ready, from `threads` threads that share no operation; in this thread where one is enough."""
    if min(threads, len(items)) <= 1:
        yield from map(work, items)
        return
    share_one_arena()
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // threads))
    pool = ThreadPoolExecutor(threads)
    try:
        yield from pool.map(work, items)
    finally:
        # Not to wait for the rest after an interrupt.
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
