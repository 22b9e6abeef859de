"""Pages that a build makes: written where they changed, so that an unchanged page is not read again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_changed(folder: Path, pages: Mapping[str, str]) -> None:
    """Write pages by file name into a folder that holds nothing else, and remove those that are no more."""
    folder.mkdir(exist_ok=True)
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.iterdir():
        if path.is_file() and path.name not in pages:
            path.unlink()
