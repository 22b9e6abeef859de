"""Distances between sample embeddings are those between samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Paired:
    """Predictions [P] beside their truth [P]: distances of pairs of samples."""

    predicted: Tensor
    true: Tensor


def sample_pairs(embedding: Tensor, distances: Tensor) -> Paired:
    """Euclidean distances between embeddings [B, D] beside the true ones float32 [B, B], of the B (B - 1) / 2 pairs."""
    first, second = torch.triu_indices(len(embedding), len(embedding), offset=1, device=embedding.device)
    embedding = embedding.float()
    predicted = torch.linalg.vector_norm(embedding[first] - embedding[second], dim=1)
    return Paired(predicted, distances[first, second])


def paired_loss(paired: Paired) -> Tensor:
    """Mean squared error, 0 when there is nothing to compare (a batch of one sample has no pairs)."""
    return (paired.predicted - paired.true).square().sum() / max(1, len(paired.true))
