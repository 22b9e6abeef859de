"""Pooling: a set of vectors to one."""

import torch
from torch import Tensor, nn

from aam.models.transformer import hide_padding


class AttentionPooling(nn.Module):
    """Pool [N, T, D] to [N, D]: each head weighs the positions by a learned query and averages its own values.

    Positions outside `mask` have no weight; a row without any position pools to zero before the output layer.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, heads)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None, key_bias: Tensor | None = None) -> Tensor:
        """x [N, T, D], mask bool [N, T] (True = real; None = all), key_bias [N, H, T] added to the scores -> [N, D]."""
        n, t, width = x.shape
        x = self.norm(x)
        scores = self.score(x).transpose(1, 2)
        if key_bias is not None:
            scores = scores + key_bias
        if mask is not None:
            scores = hide_padding(mask, scores)
        values = self.value(x).view(n, t, self.heads, width // self.heads).transpose(1, 2)
        weights = scores.softmax(dim=-1).to(values.dtype)
        if mask is not None:
            weights = weights * mask.unsqueeze(1)
        pooled = torch.matmul(weights.unsqueeze(2), values).reshape(n, width)
        return self.out(pooled)


class MaxPooling(nn.Module):
    """Pool [N, T, D] to [N, D]: the largest value in each channel, as a branch of a tree is there if any ASV below it is.

    A row without any position pools to zero before the output layer.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.pooled_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [N, T, D], mask bool [N, T] (True = real) -> [N, D]."""
        values = self.value(self.norm(x))
        largest = values.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(dim=1)
        return self.out(self.pooled_norm(largest.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)))
