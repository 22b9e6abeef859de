"""What a search of options does: how many it tries, for how long, and where it keeps them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from aam.errors import InputError
from aam.options.checks import Options, check_counts

_TIME = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, kw_only=True)
class TuneOptions(Options):
    space: Path | None = None
    """YAML file of the options to search: a list of values (known_asv_samples: [2, 3, 5]), or a range (network_lr: {low: 0.0005,
    high: 0.008, log: true}). Default: a few values of the options that matter most, of those that are not given."""
    trials: int = 40
    """Number of trials; the first is of the options as they are given. A trial of an ensemble costs as much as a fit."""
    timeout: str | None = None
    """No trial begins after this time: 90s, 30m, 2h, 1d. Default: all trials are made."""
    jobs: int | None = None
    """Members of an ensemble to fit at a time. Trials are made one after the other, so that the seed tells them. Default: one for
    each core."""
    storage: Path | None = None
    """SQLite file of trials (Optuna's). A search goes on from what it holds, after it was killed or for more `trials`. Default:
    study.db in the output folder, from which `resume` goes on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "trials", "jobs")
        # What is wrong is said when options are made.
        self.seconds  # noqa: B018

    @property
    def seconds(self) -> float | None:
        """The time after which no trial begins; None for none."""
        if self.timeout is None:
            return None
        found = _TIME.fullmatch(self.timeout)
        if found is None or float(found[1]) == 0:
            raise InputError(f"`timeout={self.timeout}`: must be a time above 0: 90s, 30m, 2h, 1d")
        return float(found[1]) * _SECONDS[found[2]]
