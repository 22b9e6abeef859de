"""Sample embeddings and covariates -> one input of the head that predicts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam.options import Fusion


class Concatenation(nn.Module):
    """Side by side: embedding [B, D] and covariates [B, C] -> [B, D + C]."""

    def __init__(self, width: int, beside: int) -> None:
        super().__init__()
        self.outputs = width + beside

    def forward(self, embedding: Tensor, beside: Tensor) -> Tensor:
        return torch.cat([embedding, beside], dim=1)


class GatedUnit(nn.Module):
    """Gated multimodal unit: embedding [B, D] and covariates [B, C] -> [B, D].

    A gate in each channel, computed from both, says how much of it comes from the microbes and how much from the covariates
    (Arevalo et al. 2017, arXiv 1702.01992, equations of their bimodal case).
    """

    def __init__(self, width: int, beside: int) -> None:
        super().__init__()
        self.outputs = width
        self.of_embedding, self.of_beside = nn.Linear(width, width, bias=False), nn.Linear(beside, width, bias=False)
        self.gate = nn.Linear(width + beside, width, bias=False)

    def forward(self, embedding: Tensor, beside: Tensor) -> Tensor:
        gate = self.gate(torch.cat([embedding, beside], dim=1)).sigmoid()
        return gate * self.of_embedding(embedding).tanh() + (1 - gate) * self.of_beside(beside).tanh()


FUSIONS: dict[Fusion, type[Concatenation] | type[GatedUnit]] = {"concat": Concatenation, "gated": GatedUnit}
