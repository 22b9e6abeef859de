"""Whether a file can be written: asked before anything is computed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from aam.errors import InputError


def check_output_file(
    path: Path,
    overwrite: bool,
    suffixes: tuple[str, ...],
    beside: tuple[Path, ...] = (),
    inputs: Iterable[tuple[Path, ...]] = (),
) -> None:
    """Refuse an output of unknown kind, one that exists (unless `overwrite`), or one in a place that cannot be written.

    beside: files that may be written with it, but for the ids of an .npy; inputs: what the command reads, which none of them may
    replace.
    """
    if path.suffix == ".npy":
        beside = (*beside, path.with_suffix(".ids.txt"))
    read = {file.resolve() for file in chain.from_iterable(inputs)}
    if path.suffix not in suffixes:
        raise InputError(f"`output={path}`: must end in {' or '.join(suffixes)}")
    if path.is_dir():
        raise InputError(f"`output={path}`: is a folder")
    for written in (path, *beside):
        if written.resolve() in read:
            raise InputError(f"`output={written}`: is read by this command; choose another name")
        if written.exists() and not overwrite:
            raise InputError(f"`output={written}`: exists; choose another name or `overwrite`")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"`output={path}`: cannot write there ({error.strerror})") from error
