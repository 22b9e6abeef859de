"""How the help looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts.help import DefaultFormatter

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

OFF = ("False", "()")


class ShortHelp(DefaultFormatter):
    """The usual help without what only takes room: defaults that say "off", and the --no-FLAG forms of flags that are off."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        short = [
            entry.copy(
                negative_names=() if entry.default == "False" else entry.negative_names,
                default=None if entry.default in OFF else entry.default,
            )
            for entry in panel.entries
        ]
        super().__call__(console, options, panel.copy(entries=short))
