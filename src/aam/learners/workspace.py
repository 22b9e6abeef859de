"""Where a transformer is fitted: a run's folder, or one that is gone afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from aam.disk.writing import remove
from aam.tracking.tracked import Tracked


@dataclass(frozen=True)
class Workspace:
    """A folder for checkpoints, curves and the memory plan; resume: go on from the last checkpoint in it; tracked: told of every
    step.
    """

    folder: Path
    resume: bool = False
    tracked: Tracked | None = None


@contextmanager
def working_in(given: Workspace | None, beside: Path | None = None) -> Iterator[Workspace]:
    """The given workspace; or one that is gone afterwards, in which a fit says nothing but warnings: `checkpoints` in the folder
    `beside`, or a temporary folder.
    """
    if given is not None:
        yield given
        return
    logger = logging.getLogger("aam")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        with _kept_apart(beside) if beside else TemporaryDirectory() as folder:
            yield Workspace(Path(folder))
    finally:
        logger.setLevel(level)


@contextmanager
def _kept_apart(beside: Path) -> Iterator[Path]:
    folder = beside / "checkpoints"
    # Of a run that was killed.
    remove(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        remove(folder)
