"""``aam runs``: runs compared from their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from aam.cli import options as cli


def runs(
    *folders: Annotated[Path, Parameter(group=cli.INPUT)],
    output: Annotated[Path | None, Parameter(group=cli.OUTPUT)] = None,
    overwrite: Annotated[bool, Parameter(group=cli.OUTPUT)] = False,
) -> None:
    """Compare runs of pretrain, train and evaluate: the options that differ, scores and time.

    Parameters
    ----------
    folders
        Output folders of the runs, before any option.
    output
        Write the table as .tsv too, and beside it a page, .html.
    overwrite
        Replace an existing output.

    """
    from aam.cli.run.comparing import run_comparison

    run_comparison(folders, output, overwrite)
