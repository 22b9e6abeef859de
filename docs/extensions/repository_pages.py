"""Pages that lie outside docs/: they are read with their links turned, and links to them from docs/ are turned too."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from made_pages import write_changed
from sphinx.application import Sphinx

# By their name in the repository, their page in docs/project.
PAGES = {
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "EXPERIMENTS.md": "experiments.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "LICENSE": "license.md",
    "README.md": "../index.md",
}
MADE = {name: page for name, page in PAGES.items() if name.endswith(".md") and name != "README.md"}


def write_pages(app: Sphinx) -> None:
    """Write the pages into docs/project, where they differ from what is there."""
    root = Path(app.srcdir).parent
    made = {
        page: turned((root / name).read_text(encoding="utf-8"), Path(name).parent, Path("docs/project"))
        for name, page in MADE.items()
    }
    made["license.md"] = f"# License\n\n```text\n{(root / 'LICENSE').read_text(encoding='utf-8')}```\n"
    write_changed(Path(app.srcdir) / "project", made)


def turned(text: str, folder: Path, new: Path) -> str:
    """Links of a page in one folder of the repository as those of a page in another, to pages of the site where it has them."""

    def turn(found: re.Match[str]) -> str:
        path, anchor = found[1], found[2] or ""
        target = os.path.normpath(folder / path)
        place = os.path.normpath(f"docs/project/{PAGES[target]}") if target in PAGES else target
        return f"]({os.path.relpath(place, new)}{anchor})"

    return re.sub(
        r"\]\((?!https?://|#|mailto:|<)([^)#\s]+)(#[^)\s]*)?\)", lambda found: turn(found) if found[1] else found[0], text
    )


def turn_links(app: Sphinx, page: str, text: list[str]) -> None:
    """Links from docs/ to the pages outside."""
    if not page.startswith(("project/", "commands/", "api/")):
        folder = Path("docs", page).parent
        text[0] = re.sub(r"\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)", lambda found: turned(found[0], folder, folder), text[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", turn_links)
    return {"parallel_read_safe": True}
