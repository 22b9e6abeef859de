"""A matrix of distances that is there before training, as a batch distance."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


class PrecomputedDistances(nn.Module):
    """A matrix as a batch distance. It moves with the model but is not saved with it."""

    matrix: Tensor

    def __init__(self, matrix: np.ndarray) -> None:
        """`matrix`: distances [N, N] in the order that `sample_index` counts in."""
        super().__init__()
        self.register_buffer("matrix", torch.from_numpy(matrix), persistent=False)

    def forward(self, columns: Tensor, counts: Tensor, sample_index: Tensor) -> Tensor:
        """Distances [B, B] of the samples `sample_index`, int64 [B]; `columns` and `counts` are unused: the signature is shared."""
        return self.matrix[sample_index.unsqueeze(1), sample_index]
