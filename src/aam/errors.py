"""The exceptions that end a command on purpose, and checks of arguments."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

# Letters without a shape, which Python takes for printable.
_SHAPELESS = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


class InputError(ValueError):
    """Input that cannot be used. The message is one line: what is wrong, where, what to do.

    It names options as arguments between backticks (`epochs`, `epochs=0`). The command line spells them as flags (--epochs 0) and
    prints the line as ``error: <message>``, without a traceback, and exits with code 2.

    Examples
    --------
    >>> import aam
    >>> try:
    ...     aam.read_study("absent.biom")
    ... except aam.InputError as error:
    ...     print(error)
    absent.biom: cannot be read (No such file or directory); check the path

    """


class Stopped(BaseException):
    """A run that stops because of the signal `number`; `saved`: whether there is anything to go on from.

    No Exception, as KeyboardInterrupt is none: it comes wherever the run is, and logging, for one, goes on after every Exception.
    """

    def __init__(self, number: int, saved: bool) -> None:
        super().__init__(number, saved)
        self.number, self.saved = number, saved


class LostWorker(RuntimeError):  # noqa: N818 - nothing of ours went wrong
    """A process that makes batches was ended from outside."""


def shown(item: object) -> str:
    """A name as a message shows it: in quotes and escaped where it has what cannot be seen, else as it is."""
    text = str(item)
    if _SHAPELESS.search(text) or unicodedata.normalize("NFC", text) != text:
        return ascii(text)
    return text if text and text.isprintable() and text == text.strip() else repr(text)


def first_few(items: object, limit: int = 5) -> str:
    """Join the first items for an error message, with the number left out: ``a, b, c ... (12 more)``; each as `shown` has it."""
    listed = [shown(item) for item in items]  # type: ignore[attr-defined]
    first = ", ".join(listed[:limit])
    return first if len(listed) <= limit else f"{first} ... ({len(listed) - limit} more)"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things, as it is said: ``1 group``, ``2 groups``, ``1,594 ASVs``."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def some_of(number: int, total: int, what: str, noun: str = "sample", plural: str = "") -> str:
    """How many of all it concerns, as it is said: ``1 of 48 samples has no reads``; `what` begins with the verb of several."""
    verb, _, rest = what.partition(" ")
    if number == 1:
        verb = {"have": "has", "are": "is"}[verb]
    return f"{number:,} of {counted(total, noun, plural)} {verb} {rest}"


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


def several_paths(argument: str, value: str | Path | Iterable[str | Path]) -> tuple[Path, ...]:
    """One path or several, given as text or as paths. InputError, which names the argument, for anything else."""
    parts = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    return tuple(path_of(argument, part) for part in parts)
