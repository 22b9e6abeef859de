"""What ranks do together: meet, wait for each other, and add up, with gradients.

Every rank computes the loss of all ranks' samples from what each encodes of its own, so N ranks of B samples take the step of one
process with N x B. A sum over ranks carries back what every rank's loss says of a part, added up; the engine then averages the
gradients of the parameters over ranks, which makes it that of one loss.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from aam.errors import InputError
from aam.parallel.meeting import Meeting, meet_others
from aam.parallel.ranks import (
    NeedsRanks,
    by_slurm,
    by_torchrun,
    check_launcher,
    heed_launcher,
    launcher,
    nodes,
    rank,
    size,
)
from aam.parallel.threads import use_allotted_threads

if TYPE_CHECKING:
    from lightning.fabric.plugins.environments import ClusterEnvironment

# One rank may build a tree while the others wait.
_PATIENCE = timedelta(hours=6)


def world() -> int:
    """The number of ranks that have met: 1 before that, and in a run on one device."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def meet(devices: int | None, num_nodes: int, alone: str | None = None) -> None:
    """Join the other ranks, where torchrun or SLURM started some; `NeedsRanks` where they are still to be started.

    devices=1 runs alone, whatever SLURM has announced: a notebook may be part of a job of several tasks, and the only one of them
    that runs this. InputError for numbers other than those that were started, for more GPUs than there are, for ranks that do not
    come, and for any where what is to be done (`alone`) runs on one device.
    """
    if world() > 1:
        return
    heed_launcher()
    if devices == 1 and num_nodes == 1 and not by_torchrun():
        heed_launcher(False)
    else:
        check_launcher()
    if not by_torchrun() and not by_slurm():
        use_allotted_threads()
        _require(devices or 1, num_nodes)
        if devices is not None and devices > 1:
            raise NeedsRanks(devices)
        return
    if alone is not None and size() > 1:
        raise InputError(f"{alone} runs on one device, and {launcher()} announced {size()} processes: `devices=1` runs alone")
    each = size() // nodes()
    for option, given, started in (("devices", devices, each), ("num_nodes", num_nodes if num_nodes > 1 else None, nodes())):
        if given not in (None, started):
            raise InputError(f"`{option}={given}`: {started} were started; leave the option out")
    use_allotted_threads(each)
    if size() > 1:
        _join(cluster(), each)


def _join(environment: ClusterEnvironment, each: int) -> None:
    """Meet, `each` processes on every machine."""
    if environment.local_rank() >= torch.cuda.device_count() > 0:
        raise InputError(f"{each} processes on a machine with {torch.cuda.device_count()} GPUs: start one for each")
    device = torch.device("cuda", environment.local_rank()) if torch.cuda.is_available() else None
    if device is not None:
        torch.cuda.set_device(device)
    store = meet_others(Meeting(launcher(), rank(), size(), environment.main_address, environment.main_port))
    dist.init_process_group(
        "gloo" if device is None else "nccl",
        store=store,
        rank=rank(),
        world_size=size(),
        timeout=_PATIENCE,
        device_id=device,
    )


def cluster() -> ClusterEnvironment:
    """What Lightning is to know of the others, which it would else make of any variables that it finds."""
    from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment

    if by_torchrun():
        return TorchElasticEnvironment()
    if not by_slurm():
        return LightningEnvironment()
    if nodes() == 1:
        # Lightning asks for it.
        os.environ.setdefault("SLURM_NODEID", "0")
    return SLURMEnvironment()


def _require(devices: int, num_nodes: int) -> None:
    if num_nodes > 1:
        raise InputError(f"`num_nodes={num_nodes}`: start the command on each of them, by srun or torchrun --nnodes {num_nodes}")
    if torch.cuda.is_available() and devices > torch.cuda.device_count():
        raise InputError(f"`devices={devices}`: there are {torch.cuda.device_count()} GPUs")


def require_alone(what: str) -> None:
    """InputError for several ranks."""
    if world() > 1:
        raise InputError(f"{what} runs on one device: leave out torchrun or srun, or give `devices=1`")


def wait() -> None:
    """Until every rank is here."""
    if world() > 1:
        dist.barrier()


def share(items: Any) -> Any:
    """Every so many of a sequence or an array, such that ranks have them all between them."""
    return items[rank() :: world()] if world() > 1 else items


def most(number: int, device: torch.device) -> int:
    """The largest of the ranks' numbers."""
    if world() == 1:
        return number
    found = torch.tensor(number, device=device)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


def total(part: Tensor) -> Tensor:
    """The sum over ranks, with gradients; of tensors of one shape."""
    return part if world() == 1 else _Total.apply(part)


def gather_rows(rows: Tensor, sizes: Sequence[int]) -> Tensor:
    """The rows of all ranks, which have `sizes` of them, one rank after the other, with gradients."""
    if world() == 1:
        return rows
    before, after = sum(sizes[: rank()]), sum(sizes[rank() + 1 :])
    return total(torch.cat([rows.new_zeros(before, *rows.shape[1:]), rows, rows.new_zeros(after, *rows.shape[1:])]))


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        whole = part.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient
