"""How a command ends that does not end well: one line, and an exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback

from cyclopts import CycloptsError

from aam.cli.launch import end_after_peer, is_lost_peer, say
from aam.cli.run.log import log_in_files
from aam.cli.usage import describe
from aam.errors import InputError, LostWorker, Stopped
from aam.parallel.ranks import by_slurm, by_torchrun, rank

# What a disk says that takes no more.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def end_of(error: BaseException) -> int:
    """Say what ended a command; the exit code: 2 for bad usage, bad input and a full disk, 128 + N for signal N (130 for Ctrl-C), 1
    where another rank has ended. Raises again what is a fault of ours.
    """
    if isinstance(error, (InputError, CycloptsError)):
        say(f"error: {describe(error)}")
        return 2
    if isinstance(error, BrokenPipeError):
        # Nobody reads any more, as after `| head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if isinstance(error, OSError) and (error.filename or error.errno in _FULL):
        place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        full = error.errno in _FULL
        say(f"error: {place}{error.strerror}; {'make room and go on: what is written is whole' if full else 'check the place'}")
        return 2
    if isinstance(error, (KeyboardInterrupt, Stopped)):
        return _stopped(error)
    if isinstance(error, RuntimeError) and (by_torchrun() or by_slurm()) and is_lost_peer(error):
        end_after_peer()
        return 1
    if isinstance(error, LostWorker):
        say("error: a process that makes batches was ended from outside (is memory short?); go on with --resume")
        return 1
    log_in_files("".join(traceback.format_exception(error)))
    raise error


def _stopped(error: KeyboardInterrupt | Stopped) -> int:
    number, saved = (error.number, error.saved) if isinstance(error, Stopped) else (signal.SIGINT, False)
    if rank() == 0:
        say(f"stopped by {signal.Signals(number).name}{'; --resume goes on from here' if saved else ''}")
    return 128 + number
