"""Which of the processes of a run on several devices ("ranks") one is, as torchrun or SLURM told it, before torch is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from aam.errors import InputError, counted

Arguments = ParamSpec("Arguments")

# What must be there, whole numbers, of what each of them tells.
_OF_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_WORLD_SIZE", "MASTER_PORT")
_OF_SLURM = ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NNODES")
_IF_SLURM_SAYS = ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS_PER_NODE", "SLURM_JOB_ID", "MASTER_PORT")
# How many processes others say they started, who do not say where these could meet.
_FOREIGN = {"OMPI_COMM_WORLD_SIZE": "MPI", "PMI_SIZE": "MPI", "MV2_COMM_WORLD_SIZE": "MPI", "JSM_NAMESPACE_SIZE": "LSF"}


class NeedsRanks(Exception):  # noqa: N818 - a request to whoever started the command, not an error
    """The command is to run once more, as `number` processes of this machine."""

    @property
    def number(self) -> int:
        return int(self.args[0])


class _Heeded:
    """Whether what a launcher says is for this process: for a command, unless it is told to run alone. Not for a library that is
    used in a notebook or a script, whoever started that.
    """

    now = False


def heed_launcher(heed: bool = True) -> None:
    """From now on this process is the rank that torchrun or SLURM says; or, heed=False, alone."""
    _Heeded.now = heed


def by_torchrun() -> bool:
    """Whether torchrun started this process."""
    return _Heeded.now and "TORCHELASTIC_RUN_ID" in os.environ


def by_slurm() -> bool:
    """As Lightning tells: started by srun, and not a shell. torchrun may itself be started by srun."""
    shell = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return _Heeded.now and not shell and not by_torchrun() and _tasks() > 1


def launcher() -> str:
    """Who started this process as one of several."""
    return "torchrun" if by_torchrun() else "SLURM"


def _tasks() -> int:
    # A shell or notebook is a step of one task, in a job that may have more.
    return _number("SLURM_STEP_NUM_TASKS", _number("SLURM_NTASKS", 1))


def _number(name: str, otherwise: int) -> int:
    """A variable that `check_launcher` has looked at, or will: nothing may fail before an error can be said."""
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else otherwise


def check_launcher() -> None:
    """InputError for variables that are no numbers, or that contradict each other, and for launchers that are not known."""
    shell = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    torchrun, slurm = by_torchrun(), not shell and "SLURM_NTASKS" in os.environ
    if torchrun:
        _require_numbers("torchrun", _OF_TORCHRUN)
    elif slurm:
        _require_numbers("SLURM", ("SLURM_NTASKS", *(name for name in _IF_SLURM_SAYS if name in os.environ)))
    if by_slurm():
        _check_tasks()
    if torchrun or by_slurm():
        if rank() >= size():
            raise InputError(f"{launcher()} says that this is process {rank()} (from 0) of {size()}: {_ALONE}")
        return
    for name, who in _FOREIGN.items():
        if _number(name, 1) > 1:
            raise InputError(f"{name}={os.environ[name]}: started by {who}, where AAM knows torchrun and srun: take one; {_ALONE}")


_ALONE = "`devices=1` runs alone, whatever was announced"


def _require_numbers(who: str, names: tuple[str, ...]) -> None:
    for name in names:
        value = os.environ.get(name)
        if value is None or not value.isdecimal():
            said = "is not set" if value is None else f"is {value!r}"
            raise InputError(f"{name}, which {who} sets, {said}: must be a whole number; {_ALONE}")


def _check_tasks() -> None:
    """What Lightning's SLURMEnvironment needs."""
    # As a job script has it that says no srun: there would be no one to meet.
    if "SLURM_STEP_ID" not in os.environ:
        raise InputError(f"a job of several tasks, and this is none of them: start it by srun, or say sbatch --ntasks 1; {_ALONE}")
    _require_numbers("SLURM", _OF_SLURM)
    tasks, machines = size(), max(1, nodes())
    if machines > 1:
        _require_numbers("SLURM", ("SLURM_NODEID",))
    each = max(1, tasks // machines)
    if each * machines != tasks or _number("SLURM_NTASKS_PER_NODE", 0) != each:
        where = counted(machines, "machine")
        raise InputError(f"srun with {tasks} tasks on {where}, not told how many on each: add --ntasks-per-node {each}; {_ALONE}")


def size() -> int:
    """The number of processes that were started as one run."""
    if by_torchrun():
        return _number("WORLD_SIZE", 1)
    return _tasks() if by_slurm() else 1


def rank() -> int:
    """The number of this process, from 0."""
    if by_torchrun():
        return _number("RANK", 0)
    return _number("SLURM_PROCID", 0) if by_slurm() else 0


def nodes() -> int:
    """The number of machines."""
    if by_torchrun():
        return _number("GROUP_WORLD_SIZE", 1)
    return _number("SLURM_NNODES", 1) if by_slurm() else 1


def by_first(write: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Make a function that writes do so on the first rank alone."""

    @wraps(write)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        if rank() == 0:
            write(*args, **kwargs)

    return wrapped
