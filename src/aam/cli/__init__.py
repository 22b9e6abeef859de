"""The command line. Each command lives in its own module, imported only when that command is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from aam import __version__
from aam.cli.config_file import read_config
from aam.cli.help import ShortHelp
from aam.cli.log import set_up_logging
from aam.cli.usage import describe
from aam.errors import InputError

COMMANDS = ("demo", "unifrac", "pretrain", "train", "predict", "embed")


def build_app() -> App:
    """Register every command by name; none of them is imported yet."""
    app = App(
        name="aam",
        help="AAM (Attention All Microbes): learn from amplicon sequencing tables.",
        version=__version__,
        help_format="plaintext",
        help_formatter=ShortHelp(),
        default_parameter=Parameter(negative_iterable=(), consume_multiple=True),
        config=read_config,
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    for order, name in enumerate(COMMANDS):
        app.command(f"aam.cli.{name}:{name}", name=name, sort_key=order)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for bad usage or bad input, 130 for Ctrl-C."""
    set_up_logging()
    try:
        build_app()(sys.argv[1:] if argv is None else list(argv))
    except (InputError, CycloptsError) as error:
        sys.stderr.write(f"error: {describe(error)}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    return 0
