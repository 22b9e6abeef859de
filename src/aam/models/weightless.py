"""Models without memory for their weights: what shapes they would have, before any is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _DrawNothing(TorchFunctionMode):
    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else next(iter((kwargs or {}).values()))
        if func is torch.linspace:
            return torch.empty(args[2])
        return func(*args, **(kwargs or {}))


@contextmanager
def weightless() -> Iterator[None]:
    """Within, modules are made without weights. Drawing none of them, PyTorch does not load its compiler, which takes a second."""
    with torch.device("meta"), _DrawNothing():
        yield
