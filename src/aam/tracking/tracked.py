"""A run that is told to some trackers: one that fails is left out, with one warning, and the run goes on."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from aam.disk.json_files import write_json
from aam.errors import one_line
from aam.parallel.ranks import rank
from aam.tracking.conclusion import concluded
from aam.tracking.tracker import End, Place, Told, Tracker

log = logging.getLogger(__name__)

# In the folder of a run: what trackers write, and under which ids they know the run.
FOLDER, RUNS = "tracking", "runs.json"


class Tracked:
    """A run in `folder`, told to the trackers of these names, by the first rank alone."""

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        self.folder, self.names = folder, tuple(names) if rank() == 0 else ()
        self._open: dict[str, Tracker] = {}

    def begin(self, command: str, options: Mapping[str, Told]) -> None:
        """Open the run in each tracker, or go on with it where an earlier part of it is known, and tell its options."""
        for name in self.names:
            self._guarded(name, lambda name=name: self._begin(name, command, options))  # type: ignore[misc]

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Tell figures of a step of training."""
        self._each(lambda tracker: tracker.metrics(values, step))

    def end(self, how: End) -> None:
        """Tell what came out of a run that has finished, and close it."""
        if self._open and how == "finished":
            try:
                with concluded(self.folder) as conclusion:
                    self._each(lambda tracker: tracker.conclude(conclusion))
            except Exception as error:  # noqa: BLE001 - the run has finished, and its results are in its folder
                log.warning("`track=%s`: what came out of this run is not told (%s)", ",".join(self.names), _why(error))
        self._each(lambda tracker: tracker.end(how))
        self._open.clear()

    def _begin(self, name: str, command: str, options: Mapping[str, Told]) -> None:
        module = import_module(f"aam.tracking.on_{name}")
        runs, server = self.folder / FOLDER / RUNS, module.server()
        known = json.loads(runs.read_text(encoding="utf-8")) if runs.is_file() else {}
        # Elsewhere nobody knows the run.
        earlier = known.get(name, {}) if known.get(name, {}).get("server") == server else {}
        (self.folder / FOLDER).mkdir(exist_ok=True)
        place = Place((self.folder / FOLDER).absolute(), self.folder.absolute().name, command, earlier.get("run"))
        self._open[name] = tracker = module.open_run(place)
        tracker.options(options)
        write_json(runs, {**known, name: {"server": server, "run": tracker.run}})
        log.info("tracked by %s, %s", name, f"at {server}" if server else f"in {self.folder / FOLDER}")

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            self._guarded(name, lambda tracker=tracker: tell(tracker))  # type: ignore[misc]

    def _guarded(self, name: str, tell: Callable[[], Any]) -> None:
        """Have a tracker do something; it writes nothing to standard output."""
        try:
            with redirect_stdout(io.StringIO()):
                tell()
        except Exception as error:  # noqa: BLE001 - nothing that a tracker can raise may end a run
            log.warning("`track=%s` fails, so the rest of this run is not told to it (%s)", name, _why(error))
            # Else it may try again in the background, and hold up the end of the process.
            if (tracker := self._open.pop(name, None)) is not None:
                with suppress(Exception), redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
                    tracker.end("failed")


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)[:300]}"


@contextmanager
def tracked_run(names: Sequence[str], folder: Path) -> Iterator[Tracked]:
    """A run that is closed as finished at the end of `with`, or as failed; `begin` opens it."""
    run = Tracked(names, folder)
    try:
        yield run
    except BaseException:
        run.end("failed")
        raise
    run.end("finished")
