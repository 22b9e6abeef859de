"""What a tool that keeps runs is told: one protocol for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

Told = str | int | float | bool
End = Literal["finished", "failed"]


@dataclass(frozen=True)
class Place:
    """Of a tracked run: `folder` for what is written here, the run's `name`, the `command`, and the id of an earlier part of it."""

    folder: Path
    name: str
    command: str
    run: str | None = None


@dataclass(frozen=True)
class Conclusion:
    """What came out: figures by name, by fold (from 1), sentences by name, pictures, and models as they may be sent, by name."""

    figures: Mapping[str, float] = field(default_factory=dict)
    folds: Sequence[Mapping[str, float]] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[Path] = ()
    models: Mapping[str, Path] = field(default_factory=dict)


class Tracker(Protocol):
    """A run in one tool, open until `end`. Whatever it raises ends the tracking, not the run (`Tracked`).

    run: the id under which a resumed run finds it again.
    """

    run: str

    def options(self, told: Mapping[str, Told]) -> None:
        """What the run is asked for."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Figures of a step of training."""

    def conclude(self, conclusion: Conclusion) -> None:
        """What came out."""

    def end(self, how: End) -> None:
        """Write or send what is left, and close the run."""


def server_named(url: str | None) -> str | None:
    """A server as messages name it: without user, password and tokens, which are in some addresses."""
    if not url:
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}" if parts.hostname else parts.scheme or url
