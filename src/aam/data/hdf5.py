"""HDF5 files from anywhere: bounds on what they claim, and a first reading in a process of its own, because on some broken files
libhdf5 never ends, or crashes.
"""

from __future__ import annotations

import faulthandler
import io
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import h5py

from aam.data.files import HARMLESS
from aam.errors import InputError, one_line
from aam.parallel.signals import leave_signals_to_parent, stopping_later

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Of the processor, not of the clock: a slow disk is no fault. Of what the file's own size explains, many times over.
_SECONDS, _SECONDS_PER_MB = 3.0, 2.0
_BYTES, _BYTES_PER_BYTE = 2 * 2**30, 100
# Counts that are all the same are packed as well as deflate can.
_EXPANSION = 1_100
_FORKS = sys.platform == "linux"


def bounded(handle: h5py.File, name: str, path: Path, dimensions: int = 1) -> h5py.Dataset:
    """A dataset, which is no larger than so many bytes of the file may hold. InputError for another; KeyError for none."""
    dataset = handle[name]
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: broken HDF5 file ({name} is a group, not values); is the file complete?")
    if dataset.external or dataset.is_virtual or dataset.file != handle.file:
        raise InputError(f"{path}: {name} lies in another file; only what is in this one is read")
    size = dataset.size * dataset.dtype.itemsize
    if dataset.ndim != dimensions or size > max(HARMLESS, _EXPANSION * dataset.id.get_storage_size()):
        raise InputError(f"{path}: broken HDF5 file ({name} claims {dataset.size:,} values); is the file complete?")
    return dataset


def read_texts(handle: h5py.File, name: str, path: Path) -> tuple[str, ...]:
    """A dataset of texts, with the same errors."""
    return tuple(text.decode("utf-8") if isinstance(text, bytes) else str(text) for text in bounded(handle, name, path)[:])


def try_first(read: Callable[[], object], path: Path, size: int) -> None:
    """Read a file of `size` bytes for nothing. InputError with what went wrong; without one, `read` will end here as it did there.

    Only on Linux, where a process is cheaply made of another; elsewhere nothing is tried.
    """
    if not _FORKS:
        return
    heard, said = os.pipe()
    with warnings.catch_warnings(action="ignore"), stopping_later():
        # Other threads of this process are of no concern: the child reads and ends.
        child = os.fork()
        if child == 0:
            leave_signals_to_parent()
    if child == 0:
        _read_and_end(read, said, path, size)
    os.close(said)
    try:
        with os.fdopen(heard, encoding="utf-8") as pipe:
            message = pipe.read()
    except BaseException:
        # Ctrl-C: nobody waits for it any more.
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if message:
        raise InputError(message)
    if status != 0:
        end = f"signal {-status}" if status < 0 else f"exit code {status}"
        raise InputError(f"{path}: broken HDF5 file (its library came to no end, {end}); is the file complete?")


class _Held(io.FileIO):
    """A file whose first `error` is held back."""

    error: OSError | None = None

    def write(self, data: Buffer) -> int:
        content = memoryview(data).cast("B")
        left = content
        while self.error is None and len(left):
            try:
                left = left[super().write(left) :]
            except OSError as error:
                self.error = error
        return len(content)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


@contextmanager
def writing_hdf5(path: Path) -> Iterator[BinaryIO]:
    """A file for h5py to write. What the disk refuses is raised at the end, as is what signals ask for: libhdf5 crashes when its
    write fails.
    """
    with stopping_later(), _Held(path, "w+") as file:
        yield file
        if file.error is not None:
            raise file.error


def _read_and_end(read: Callable[[], object], said: int, path: Path, size: int) -> NoReturn:
    message, code = "", 1
    try:
        # What happens here is told by the parent.
        faulthandler.disable()
        # Its signal ends the process, also from within the library.
        signal.setitimer(signal.ITIMER_PROF, _SECONDS + _SECONDS_PER_MB * (size >> 20))
        with open("/proc/self/statm", encoding="ascii") as memory:  # noqa: PTH123 - as plain as can be in a forked process
            taken = int(memory.read().split()[0]) * os.sysconf("SC_PAGESIZE")
        allowed = taken + _BYTES + _BYTES_PER_BYTE * size
        # Where the system allows less, that is what there is.
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        if most == resource.RLIM_INFINITY or allowed < most:
            resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        read()
        code = 0
    except MemoryError:
        message = f"{path}: takes more memory than this process may have (ulimit -v), or is broken"
    except Exception as error:  # noqa: BLE001 - whatever it is, the file is not read
        broken = f"{path}: broken HDF5 file ({one_line(error) or type(error).__name__}); is the file complete?"
        message = str(error) if isinstance(error, InputError) else broken
    finally:
        os.write(said, message.encode("utf-8", "replace")[:60_000])
        os._exit(code)
