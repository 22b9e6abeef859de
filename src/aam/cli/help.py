"""How the help looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyclopts.help import DefaultFormatter, InlineText

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

OFF = ("False", "()")


class ShortHelp(DefaultFormatter):
    """The usual help without what only takes room: defaults that say "off", the --no-FLAG forms of flags that are off, and the line
    breaks of the source.
    """

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        short = [
            entry.copy(
                negative_names=() if entry.default == "False" else entry.negative_names,
                default=None if entry.default in OFF else entry.default,
                description=_flowing(entry.description),
            )
            for entry in panel.entries
        ]
        super().__call__(console, options, panel.copy(entries=short))


def _flowing(description: Any) -> Any:
    """The same text, to be broken where the terminal ends."""
    from rich.text import Text

    if isinstance(description, InlineText) and isinstance(description.primary_renderable, Text):
        return InlineText(Text(" ".join(description.primary_renderable.plain.split())))
    return description
