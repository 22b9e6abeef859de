"""Models with shuffled weights: as large, and of the same parts, but nothing that was learned is left in them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from aam.ensemble.members import Arrays

# What is no weight of a member: which ASVs and how they are seen, the shape of trees, scales of inputs.
_STAYS = (
    *("view", "link", "outputs", "learned", "power", "levels", "leaf_start", "roots", "left", "right", "feature", "threshold"),
    *("start", "place_mean", "place_spread", "landmarks", "reach", "typical_size"),
)


def shuffled_arrays(arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """The arrays of a member, the numbers in each at other places.

    Trees keep their shape. What they and linear models look at (`kept`) are the same ASVs in another order: were only the nodes
    exchanged, an ASV that many splits are on would still have as many.
    """
    found = {}
    for name, array in arrays.items():
        if name in _STAYS:
            found[name] = array
        elif name == "value":
            # The values of leaves; of those of boosted trees each is one output's, so rows stay whole.
            found[name] = _among(array, np.flatnonzero(arrays["feature"] < 0), rng)
        else:
            found[name] = rng.permutation(array.ravel()).reshape(array.shape)
    return found


def _among(array: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Some rows exchanged with each other."""
    found = array.copy()
    found[rows] = array[rng.permutation(rows)]
    return found


def shuffled_state(state: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """The weights of a transformer by name, the numbers in each tensor at other places."""
    draws = torch.Generator().manual_seed(seed)
    return {
        name: value.flatten()[torch.randperm(value.numel(), generator=draws).to(value.device)].view(value.shape)
        for name, value in state.items()
    }
