"""Results that the backward pass makes again instead of keeping them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

# Told of each tensor that is kept: hooks of an outer context are not.
observers: list[Callable[[Tensor], object]] = []

Function = Callable[[Tensor], Tensor]
Apply = Callable[[Function, Tensor], Tensor]


class _Recipe:
    """How a result is made: a function of a tensor that is kept, or of the result of another recipe, in the autocast of now."""

    def __init__(self, function: Function, source: Tensor | _Recipe) -> None:
        self.function, self.source = function, source
        self._made: Tensor | None = None
        device = self.kept.device.type
        self._autocast = (device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))

    @property
    def kept(self) -> Tensor:
        return self.source if isinstance(self.source, Tensor) else self.source.kept

    def take(self) -> Tensor:
        """The result, which is not held on to. What it is made from is, for its own turn, which comes next in a backward pass."""
        made, self._made = self._made, None
        with torch.no_grad(), torch.autocast(*self._autocast):
            return self._make() if made is None else made

    def _make(self) -> Tensor:
        if isinstance(self.source, Tensor):
            return self.function(self.source)
        self.source._made = self.source._make()
        return self.function(self.source._made)


class Recomputed:
    """Results that autograd would keep for the operation that follows, made again in the backward pass.

    Inside `keeping()`, what `of` returns is not kept: the input of the first function of a chain is, and the functions are called
    again, each once.
    """

    def __init__(self) -> None:
        # By address. The results are held meanwhile, so that none of the addresses is given to another tensor.
        self._recipes: dict[int, _Recipe] = {}
        self._held: list[Tensor] = []

    def of(self, function: Function, x: Tensor) -> Tensor:
        """function(x), to be made again."""
        result = function(x)
        self._recipes[result.data_ptr()] = _Recipe(function, self._recipes.get(x.data_ptr(), x.detach()))
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

    def _pack(self, tensor: Tensor) -> Tensor | tuple[_Recipe, torch.Size]:
        recipe = self._recipes.get(tensor.data_ptr())
        for observe in observers:
            observe(tensor if recipe is None else recipe.kept)
        return tensor if recipe is None else (recipe, tensor.shape)

    @staticmethod
    def _unpack(kept: Tensor | tuple[_Recipe, torch.Size]) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        recipe, shape = kept
        return recipe.take().view(shape)
