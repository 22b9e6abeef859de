"""One run at a time in a folder, and one search in a file."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

from aam.errors import InputError

log = logging.getLogger(__name__)

# Open as long as the runs that write there.
_held: dict[Path, int] = {}


def lock(path: Path, option: str = "output_dir", taken: str = "another run is writing there") -> None:
    """Refuse a folder or file that another process writes to. The system ends a lock with its process, however that ends.

    option, taken: what the InputError names, and says of it.
    """
    known = path.absolute()
    if known in _held:
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise InputError(f"`{option}={path}`: {taken}; wait for it, or choose another") from None
    except OSError as error:
        # Some network file systems have none.
        log.warning("%s cannot be locked (%s): see to it that no other run writes there", path, error.strerror)
    _held[known] = handle


def unlock() -> None:
    """End the locks of this process."""
    while _held:
        os.close(_held.popitem()[1])


# A lock lasts as long as anyone has it open: not those who only make batches.
os.register_at_fork(after_in_child=unlock)
