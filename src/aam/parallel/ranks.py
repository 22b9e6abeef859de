"""Which of the processes of a run on several devices ("ranks") one is, as torchrun or SLURM told it, before torch is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

Arguments = ParamSpec("Arguments")


class NeedsRanks(Exception):  # noqa: N818 - a request to whoever started the command, not an error
    """The command is to run once more, as `number` processes of this machine."""

    @property
    def number(self) -> int:
        return int(self.args[0])


def by_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def by_slurm() -> bool:
    """As Lightning tells: started by srun, and not a shell. torchrun may itself be started by srun."""
    shell = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return int(os.environ.get("SLURM_NTASKS", "1")) > 1 and not shell and not by_torchrun()


def rank() -> int:
    """The number of this process, from 0."""
    if by_torchrun():
        return int(os.environ["RANK"])
    return int(os.environ["SLURM_PROCID"]) if by_slurm() else 0


def nodes() -> int:
    """The number of machines."""
    if by_torchrun():
        return int(os.environ["GROUP_WORLD_SIZE"])
    return int(os.environ.get("SLURM_NNODES", "1")) if by_slurm() else 1


def by_first(write: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Make a function that writes do so on the first rank alone."""

    @wraps(write)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        if rank() == 0:
            write(*args, **kwargs)

    return wrapped
