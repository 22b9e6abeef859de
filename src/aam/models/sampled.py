"""A model run on all rows, and its gradients estimated from some of them.

Which rows a loss depends on is known once its gradient with respect to the outputs is: most of it is of few rows. Rows are drawn
by the size of theirs, weighted by one over their probability so that the mean of the estimate is the gradient of all (importance
sampling; Katharopoulos & Fleuret 2018, arXiv 1803.00942), and run a second time, with a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from aam.models.chunks import Chunked, run_chunks

# Of the mean size of a row's gradient, added to that of each: a row that matters little now is drawn now and then.
_MIX = 0.1
# A probability of 1 in integers.
_PARTS = 2**40
# Rounds in which what is above certainty is shared out among the others.
_ROUNDS = 8


@dataclass(frozen=True)
class Sampled:
    """What is run: `encode(rows)` -> [rows, D], in chunks of `size`; `number` rows have gradients; see `Chunked` for the last."""

    encode: Callable[[Tensor], Tensor]
    size: int
    number: int
    recompute: bool = False


def run_sampled(work: Sampled, rows: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """The outputs of all rows. `parameters` are those of the model that gradients go back to."""
    output: Tensor = _RunSampled.apply(work, rows, *parameters)
    return output


def draw(sizes: Tensor, number: int, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """`number` of U rows, int64, each at most once, and one over the probability of each.

    sizes: of the rows' gradients [U]; uniform: U + 1 random numbers in [0, 1), an order of the rows and where the first is taken
    (systematic sampling).
    """
    sizes = sizes.double()
    chance = sizes + _MIX * sizes.mean() + torch.finfo(torch.float64).tiny
    chance = chance * (number / chance.sum())
    for _ in range(_ROUNDS):
        certain = chance >= 1
        others = chance.masked_fill(certain, 0.0)
        left = (number - certain.sum()) / others.sum().clamp(min=torch.finfo(torch.float64).tiny)
        chance = torch.where(certain, 1.0, others * left).clamp(max=1.0)
    order = uniform[1:].argsort()
    steps = torch.arange(number, device=sizes.device) + uniform[0]
    # Sums of integers, whose order changes nothing on a GPU.
    reached = (chance[order] * _PARTS).round().long().cumsum(0)
    places = torch.searchsorted(reached, (steps * (reached[-1] / number)).long(), right=True).clamp(max=len(sizes) - 1)
    chosen = order[places]
    return chosen, 1 / chance[chosen]


class _RunSampled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, work: Sampled, rows: Tensor, *parameters: Tensor) -> Tensor:
        ctx.work, ctx.rows, ctx.parameters = work, rows, parameters
        # Drawn here, where a resumed run draws the same.
        ctx.uniform = torch.rand(len(rows) + 1, dtype=torch.float64).to(rows.device, non_blocking=True)
        return _run(work, rows, ())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        wanted = [parameter for parameter in ctx.parameters if parameter.requires_grad]
        gradient = gradients[0]
        chosen, weights = draw(torch.linalg.vector_norm(gradient.float(), dim=1), ctx.work.number, ctx.uniform)
        with torch.enable_grad():
            output = _run(ctx.work, ctx.rows[chosen], wanted)
        part = gradient[chosen] * weights.unsqueeze(1).to(gradient.dtype)
        found = iter(torch.autograd.grad(output, wanted, part, allow_unused=True))
        return (None, None, *(next(found) if parameter.requires_grad else None for parameter in ctx.parameters))


def _run(work: Sampled, rows: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    chunks = [(part,) for part in rows.split(work.size)]
    return run_chunks(Chunked(work.encode, chunks, work.recompute and torch.is_grad_enabled()), (), parameters)
