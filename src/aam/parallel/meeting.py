"""Processes of one run meet: each waits for the others where signals are heard, says for whom, and not for ever."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from torch.distributed import PrefixStore, Store, TCPStore

from aam.errors import InputError, first_few, one_line

log = logging.getLogger(__name__)

# For all to come, however long a step of the run may take afterwards.
PATIENCE_SECONDS = 120.0
# Those that are started together come nearly together, which is not worth a word.
_SOON_SECONDS = 3.0
_TRY = timedelta(seconds=1)
_ALONE = "start them all (srun, torchrun), or run alone with `devices=1`"


@dataclass(frozen=True)
class Meeting:
    """Where `size` processes meet, of which this is number `rank`, as `launcher` has announced."""

    launcher: str
    rank: int
    size: int
    address: str
    port: int

    @property
    def place(self) -> str:
        return f"{self.address}:{self.port}"


def meet_others(meeting: Meeting) -> Store:
    """Wait until all processes are here; the store that they share. InputError once the patience is over.

    The waiting is in a thread: in C++ no signal is heard, and what answers at the place may be another program, without an end.
    """
    arrivals = _Arrivals(meeting)
    arrivals.start()
    try:
        _wait(meeting, arrivals)
    finally:
        arrivals.over.set()
        # Not in the midst of C++ when the process ends.
        arrivals.join(2 * _TRY.total_seconds())
    if arrivals.store is None:
        raise InputError(
            f"cannot wait at {meeting.place} for the processes that {meeting.launcher} announced ({arrivals.failed}): "
            "set MASTER_PORT to a free port, or run alone with `devices=1`"
        )
    return arrivals.store


def _wait(meeting: Meeting, arrivals: _Arrivals) -> None:
    began, said = time.monotonic(), False
    while arrivals.is_alive():
        arrivals.join(0.1)
        waited = time.monotonic() - began
        if waited > PATIENCE_SECONDS:
            raise InputError(
                f"{len(arrivals.missing)} of the {meeting.size} processes that {meeting.launcher} announced did not come to "
                f"{meeting.place} within {PATIENCE_SECONDS:.0f} seconds (rank {first_few(arrivals.missing)}): {_ALONE}"
            )
        if waited > _SOON_SECONDS and not said:
            said = True
            log.info(
                "waiting for %d of %d processes that %s announced (rank %d of %d, at %s), for up to %.0f seconds; "
                "`devices=1` runs alone",
                len(arrivals.missing), meeting.size, meeting.launcher, meeting.rank, meeting.size, meeting.place, PATIENCE_SECONDS,
            )  # fmt: skip


class _Arrivals(threading.Thread):
    """Ends when all processes are here, with the `store` that they share, or when this one, which is to hold it, `failed`;
    until then it knows who is `missing`.
    """

    def __init__(self, meeting: Meeting) -> None:
        super().__init__(daemon=True)
        self.meeting = meeting
        self.store: Store | None = None
        self.failed = ""
        self.over = threading.Event()
        self.missing: list[int] = [rank for rank in range(meeting.size) if rank != meeting.rank]

    def run(self) -> None:
        while not self.failed and not self.over.is_set():
            # Where the one that holds it is not there yet, or has gone.
            with suppress(OSError, RuntimeError, ValueError):
                self.store = self.store or self._reach()
                if self.store is not None:
                    self.missing = [rank for rank in range(self.meeting.size) if not self.store.check([str(rank)])]
                    if not self.missing:
                        return
            self.over.wait(0.1)
        self.store = None

    def _reach(self) -> Store | None:
        """The store, with the word of this process in it; None while the process that holds it is not there."""
        at = self.meeting
        # torchrun's own process holds it.
        holds = at.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
        if not holds and not _listens(at):
            return None
        try:
            socket.getaddrinfo(at.address, at.port)
            store = TCPStore(at.address, at.port, at.size, is_master=holds, timeout=_TRY, wait_for_workers=False, multi_tenant=True)
        except (OSError, RuntimeError, ValueError) as error:
            self.failed = one_line(error).partition(". ")[0].rstrip(".") if holds else ""
            raise
        shared = PrefixStore(f"aam/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        shared.set(str(at.rank), "here")
        return shared


def _listens(meeting: Meeting) -> bool:
    """Whether anything is there to be reached, asked without the words of C++ on standard error where there is not."""
    try:
        socket.create_connection((meeting.address, meeting.port), timeout=_TRY.total_seconds()).close()
    except OSError:
        return False
    return True
