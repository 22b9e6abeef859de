"""Parameters, gradients and the optimiser's state shared out among ranks (fully sharded data parallel; Zhao et al. 2023,
arXiv 2304.11277), by PyTorch's FSDP2.

Each transformer layer is put together when it runs and taken apart afterwards; what is outside of the layers, for a whole step.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from aam.disk.writing import flush
from aam.models.transformer import TransformerLayer
from aam.parallel.collectives import wait, world
from aam.parallel.heap import return_large_blocks
from aam.parallel.ranks import rank


def shard(module: nn.Module, steps: tuple[str, ...], mesh: DeviceMesh, dtype: torch.dtype | None) -> None:
    """Shard a module in place. `steps`: its methods that run the model; dtype: of the weights as they are put together."""
    policy = MixedPrecisionPolicy(
        param_dtype=dtype, reduce_dtype=None if dtype is None else torch.float32, cast_forward_inputs=False
    )
    for layer in module.modules():
        if isinstance(layer, TransformerLayer):
            fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(module, mesh=mesh, mp_policy=policy)
    for step in steps:
        register_fsdp_forward_method(module, step)


def release(module: nn.Module) -> None:
    """Give back the memory of a module's parameters until `load_whole`."""
    for parameter in module.parameters():
        # Of the same shape, all in one place.
        parameter.data = parameter.data.new_zeros(1).expand(parameter.shape)


class Sharded(ModelParallelStrategy):
    """Every rank writes its part of a checkpoint as a file in a folder, as all checkpoints are written, and reads it again.
    PyTorch's own format for parts has a pickle for an index, which can run anything.
    """

    def __init__(self) -> None:
        return_large_blocks()
        super().__init__(data_parallel_size=world(), tensor_parallel_size=1)

    @property
    def lightning_restore_optimizer(self) -> bool:
        # By `load_optimizer_state_dict`.
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        assert self.model is not None
        return tree_map(_part, self.model.state_dict())

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        return tree_map(_part, optimizer.state_dict())

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: object = None) -> None:
        if rank() == 0:
            Path(filepath).mkdir()
        wait()
        part = Path(filepath) / f"{rank():05d}-of-{world():05d}.ckpt"
        with part.open("wb") as file:
            torch.save(checkpoint, file)
        flush(part)
        wait()

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        return read_part(part_files(Path(checkpoint_path))[rank()])

    @torch.no_grad()
    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        assert self.model is not None
        for name, value in self.model.state_dict().items():
            (value.to_local() if isinstance(value, DTensor) else value).copy_(checkpoint["state_dict"][name])

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            # Moments are parts as their parameter is one; the number of steps is not.
            state = {
                place: {key: _part_like(learned[place], value) if value.ndim else value for key, value in kept.items()}
                for place, kept in saved["state"].items()
            }
            optimizer.load_state_dict({**saved, "state": state})


def part_files(folder: Path) -> list[Path]:
    """The parts that all ranks wrote of a checkpoint, in their order. ValueError where one is missing."""
    files = sorted(folder.glob("*.ckpt"))
    if [file.name for file in files] != [f"{number:05d}-of-{len(files):05d}.ckpt" for number in range(len(files))] or not files:
        raise ValueError("a part is missing")
    return files


def read_part(file: Path) -> dict[str, Any]:
    """One of them, whose tensors are not in memory before they are used."""
    return torch.load(file, map_location="cpu", weights_only=True, mmap=True)


def whole_shape(parts: list[Tensor], shape: torch.Size) -> torch.Size:
    """That of parts put together; of one that all ranks have whole, as they have a buffer, its own. `shape`: what it should be."""
    if parts[0].shape == shape:
        return shape
    return torch.Size((sum(len(part) for part in parts), *parts[0].shape[1:]))


def load_whole(module: nn.Module, folder: Path) -> int:
    """Load a checkpoint that ranks wrote a part each of into a module that is not sharded, even if it was released; its epoch."""
    learned = {name for name, _ in module.named_parameters()}
    state = {name: torch.empty(value.shape, dtype=value.dtype) for name, value in module.state_dict().items()}
    filled = dict.fromkeys(learned, 0)
    epoch = -1
    # One after the other: what is read of a file stays in memory as long as the file is open.
    for file in part_files(folder):
        part = read_part(file)
        for name, value in part["state_dict"].items():
            if name in learned:
                state[name][filled[name] : filled[name] + len(value)] = value
                filled[name] += len(value)
            else:
                state[name].copy_(value)
        epoch = int(part["epoch"])
    module.load_state_dict(state, assign=True)
    return epoch


def _part(value: object) -> object:
    """What this rank holds."""
    return value.to_local().cpu() if isinstance(value, DTensor) else value


def _part_like(whole: DTensor, part: Tensor) -> DTensor:
    part = part.to(whole.device)
    return DTensor.from_local(part, whole.device_mesh, whole.placements, shape=whole.shape, stride=whole.stride())
