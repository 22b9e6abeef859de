"""Results that the backward pass makes again instead of keeping them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

# Told of each tensor that is kept: hooks of an outer context are not.
observers: list[Callable[[Tensor], object]] = []

Function = Callable[[Tensor], Tensor]
Apply = Callable[[Function, Tensor], Tensor]


class _Recipe:
    """How a result is made: a function of a tensor that is kept, or of another recipe's result.

    Once made, the result is held until it was asked for as often as autograd will.
    """

    def __init__(self, function: Function, source: Tensor | _View) -> None:
        self.function, self.source, self.uses = function, source, 0
        self._made: Tensor | None = None

    @property
    def kept(self) -> Tensor:
        return self.source if isinstance(self.source, Tensor) else self.source.recipe.kept

    def result(self) -> Tensor:
        if self._made is None:
            source = self.source if isinstance(self.source, Tensor) else self.source.of(self.source.recipe.result())
            with torch.no_grad():
                self._made = self.function(source)
        return self._made

    def take(self) -> Tensor:
        """The result, for autograd."""
        result = self.result()
        self.uses -= 1
        if self.uses <= 0:
            self._made = None
        return result


@dataclass(frozen=True)
class _View:
    """A tensor in the memory of a recipe's result."""

    recipe: _Recipe
    size: torch.Size
    stride: tuple[int, ...]
    offset: int

    def of(self, result: Tensor) -> Tensor:
        return result.as_strided(self.size, self.stride, self.offset)


class Recomputed:
    """Results that autograd would keep for the operations that follow, made again in the backward pass.

    Inside `keeping()`, neither what `of` returns nor a view of it is kept: the input of the first function of a chain is, and the
    functions are called again, each once.
    """

    def __init__(self) -> None:
        # By address of the storage. The results are held meanwhile, so that none of the addresses is given to another tensor.
        self._recipes: dict[int, _Recipe] = {}
        self._held: list[Tensor] = []

    def of(self, function: Function, x: Tensor) -> Tensor:
        """function(x), to be made again."""
        result = function(x)
        self._recipes[result.untyped_storage().data_ptr()] = _Recipe(function, self._view(x) or x.detach())
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

    def _view(self, tensor: Tensor) -> _View | None:
        recipe = self._recipes.get(tensor.untyped_storage().data_ptr())
        return None if recipe is None else _View(recipe, tensor.shape, tensor.stride(), int(tensor.storage_offset()))

    def _pack(self, tensor: Tensor) -> Tensor | _View:
        view = self._view(tensor)
        if view is not None:
            view.recipe.uses += 1
        for observe in observers:
            observe(tensor if view is None else view.recipe.kept)
        return tensor if view is None else view

    @staticmethod
    def _unpack(kept: Tensor | _View) -> Tensor:
        return kept if isinstance(kept, Tensor) else kept.of(kept.recipe.take())
