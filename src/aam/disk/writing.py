"""Files that are there whole or not at all: written beside their place, put on the disk, and then renamed into it."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_TOLD = re.compile(
    r"(?:os error|errno =) (\d+)|\d+ requested and \d+ written|PytorchStreamWriter failed writing|unexpected pos \d+ vs"
)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file or a folder that is to be at `path`, where an earlier one stays until all of it is written.

    What was written before an error is removed again.
    """
    new = beside(path, "new")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(new)
    try:
        with disk_errors(path):
            yield new
            put_in_place(new, path)
    finally:
        remove(new)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """What the disk refuses while `path` is written is an OSError that names it, whoever was told."""
    try:
        yield
    except Exception as error:
        if (number := errno_of(error)) is not None:
            raise OSError(number, os.strerror(number), str(path)) from error
        raise


def errno_of(error: BaseException | None) -> int | None:
    """What the system said, in the words of those who were told: h5py, safetensors, NumPy, PyTorch."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        if found := _TOLD.search(str(error)):
            return int(found[1]) if found[1] else errno.ENOSPC
        error = error.__cause__ or error.__context__
    return None


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with whole(path) as new:
        new.write_text(text, encoding="utf-8")


def write_tsv(path: Path, frame: pd.DataFrame, index: bool = True, float_format: str | None = None) -> None:
    """Write a tab-separated table, by default with the names of its rows."""
    # pandas would take a name that begins with ~ for somebody's home.
    with whole(path) as new, new.open("w", encoding="utf-8", newline="") as file:
        frame.to_csv(file, sep="\t", index=index, float_format=float_format)


def put_in_place(new: Path, path: Path, before: Path | None = None) -> None:
    """Make what is complete at `new` what is at `path`; what was there is then at `before`, if that is given."""
    flush(new)
    old = before or beside(path, "old")
    # A folder cannot take the place of another.
    if path.exists() and (before is not None or path.is_dir()):
        remove(old)
        path.rename(old)
    new.replace(path)
    _sync(path.parent)
    if before is None:
        remove(old)


def beside(path: Path, what: str) -> Path:
    """A hidden name next to it, of the same kind."""
    return path.with_name(f".{what}-{path.name}")


def flush(path: Path) -> None:
    """Have the disk hold a file, or all there is in a folder."""
    for entry in (path, *path.rglob("*")) if path.is_dir() else (path,):
        _sync(entry)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems cannot do so for a folder.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)
