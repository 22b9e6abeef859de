"""The processes that make batches: how they begin, how one that is lost is missed, how they end."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from types import TracebackType
from typing import TypeVar

from aam.errors import LostWorker
from aam.parallel.signals import leave_signals_to_parent, stopping_later

T = TypeVar("T")
# Those that a batch is waited for from.
_awaited: list[BaseProcess] = []


def begin_worker(worker: int) -> None:
    """What each of them does first."""
    leave_signals_to_parent()
    sys.excepthook = _report_faults


def _report_faults(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write what goes wrong in the thread that hands batches over, unless whoever asked for one has gone: that is said there."""
    if not isinstance(error, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, trace)


@cache
def end_workers_at_exit() -> None:
    """Kill those that are left when this process ends: Python would ask them to end, which they ignore, and wait for ever."""

    def kill() -> None:
        for child in active_children():
            if child.daemon:
                child.kill()

    # Before Python's own, which has none.
    Finalize(None, kill, exitpriority=1)


def from_workers(begin: Callable[[], Iterator[T]], number: int, processes: list[BaseProcess]) -> Iterator[T]:
    """What the iterator of a `DataLoader` gives. LostWorker when one of its processes ends from outside.

    processes: those that are there, or an empty list for the `number` that `begin` starts. PyTorch would raise that one is lost
    wherever the program is at that moment: in a hook, whose caller does not expect it, or in a lock.
    """
    _miss_any(processes)
    others = active_children()
    # A process that is told to stop before it has begun would end: where all of a job are told, none may be lost.
    with stopping_later():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        # One that is lost meanwhile is missed where those that are there are told of a new epoch.
        with _naming_lost(processes):
            iterator = begin()
        if threading.current_thread() is threading.main_thread():
            # PyTorch has set its own, once.
            signal.signal(signal.SIGCHLD, lambda number, frame: _miss_any(_awaited))
    if not processes:
        processes += [process for process in active_children() if process not in others]
    if len(processes) < number:
        raise LostWorker
    while True:
        try:
            _awaited[:] = processes
            _miss_any(_awaited)
            with _naming_lost(processes):
                item = next(iterator)
        except StopIteration:
            return
        finally:
            _awaited.clear()
        yield item


@contextmanager
def _naming_lost(processes: list[BaseProcess]) -> Iterator[None]:
    """LostWorker for an error that comes of a process's end: of a connection that broke off, or of PyTorch, which looks every few
    seconds.
    """
    try:
        yield
    except StopIteration:
        raise
    except Exception:
        for process in processes:
            process.join(0.1)
        _miss_any(processes)
        raise


def _miss_any(processes: list[BaseProcess]) -> None:
    if any(process.exitcode for process in processes):
        raise LostWorker
