"""trackio: SQLite in the run's folder, or the server or Space that its environment variables name."""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from aam.tracking.tracker import Conclusion, End, Place, Told, server_named


def server() -> str | None:
    """The Space that `TRACKIO_SPACE_ID` names, or the server of `TRACKIO_SERVER_URL`; else None."""
    space = os.environ.get("TRACKIO_SPACE_ID")
    return f"huggingface.co/spaces/{space}" if space else server_named(os.environ.get("TRACKIO_SERVER_URL"))


def open_run(place: Place) -> OnTrackio:
    """A new run, or the earlier one."""
    # It looks once, when it is imported; what a server does not take is kept there, too.
    os.environ["TRACKIO_DIR"] = str(place.folder / "trackio")
    if "TRACKIO_SPACE_ID" not in os.environ:
        # Else it asks Hugging Face for the name of a user who is logged in there.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    return OnTrackio(place)


@contextmanager
def _warnings_raised() -> Iterator[None]:
    """RuntimeError for what trackio warns of: that it could not do something, or that a server did not take what was sent."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    if lost := [str(one.message) for one in said if "could not" in str(one.message).lower()]:
        raise RuntimeError(lost[0])


class OnTrackio:
    def __init__(self, place: Place) -> None:
        import trackio

        if Path(trackio.utils.TRACKIO_DIR) != place.folder / "trackio":
            raise RuntimeError(f"it was imported before, and writes to {trackio.utils.TRACKIO_DIR}; one process tracks one run")
        self.run = place.run or f"{place.name}-{secrets.token_hex(4)}"
        self._trackio, self._place = trackio, place
        self._run: trackio.Run | None = None

    def options(self, told: Mapping[str, Told]) -> None:
        with _warnings_raised():
            self._run = self._trackio.init(
                project="aam",
                name=self.run,
                group=self._place.command,
                config=dict(told),
                resume="allow",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        assert self._run is not None
        self._run.log(dict(values), step=step)

    def conclude(self, conclusion: Conclusion) -> None:
        assert self._run is not None
        texts = {name: self._trackio.Markdown(text) for name, text in conclusion.texts.items()}
        pictures = {path.stem: self._trackio.Image(str(path)) for path in conclusion.pictures}
        self._run.log({**conclusion.figures, **texts, **pictures})
        for fold, scores in enumerate(conclusion.folds, start=1):
            self._run.log({"fold/number": fold, **scores})
        for name, folder in conclusion.models.items():
            self._run.log_artifact(folder, name=f"{name}-{self.run}", type="model")

    def end(self, how: End) -> None:
        with _warnings_raised():
            self._trackio.finish()
