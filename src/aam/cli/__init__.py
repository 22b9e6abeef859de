"""The command line. Each command lives in its own module, imported only when that command is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import is_dataclass

from cyclopts import App, Parameter

from aam import __version__
from aam.cli.config_file import check_places, read_config
from aam.cli.ending import end_of
from aam.cli.help import ShortHelp
from aam.cli.launch import run_ranks
from aam.cli.recipes import shown_by_help
from aam.cli.run.log import end_file_logs, set_up_logging
from aam.cli.usage import clean
from aam.disk.locks import unlock
from aam.errors import Stopped
from aam.parallel.ranks import NeedsRanks, heed_launcher
from aam.parallel.signals import stopping_at_once

# With the line that stands in the list of commands: they are not imported to show it.
COMMANDS = {
    "demo": "Simulate a community with a known truth, then pretrain, train and predict on it.",
    "unifrac": "Compute the UniFrac distances between all samples of a table.",
    "distances": "Compute any distances between all samples of a table, or the diversity of each.",
    "pretrain": "Pretrain an encoder without labels: UniFrac or other distances between samples, masked nucleotides.",
    "train": "Train a model that predicts a metadata column.",
    "tune": "Search the options of train, and say what that buys on test samples.",
    "predict": "Predict the samples of a table, or of each of several, with a trained model.",
    "evaluate": "Evaluate how well a metadata column can be predicted, by AAM and by the usual models, in cross-validation.",
    "benchmark": "Compare AAM, the usual models and others on many questions, on the same folds of each.",
    "runs": "Compare runs from their folders: options that differ, scores, time.",
    "doctor": "Report what AAM finds on this machine, and whether it works.",
    "explain": "Explain what a trained model's predictions come from: ASVs, clades, taxa.",
    "embed": "Write the embeddings of the samples or ASVs of a table, or of each of several.",
    "card": "Write the card of a model folder: data, primers, licence, intended use, scores.",
    "export": "Write a trained model as an ONNX graph, which programs without AAM run.",
}


def build_app(argv: Sequence[str] = ()) -> App:
    """Register every command by name; none of them is imported yet. The help shows what `argv` asks for."""
    shown = shown_by_help(argv)
    app = App(
        name="aam",
        help="AAM (Attention All Microbes): learn from amplicon sequencing tables.",
        version=__version__,
        help_flags=("--help", "-h", "--help-all"),
        help_format="plaintext",
        help_formatter=ShortHelp(shown),
        help_epilogue=None if shown is None else "--help-all shows every option.",
        default_parameter=Parameter(negative_iterable=(), consume_multiple=True),
        config=read_config,
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    for order, (name, summary) in enumerate(COMMANDS.items()):
        app.command(f"aam.cli.{name}:{name}", name=name, help=summary, sort_key=order)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: see `end_of` for others than 0."""
    heed_launcher()
    set_up_logging()
    try:
        with stopping_at_once():
            return _run(clean(sys.argv[1:] if argv is None else argv))
    except (Exception, KeyboardInterrupt, Stopped) as error:  # noqa: BLE001 - what is a fault of ours is logged, and goes on up
        return end_of(error)
    finally:
        end_file_logs()
        unlock()


def _run(argv: Sequence[str]) -> int:
    """Run one command, here or on several ranks; their exit code."""
    try:
        command, bound, _ = build_app(argv).parse_args(argv)
        for options in filter(is_dataclass, bound.arguments.values()):
            check_places(options)
        command(*bound.args, **bound.kwargs)
    except NeedsRanks as request:
        return run_ranks(request.number, argv)
    return 0
