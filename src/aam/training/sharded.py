"""Parameters, gradients and the optimiser's state shared out among ranks (fully sharded data parallel; Zhao et al. 2023,
arXiv 2304.11277), by PyTorch's FSDP2.

Each transformer layer is put together when it runs and taken apart afterwards; what is outside of the layers, for a whole step.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

from aam.models.transformer import TransformerLayer


def shard(module: nn.Module, steps: tuple[str, ...], mesh: DeviceMesh) -> None:
    """Shard a module in place. `steps`: its methods that run the model."""
    for layer in module.modules():
        if isinstance(layer, TransformerLayer):
            fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    for step in steps:
        register_fsdp_forward_method(module, step)


def release(module: nn.Module) -> None:
    """Give back the memory of a module's parameters until `load_whole`."""
    for parameter in module.parameters():
        # Of the same shape, all in one place.
        parameter.data = parameter.data.new_zeros(1).expand(parameter.shape)


def load_whole(module: nn.Module, folder: Path) -> int:
    """Load a checkpoint that ranks wrote a part each of into a module that is not sharded, even if it was released; its epoch."""
    state = {name: torch.empty(value.shape, dtype=value.dtype) for name, value in module.state_dict().items()}
    dcp.load({"state_dict": state}, checkpoint_id=folder)
    module.load_state_dict(state, assign=True)
    return int(torch.load(folder / "meta.pt", map_location="cpu", weights_only=True)["epoch"])
