"""Whether a graph can be written: asked first, before anything that takes seconds is imported."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from aam.disk.places import check_output_file
from aam.errors import InputError

_NEEDED = ("onnx", "onnxscript", "onnxruntime")


def check_export(path: Path, *, overwrite: bool, inputs: Iterable[tuple[Path, ...]] = ()) -> None:
    """InputError where what writes graphs is not installed, and for a place where the graph cannot be written; inputs: what is
    read, which it may not replace.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise InputError(f"export needs {missing[0]}: pip install 'attention-all-microbes[onnx]'")
    check_output_file(path, overwrite, (".onnx",), files_beside(path), inputs)


def files_beside(path: Path) -> tuple[Path, Path]:
    """What is written with a graph: what it is, and a page with the code that reads it."""
    return path.with_suffix(".json"), path.with_suffix(".md")
