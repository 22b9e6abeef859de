"""The exceptions that end a command on purpose, and checks of arguments."""

from __future__ import annotations

from pathlib import Path


class InputError(ValueError):
    """Input that cannot be used. The message is one line: what is wrong, where, what to do.

    It names options as arguments between backticks (`epochs`, `epochs=0`). The command line spells them as flags (--epochs 0) and
    prints the line as ``error: <message>``, without a traceback, and exits with code 2.
    """


class Stopped(Exception):  # noqa: N818 - asked for by a signal, not an error
    """A run that stops because of the signal `number`; `saved`: whether there is anything to go on from."""

    def __init__(self, number: int, saved: bool) -> None:
        super().__init__(number, saved)
        self.number, self.saved = number, saved


class LostWorker(RuntimeError):  # noqa: N818 - nothing of ours went wrong
    """A process that makes batches was ended from outside."""


def first_few(items: object, limit: int = 5) -> str:
    """Join the first items for an error message, with the number left out: ``a, b, c ... (12 more)``."""
    listed = [str(item) for item in items]  # type: ignore[attr-defined]
    shown = ", ".join(listed[:limit])
    return shown if len(listed) <= limit else f"{shown} ... ({len(listed) - limit} more)"


def one_line(error: Exception) -> str:
    """Write an exception's message without line breaks, and not all of a long one, for use inside an InputError."""
    text = " ".join(str(error).split())
    return text if len(text) <= 1000 else f"{text[:1000]} ..."


def path_of(argument: str, value: str | Path) -> Path:
    """A path that was given as text or as a path. InputError, which names the argument, for anything else."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value:
        raise InputError(f"`{argument}`: must be a path (str or Path), not {type(value).__name__} {value!r:.100}")
    return Path(value).expanduser()
