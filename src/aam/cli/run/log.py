"""Messages of a run: plain lines on standard error, and the same with times in the run's ``aam.log``."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from aam.cli.spelling import spell
from aam.parallel.ranks import by_first, rank

LOGGER = logging.getLogger("aam")
_PACKAGE = Path(__file__).parents[2]
# As Python shows a warning: with its place, on two lines.
_SHOWN = warnings.showwarning


class _Plain(logging.Formatter):
    """The message alone; the level only where it matters."""

    def format(self, record: logging.LogRecord) -> str:
        message = spell(super().format(record))
        return message if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {message}"


def set_up_logging() -> None:
    """Send the package's messages to standard error, and end what an earlier call in this process set up.

    The first rank speaks for all.
    """
    for handler in list(LOGGER.handlers):
        LOGGER.removeHandler(handler)
        handler.close()
    handler = logging.StreamHandler()
    handler.setFormatter(_Plain())
    LOGGER.addHandler(handler)
    warnings.showwarning = _keep_warning
    LOGGER.setLevel(logging.INFO if rank() == 0 else logging.ERROR)


def _keep_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
) -> None:
    """Into aam.log, with its place, what libraries warn of; one line where there is none, and for AAM's own."""
    said = " ".join(str(message).split())
    if filename.startswith(str(_PACKAGE)) or not _files():
        LOGGER.warning("%s", said)
    else:
        log_in_files(f"{category.__name__}: {said} ({filename}:{lineno})", logging.WARNING)


class _Timed(logging.Formatter):
    """Time and level before the message."""

    def format(self, record: logging.LogRecord) -> str:
        return spell(super().format(record))


class _File(logging.FileHandler):
    """A file that is said to be full once, as an error, and not with a traceback for each line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        error = sys.exc_info()[1]
        LOGGER.removeHandler(self)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, self.baseFilename) from error
        super().handleError(record)


def log_in_files(line: str, level: int = logging.ERROR) -> None:
    """Write what the terminal is told otherwise to the logs of this process's runs."""
    record = LOGGER.makeRecord(LOGGER.name, level, __file__, 0, line, (), None)
    for handler in _files():
        # The disk that is full may be what there is to tell.
        with suppress(OSError):
            handler.handle(record)


def end_file_logs() -> None:
    """Close the files of this process's runs."""
    warnings.showwarning = _SHOWN
    for handler in _files():
        LOGGER.removeHandler(handler)
        handler.close()


def _files() -> list[_File]:
    return [handler for handler in LOGGER.handlers if isinstance(handler, _File)]


@by_first
def log_to_file(path: Path) -> None:
    """Write the package's messages to a file as well, after what it already holds."""
    handler = _File(path, encoding="utf-8")
    handler.setFormatter(_Timed("%(asctime)s %(levelname)s %(message)s"))
    LOGGER.addHandler(handler)
