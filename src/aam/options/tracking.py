"""Where the course of a run is told, beside its folder."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from aam.errors import InputError
from aam.options.checks import Options

TRACKERS = ("tensorboard", "mlflow", "wandb", "trackio")


@dataclass(frozen=True, kw_only=True)
class TrackOptions(Options):
    track: tuple[str, ...] = ()
    """Tell tensorboard, mlflow, wandb or trackio, several by commas, what the run is asked for, its losses, speed, memory, scores
    and model. Offline in the run's folder, unless the tool's own environment variables name a server; sample ids, metadata
    values and predictions are left out. A transformer's losses are in TensorBoard anyway."""

    def __post_init__(self) -> None:
        given = (self.track,) if isinstance(self.track, str) else self.track
        names = tuple(part.strip() for text in given for part in str(text).split(","))
        object.__setattr__(self, "track", names)
        super().__post_init__()
        for name in names:
            if name not in TRACKERS:
                raise InputError(f"`track={name}`: is not known; choose of {', '.join(TRACKERS)}, several by commas")
            if names.count(name) > 1:
                raise InputError(f"`track={','.join(names)}`: name each once")
            # Found, not imported.
            if find_spec(name) is None:
                raise InputError(f"`track={name}`: is not installed; pip install 'attention-all-microbes[{name}]'")
