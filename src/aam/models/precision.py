"""Models in 16 bits, beside the one in 32 bits that is learned.

A model computes in the precision of its weights. Weights are cast once a step, all together, and their gradients come back the
same way, where autocast would cast a weight and its gradient at each use (Micikevicius et al. 2018, arXiv 1710.03740).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from aam.compute import LOW_PRECISION
from aam.options import ComputeOptions, Precision

Model = TypeVar("Model", bound=nn.Module)
# Elements from one tensor to the next in shared memory: matrix products want addresses in multiples of 16 bytes.
_ALIGNED = 64


def _cast(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The same in another type, in one piece of memory, by one operation."""
    rooms = [-(-tensor.numel() // _ALIGNED) * _ALIGNED for tensor in tensors]
    memory = torch.empty(sum(rooms), dtype=dtype, device=tensors[0].device)
    cast = [_shaped(part, tensor.shape) for part, tensor in zip(memory.split(rooms), tensors, strict=True)]
    torch._foreach_copy_(cast, list(tensors))
    return cast


def _shaped(room: Tensor, shape: torch.Size) -> Tensor:
    part = room if len(room) == shape.numel() else room[: shape.numel()]
    return part if len(shape) == 1 else part.view(shape)


class _Cast(torch.autograd.Function):
    """Tensors in another type."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.dtype = tensors[0].dtype
        # Of what a step does not use there is no gradient, not one of 0.
        ctx.set_materialize_grads(False)
        cast = _cast(tensors, dtype)
        ctx.mark_non_differentiable(*(part for part, wanted in zip(cast, ctx.needs_input_grad[1:], strict=True) if not wanted))
        return tuple(cast)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        back = iter(_cast([gradient for gradient in gradients if gradient is not None], ctx.dtype))
        return (None, *(None if gradient is None else next(back) for gradient in gradients))


class Lowered(Generic[Model]):
    """A model as it runs: itself, or in 16 bits a copy of it, whose weights are those of the model at each call.

    Gradients of the copy's weights go on to the model's. The copy stays as it is until the next call, so that a backward pass may
    compute parts of it again.
    """

    def __init__(self, model: Model, compute: ComputeOptions) -> None:
        self.model, self.compute = model, compute
        self._copy: Model | None = None

    def __call__(self) -> Model:
        dtype = LOW_PRECISION[self.compute.mixed_precision]
        if dtype is None:
            return self.model
        names, weights = zip(*self.model.named_parameters(), strict=True)
        if self._copy is None or next(self._copy.parameters()).device != weights[0].device:
            # Also where a validation comes first: what is made in inference mode stays without gradients.
            with torch.inference_mode(False):
                self._copy = lowered(self.model, self.compute.mixed_precision)
        self._copy.train(self.model.training)
        for name, cast in zip(names, _Cast.apply(dtype, *weights), strict=True):
            path, _, own = name.rpartition(".")
            self._copy.get_submodule(path)._parameters[own] = cast
        return self._copy


def lowered(model: Model, precision: Precision) -> Model:
    """The model for inference: itself, or a copy in 16 bits. Tables that are no weights stay as they are."""
    dtype = LOW_PRECISION[precision]
    if dtype is None:
        return model
    low = copy.deepcopy(model)
    for parameter in low.parameters():
        parameter.data = parameter.data.to(dtype)
    for own, other in zip(model.modules(), low.modules(), strict=True):
        if own._compiled_call_impl is not None:
            # A copy is not compiled.
            other.compile(dynamic=True)
    return low
