"""Distances between sample embeddings are those between samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aam.data.dataset import Batch
from aam.distances import files
from aam.distances.precomputed import PrecomputedDistances
from aam.errors import InputError
from aam.models import Encoder
from aam.models.encoder import TYPICAL_DISTANCE
from aam.models.heads import Head
from aam.training.objectives.encoder_type import Asked, Encoded, EncoderType, Kind
from aam.training.objectives.paired import Paired, RecoveryMetrics
from aam.training.step import Step


class Distances(EncoderType):
    """Those of any measure. Up to 1 they are learned as they are, larger ones in units in which they are mostly below 1."""

    def scaled_to(self, probe: Batch) -> EncoderType:
        distances = probe.measured[self.name]
        if len(distances) < 2 or float(distances.max()) <= 1:
            return self
        return self._scaled(0.0, float(distances[~torch.eye(len(distances), dtype=torch.bool)].mean()) / TYPICAL_DISTANCE)

    def tell(self, encoder: Encoder, encoded: Encoded, step: Step) -> Paired:
        assert encoded.embedding is not None
        space = encoder.heads.tell(self.head, encoded.embedding)
        return sample_pairs(step.gather(space), step.measured[self.name] / self.head.scale)

    def metrics(self) -> RecoveryMetrics:
        return RecoveryMetrics()


def sample_pairs(embedding: Tensor, distances: Tensor) -> Paired:
    """Euclidean distances between embeddings [B, D] beside the true ones float32 [B, B], of the B (B - 1) / 2 pairs."""
    first, second = torch.triu_indices(len(embedding), len(embedding), offset=1, device=embedding.device)
    embedding = embedding.float()
    predicted = torch.linalg.vector_norm(embedding[first] - embedding[second], dim=1)
    return Paired(predicted, distances[first, second])


def _unifrac(asked: Asked) -> tuple[EncoderType, nn.Module]:
    """UniFrac on the study's tree, or the matrix that stands in its place."""
    if asked.study.distance is None:
        raise InputError("the UniFrac objective needs a tree: give `tree`, or `penalty=0`")
    return Distances(Head(asked.name), asked.weight), asked.study.distance


def _matrix(asked: Asked) -> tuple[EncoderType, nn.Module]:
    """Any distances that are given."""
    assert isinstance(asked.given, files.Distances)
    return Distances(Head(asked.name), asked.weight), PrecomputedDistances(asked.given.between(asked.study.table.sample_ids))


UNIFRAC = Kind("UniFrac", _unifrac, between=True, on_tree=True, best="mse")
MATRIX = Kind("distances of the matrix", _matrix, between=True, best="mse", read=files.open_distances)
