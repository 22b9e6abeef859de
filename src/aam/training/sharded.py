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


def load_whole(module: nn.Module, folder: Path) -> int:
    """Load a checkpoint that ranks wrote a part each of into a module that is not sharded; its epoch."""
    state = {"state_dict": module.state_dict()}
    dcp.load(state, checkpoint_id=folder)
    module.load_state_dict(state["state_dict"])
    return int(torch.load(folder / "meta.pt", map_location="cpu", weights_only=True)["epoch"])
