"""Signals that ask a run to stop: it saves after the step that it is in, and ends."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from aam.errors import Stopped
from aam.parallel.ranks import rank

# Ctrl-C; what SLURM and others send before they kill; what SLURM is asked to send (--signal=USR1@60) a while before that; what is
# sent when the terminal is gone.
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
# SLURM and a launcher may both tell a process of the same event.
_SAME_SIGNAL_SECONDS = 3.0


class Stops:
    """Takes note of the first signal that came while it listened: `asked`, or 0. A second one, seconds later, raises `Stopped`,
    which says whether anything is `saved`.
    """

    def __init__(self, saved: Callable[[], bool]) -> None:
        self.saved = saved
        self.asked, self._asked_at = 0, 0.0
        self._handlers: dict[int, Any] = {}

    def listen(self) -> None:
        """From now on, until `leave`; in the main thread, as Python has it."""
        self._handlers = _hear(self._ask)

    def leave(self) -> None:
        """Let signals do what they did before."""
        _put_back(self._handlers)
        self._handlers = {}

    def _ask(self, number: int, frame: object) -> None:
        if self.asked and time.monotonic() - self._asked_at > _SAME_SIGNAL_SECONDS:
            raise Stopped(number, self.saved())
        if self.asked:
            return
        self.asked, self._asked_at = number, time.monotonic()
        _outlive_terminal(number)
        if rank() == 0:
            # Not by the log: the signal may have come while it was writing, and it cannot be entered twice.
            line = f"\n{signal.Signals(number).name}: stopping after this step; again in a few seconds to stop at once\n"
            os.write(2, line.encode())


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Have a signal that asks to stop raise `Stopped` within, so that what is half done is cleared away; `Stops` goes before it."""

    def stop(number: int, frame: object) -> None:
        _outlive_terminal(number)
        raise Stopped(number, saved=False)

    handlers = _hear(stop)
    try:
        yield
    finally:
        _put_back(handlers)


@contextmanager
def stopping_later() -> Iterator[None]:
    """Have signals that ask to stop wait until the end of what is within: in the hooks of a fork an exception would be lost."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_parent() -> None:
    """In a process that makes batches, or reads a file first: the one that made it saves, or clears away, and then ends it.

    Signals that waited since before the fork (`stopping_later`) are dropped.
    """
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


def _outlive_terminal(number: int) -> None:
    """Have what is said to a terminal that is gone go nowhere: it would be an error."""
    if number != signal.SIGHUP:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        # Not `isatty`, which says no once it is gone.
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                os.dup2(nowhere, stream)
    os.close(nowhere)


def _hear(handler: Callable[[int, object], None]) -> dict[int, Any]:
    """Have it called by those signals that are not ignored, as Ctrl-C is in the background; what they did before.

    Nothing where this is not the main thread, in which alone Python may change that.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    heard = [number for number in _STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heard}


def _put_back(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
