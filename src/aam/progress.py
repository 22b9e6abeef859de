"""Progress bars of everything that is not training (training has Lightning's)."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from aam.parallel.ranks import rank

Item = TypeVar("Item")


def track(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Yield the items while a bar on standard error counts them up to `total`; one bar for all ranks."""
    from rich.console import Console
    from rich.progress import track as rich_track

    yield from rich_track(items, description=description, total=total, console=Console(stderr=True), disable=rank() > 0)
