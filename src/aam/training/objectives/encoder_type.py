"""What an encoder can be taught: the form that all of it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor, nn
from torchmetrics import Metric

from aam.data.dataset import Batch
from aam.models import SequenceEncoder
from aam.models.heads import Head
from aam.training.step import Step


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of the batch of a rank: vectors [U, D] of its ASVs, embeddings [B, D] of its samples, or None."""

    vectors: Tensor
    embedding: Tensor | None


class Told(Protocol):
    """What was said of a batch, beside the truth."""

    @property
    def loss(self) -> Tensor: ...


class TypeMetrics(nn.Module, ABC):
    """What is measured of one encoder type in an epoch."""

    @abstractmethod
    def update(self, told: Told) -> None:
        """Count one batch."""

    @property
    @abstractmethod
    def streamed(self) -> Metric:
        """Scores by name."""


class EncoderType(nn.Module, ABC):
    """Something to teach an encoder; head: how it is told; weight: of its loss, relative to others."""

    # Of samples, from their embeddings; else of ASVs, from their vectors.
    of_samples = True

    def __init__(self, head: Head, weight: float = 1.0) -> None:
        super().__init__()
        self.head, self.weight = head, weight

    @property
    def name(self) -> str:
        return self.head.name

    def fitted_to(self, probe: Batch) -> EncoderType:
        """The same, scaled to a batch of training samples."""
        return self

    @abstractmethod
    def tell(self, encoder: SequenceEncoder, encoded: Encoded, step: Step) -> Told:
        """What the encoder says of the samples of all ranks, or of the ASVs of this one."""

    @abstractmethod
    def metrics(self) -> TypeMetrics:
        """What is measured, from the start."""

    def _scaled(self, shift: float, scale: float) -> EncoderType:
        return type(self)(replace(self.head, shift=shift, scale=scale), self.weight)
