"""Progress on standard error: a bar on a terminal, a line at each tenth where there is none."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar

from aam.parallel.ranks import rank

if TYPE_CHECKING:
    from rich.progress import Progress

log = logging.getLogger(__name__)

Item = TypeVar("Item")

# Lines are for those who wait.
_SECONDS_BETWEEN_LINES = 5.0
_PARTS = 10
# Between two lines of the log on what has no known end.
_LINE_SECONDS = 30


def track(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Yield the items while they are counted up to `total`; once for all ranks. Nothing is shown without a description."""
    if not description:
        yield from items
        return
    with Bar(description, total) as bar:
        for item in items:
            yield item
            bar.advance()


@contextmanager
def waiting(what: str) -> Iterator[Callable[[], None]]:
    """A sign of life on standard error of something whose end is not known, with the time that it took so far.

    Where there is no terminal it is a line of the log every half minute; for that, call what is given, often.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    hidden = _kind() != "bar"
    begin = said = time.monotonic()

    def look() -> None:
        nonlocal said
        now = time.monotonic()
        if hidden and rank() == 0 and now - said >= _LINE_SECONDS:
            said = now
            log.info("%s: %d s so far", what, now - begin)

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as progress:
        progress.add_task(what, total=None)
        yield look


class Bar:
    """What is done of `total`, shown from `with` on: a bar on a terminal, which goes at the end unless it is to `stay`.

    Elsewhere a line at each tenth, seconds apart. Nothing for TERM=dumb, and from ranks but the first.
    """

    def __init__(self, description: str, total: int, *, stay: bool = True) -> None:
        self.description, self.total, self.stay = description, total, stay
        self.done, self._said, self._said_at = 0, 0, time.monotonic()
        self._bar: Progress | None = None
        self._kind = _kind()

    def __enter__(self) -> Bar:
        if self._kind == "bar":
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=not self.stay)
            self._bar.add_task(self.description, total=self.total)
            self._bar.start()
        return self

    def advance(self) -> None:
        """One more is done."""
        self.done += 1
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])
        elif self._kind == "lines":
            self._say()

    def _say(self) -> None:
        part, now = _PARTS * self.done // max(1, self.total), time.monotonic()
        if part > self._said and now - self._said_at >= _SECONDS_BETWEEN_LINES:
            self._said, self._said_at = part, now
            sys.stderr.write(f"{self.description}: {100 * part // _PARTS} %\n")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _kind() -> Literal["bar", "lines", "nothing"]:
    if rank() > 0 or os.environ.get("TERM") == "dumb":
        return "nothing"
    return "bar" if sys.stderr.isatty() else "lines"
