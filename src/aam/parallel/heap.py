"""What the C library does with memory that is freed; of glibc alone, elsewhere nothing is changed."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache

# Of mallopt(3).
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8


@cache
def share_one_arena() -> None:
    """Let all threads allocate from one heap: each on its own would hold on to what it freed, a third more memory in a long run."""
    _set(_M_ARENA_MAX, 1)


@cache
def return_large_blocks() -> None:
    """Give blocks of a megabyte back when they are freed.

    By default the heap keeps those of up to 32 MB, in pieces that larger ones do not fit into: layers of 28 MB that were put
    together and taken apart again left a process at 4.2 GB, and at 1.8 GB so.
    """
    _set(_M_MMAP_THRESHOLD, 2**20)


def return_freed() -> None:
    """Give back what was freed so far."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _set(parameter: int, value: int) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(parameter, value)
