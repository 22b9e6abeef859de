"""The optimiser: Muon for the matrices of linear layers, AdamW for all else.

Muon makes the update of a matrix nearly orthogonal, by a few steps of Newton and Schulz, so that no direction of it stays small
(Jordan et al. 2024; its size as in Liu et al. 2025, arXiv 2502.16982). PyTorch has it (`torch.optim.Muon`), in bfloat16 and one
matrix after the other: matrices of one shape go together here, because each operation of a small model costs a GPU more than its
arithmetic.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

# Times the rate of AdamW; a matrix with fewer rows or columns is left to AdamW.
_RATE, _SMALLEST = 2.0, 16
_MOMENTUM = 0.95
# Of Newton's and Schulz's iteration (Jordan et al. 2024), and how often it runs.
_FACTORS, _STEPS = (3.4445, -4.7750, 2.0315), 5
# Root mean square of AdamW's updates, which those of Muon are scaled to.
_ADAMW_SIZE = 0.2


class MuonAdamW(torch.optim.AdamW):
    """AdamW, and Muon for the groups of parameters that say `muon`."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step by the gradients that are there, or that the closure makes."""
        loss = None
        if closure is not None:
            # First, and of all groups: it sets gradients to zero, too.
            with torch.enable_grad():
                loss = closure()
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group["muon"]]
        try:
            super().step()
        finally:
            self.param_groups = groups
        for group in groups:
            if group["muon"]:
                self._step_by_muon(group)
        return loss

    def _step_by_muon(self, group: dict[str, Any]) -> None:
        weights = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        gradients = [weight.grad for weight in weights]
        moments = [self._moment(weight) for weight in weights]
        torch._foreach_lerp_(moments, gradients, 1 - _MOMENTUM)
        updates = torch._foreach_lerp(gradients, moments, _MOMENTUM)
        alike: dict[torch.Size, list[int]] = defaultdict(list)
        for place, update in enumerate(updates):
            alike[update.shape].append(place)
        rate = _RATE * group["lr"]
        torch._foreach_mul_(weights, 1 - rate * group["weight_decay"])
        for shape, places in alike.items():
            stacked = torch.stack([_whole(updates[place]) for place in places])
            size = _ADAMW_SIZE * math.sqrt(max(shape))
            turned = [_as(part, weights[place]) for place, part in zip(places, orthogonal(stacked).unbind(), strict=True)]
            torch._foreach_add_([weights[place] for place in places], turned, alpha=-rate * size)

    def _moment(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            # AdamW looks for a step in every state that is loaded.
            state["step"], state["moment"] = torch.tensor(0.0), torch.zeros_like(weight)
        moment: Tensor = state["moment"]
        return moment


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices [n, a, b] with singular values near 1 (0.7 to 1.2) and the same singular vectors.

    Not in bfloat16: its rounding, in directions that the loss does not depend on, would come out as large as the rest.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    first, second, third = _FACTORS
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=second, alpha=third), x, beta=first)
    return x.mT if tall else x


def _whole(part: Tensor) -> Tensor:
    """A matrix of which other ranks have parts, put together."""
    whole: Tensor = part.full_tensor() if hasattr(part, "full_tensor") else part
    return whole


def _as(whole: Tensor, like: Tensor) -> Tensor:
    """The part that a rank has of a matrix, shared out as another."""
    if not hasattr(like, "full_tensor"):
        return whole
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole, like.device_mesh, like.placements)  # type: ignore[attr-defined]


def groups_of(module: nn.Module, trained: Sequence[Tensor], weight_decay: float, muon: bool) -> list[dict[str, Any]]:
    """Groups for the optimiser: matrices of linear layers, which alone decay, by Muon where they are large, and all else."""
    linear = {id(part.weight) for part in module.modules() if isinstance(part, nn.Linear)}
    groups = defaultdict(list)
    for parameter in trained:
        decays = id(parameter) in linear
        groups[decays, muon and decays and min(parameter.shape) >= _SMALLEST].append(parameter)
    return [
        {"params": part, "weight_decay": weight_decay if decays else 0.0, "muon": by_muon}
        for (decays, by_muon), part in groups.items()
    ]
