"""Whether what is to be read is there, and whether something can be written: asked first, at no cost."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable
from itertools import chain
from pathlib import Path

from aam.errors import InputError

_STANDARD_OUTPUT = ("/dev/stdout", "/dev/stderr", "/dev/fd/1", "/proc/self/fd/1")


def require_file(option: str, path: Path) -> None:
    """InputError unless there is a file that can be read; a pipe is one, too."""
    _require_there(option, path, "file")
    if path.is_dir():
        raise InputError(f"`{option}={path}`: is a folder, and a file is wanted")


def require_folder(option: str, path: Path) -> None:
    """InputError unless there is a folder that can be read."""
    _require_there(option, path, "folder")
    if not path.is_dir():
        raise InputError(f"`{option}={path}`: is a file, and a folder is wanted")


def require_place(option: str, folder: Path, file: Path | None = None) -> None:
    """InputError unless this is a folder in which files can be made, or can be made itself; file: what the option says, in it."""
    given = file or folder
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise InputError(f"`{option}={given}`: cannot write there ({error.strerror})") from error
    if there == given and not there.is_dir():
        raise InputError(f"`{option}={given}`: is a file, not a folder")
    if not there.is_dir():
        raise InputError(f"`{option}={given}`: cannot write there ({there} is a file, not a folder)")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"`{option}={given}`: cannot write there (Permission denied)")


def check_output_folder(folder: Path, log: str, left: Collection[str], *, overwrite: bool, resume: bool) -> set[str]:
    """The names of what the folder of a run holds. InputError where it is not to be written to.

    log: the file that marks it as a run's; left: what a run that stopped at its input has left, and no more.
    """
    require_place("output_dir", folder)
    held = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if resume:
        if held and log not in held:
            raise InputError(f"`resume`: {folder} holds no earlier run (no {log}); choose another `output_dir`")
    elif held and not overwrite and not (log in held and held <= set(left)):
        raise InputError(f"`output_dir={folder}`: is not empty; choose another, or `overwrite`, or `resume`")
    return held


def check_output_file(
    path: Path,
    overwrite: bool,
    suffixes: tuple[str, ...],
    beside: tuple[Path, ...] = (),
    inputs: Iterable[tuple[Path, ...]] = (),
    name: str = "output",
) -> None:
    """Refuse an output of unknown kind, one that exists (unless `overwrite`), or one in a place that cannot be written.

    beside: files that may be written with it, but for the ids of an .npy; inputs: what the command reads, which none of them may
    replace; name: of the option that names it.
    """
    if str(path) in _STANDARD_OUTPUT:
        raise InputError(f"`{name}={path}`: standard output is not written to; name a file that ends in {' or '.join(suffixes)}")
    if path.is_dir():
        raise InputError(f"`{name}={path}`: is a folder; name a file in it")
    if path.suffix == ".npy":
        beside = (*beside, path.with_suffix(".ids.txt"))
    read = {file.resolve() for file in chain.from_iterable(inputs)}
    if path.suffix not in suffixes:
        raise InputError(f"`{name}={path}`: must end in {' or '.join(suffixes)}")
    for written in (path, *beside):
        if written.resolve() in read:
            raise InputError(f"`{name}={written}`: is read by this command; choose another name")
        if written.exists() and not overwrite:
            raise InputError(f"`{name}={written}`: exists; choose another name or `overwrite`")
    require_place(name, path.parent, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"`{name}={path}`: cannot write there ({error.strerror})") from error


def _require_there(option: str, path: Path, kind: str) -> None:
    try:
        path.stat()
    except (OSError, ValueError) as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or str(error)
        raise InputError(f"`{option}={path}`: {why}; check the path to this {kind}") from error
    if not os.access(path, os.R_OK):
        raise InputError(f"`{option}={path}`: cannot be read (Permission denied)")
