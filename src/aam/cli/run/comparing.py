"""The run of ``aam runs``: read the folders, compare, print, write."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from aam.disk.places import check_output_file
from aam.disk.writing import write_text
from aam.tracking.runs import compare_runs

log = logging.getLogger(__name__)


def run_comparison(folders: Sequence[Path], output: Path | None, overwrite: bool) -> None:
    """Print the table, and write it where that is asked for."""
    beside = None if output is None else output.with_suffix(".html")
    if output is not None and beside is not None:
        check_output_file(output, overwrite, (".tsv",), (beside,))
    comparison = compare_runs(folders)
    for warning in comparison.warnings:
        log.warning("%s", warning)
    sys.stdout.write(f"{comparison.text()}\n")
    if output is not None and beside is not None:
        write_text(output, comparison.tsv())
        write_text(beside, comparison.html())
        log.info("wrote %s and %s", output, beside)
