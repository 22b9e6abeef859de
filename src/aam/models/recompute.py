"""Cheap results that the backward pass makes again instead of keeping them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor

# Told of each tensor that is kept: hooks of an outer context are not.
observers: list[Callable[[Tensor], object]] = []

Apply = Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]


class Recomputed:
    """Results of element-wise functions that autograd would keep for a product that follows.

    Inside `keeping()`, a result made by `of` is not kept for the backward pass: its input is, which autograd keeps anyway, and the
    function is called again. Normalisation and activation are a hundredth of a layer's arithmetic and two fifths of what it keeps.
    """

    def __init__(self) -> None:
        # By address. The results are held meanwhile, so that none of the addresses is given to another tensor.
        self._recipes: dict[int, tuple[Callable[[Tensor], Tensor], Tensor]] = {}
        self._held: list[Tensor] = []

    def of(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """function(x), to be made again."""
        result = function(x)
        self._recipes[result.data_ptr()] = (function, x.detach())
        self._held.append(result)
        return result

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Around the operations that would keep the results."""
        with torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack):
            yield
        # Autograd holds on to the hooks, and through them to this object.
        self._held.clear()
        self._recipes.clear()

    def _pack(self, tensor: Tensor) -> object:
        recipe = self._recipes.get(tensor.data_ptr())
        for observe in observers:
            observe(tensor if recipe is None else recipe[1])
        return tensor if recipe is None else (*recipe, tensor.shape)

    @staticmethod
    def _unpack(kept: object) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        function, x, shape = cast("tuple[Callable[[Tensor], Tensor], Tensor, torch.Size]", kept)
        with torch.no_grad():
            return function(x).view(shape)
