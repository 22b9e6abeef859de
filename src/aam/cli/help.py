"""How the help looks."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from cyclopts.help import DefaultFormatter, InlineText

from aam.cli.spelling import spell

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

OFF = ("False", "()")


class ShortHelp(DefaultFormatter):
    """The usual help without what only takes room: defaults that say "off", the --no-FLAG forms of flags that are off, and the line
    breaks of the source; shown: the only flags that are listed, None for all.
    """

    def __init__(self, shown: Collection[str] | None = None) -> None:
        super().__init__()
        self.shown = shown

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        entries = [entry for entry in panel.entries if self._shows(entry)]
        short = [
            entry.copy(
                negative_names=() if entry.default == "False" else entry.negative_names,
                default=None if entry.default in OFF else _listed(entry.default),
                description=_flowing(entry.description),
            )
            for entry in entries
        ]
        if short:
            super().__call__(console, options, panel.copy(entries=short))

    def _shows(self, entry: Any) -> bool:
        return self.shown is None or entry.required or not self.shown.isdisjoint(entry.positive_names)  # type: ignore[attr-defined]


def _listed(default: str | None) -> str | None:
    """Of several values as they are given: ``('a', 'b')`` is ``a,b``."""
    several = (default or "").startswith("('")
    return ",".join(re.findall("'([^']*)'", default)) if default and several else default


def _flowing(description: Any) -> Any:
    """The same text with flags spelled, to be broken where the terminal ends."""
    from rich.text import Text

    if isinstance(description, InlineText) and isinstance(description.primary_renderable, Text):
        return InlineText(Text(spell(" ".join(description.primary_renderable.plain.split()))))
    return description
