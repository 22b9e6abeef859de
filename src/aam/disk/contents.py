"""What a run reads, known by its contents: a resumed run reads the same, wherever it lies by then."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from aam.disk.writing import write_text
from aam.errors import InputError, one_line

# Of a model folder.
_MODEL_FILES = ("config.json", "model.safetensors")


def contents_of(inputs: dict[str, tuple[Path, ...]]) -> dict[str, list[str]]:
    """SHA-256 of what is in them, wherever they lie. InputError for a file that cannot be read."""
    return {name: [_digest(path) for path in paths] for name, paths in inputs.items()}


def write_contents(path: Path, contents: dict[str, list[str]]) -> None:
    """Write what `refuse_other_inputs` reads."""
    write_text(path, json.dumps(contents, indent=2) + "\n")


def refuse_other_inputs(path: Path, contents: dict[str, list[str]]) -> None:
    """Refuse to go on with other input than the run recorded in `path`, if that is still there."""
    if not path.is_file():
        return
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)}), so nobody knows what the run read; start afresh") from error
    known = recorded if isinstance(recorded, dict) else {}
    if changed := [name for name in {**known, **contents} if known.get(name) != contents.get(name)]:
        option = f"`{changed[0]}`"
        advice = f"restore it, start afresh in another `output_dir`, or remove {path} to go on all the same"
        raise InputError(f"`resume`: {option} holds other data than the run read; {advice}")


def _digest(path: Path) -> str:
    if path.is_dir():
        folder = path / "model" if (path / "model" / "config.json").is_file() else path
        files = [folder / name for name in _MODEL_FILES if (folder / name).is_file()]
        # Of a run of several targets, in folders of each.
        files = files or sorted(file for name in _MODEL_FILES for file in folder.glob(f"*/*/model/{name}"))
        return " ".join(map(_digest, files))
    if path.exists() and not path.is_file():
        # It can be read once.
        return "a pipe"
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
