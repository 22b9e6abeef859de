"""What an encoder can be taught: the form that all of it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor, nn
from torchmetrics import Metric

from aam.data.dataset import Batch
from aam.models import Encoder
from aam.models.heads import Head
from aam.study.given import Given
from aam.study.study import Study
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

    def __init__(self, head: Head, weight: float = 1.0) -> None:
        super().__init__()
        self.head, self.weight = head, weight

    @property
    def name(self) -> str:
        return self.head.name

    @property
    def of_samples(self) -> bool:
        """Of samples, from their embeddings; else of ASVs, from their vectors."""
        return self.head.of_samples

    def same_in(self, probe: Batch) -> bool:
        """Whether a batch of training samples is too small to scale it to: its samples are all the same in what is told."""
        return False

    def scaled_to(self, probe: Batch) -> EncoderType:
        """The same, scaled to a batch of training samples."""
        return self

    def knowing(self, columns: np.ndarray) -> EncoderType:
        """The same, whose trivial prediction is that of the ASVs of training samples, columns of the table."""
        return self

    @abstractmethod
    def tell(self, encoder: Encoder, encoded: Encoded, step: Step) -> Told:
        """What the encoder says of the samples of all ranks, or of the ASVs of this one."""

    def beside_truth(self, said: Tensor, columns: np.ndarray) -> Told:
        """Of ASVs: what the head says of some of them [U, outputs], columns [U] of the table, outside of a step."""
        raise NotImplementedError

    @abstractmethod
    def metrics(self) -> TypeMetrics:
        """What is measured, from the start."""

    def _scaled(self, shift: float, scale: float) -> EncoderType:
        return type(self)(replace(self.head, shift=shift, scale=scale), self.weight)


@dataclass(frozen=True, eq=False)
class Asked:
    """An encoder type that is asked for of a study: its name and weight, and of a kind with a file that file, and what `Kind.read`
    makes of it.
    """

    name: str
    weight: float
    study: Study
    file: Path | None = None
    given: Given | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of encoder type, known before there is a study.

    title: how it is called in text; make: the type, with what measures its truth in a batch, or None. InputError for what the study
    lacks, and for a file of other data. between: it is between samples, which takes two of them; on_tree: it is measured on a tree;
    best: its metric that chooses the epoch where nothing else is taught, None for the loss of all; read: of a kind with a file of
    samples, what that says. The option that names a file has the name of the type.
    """

    title: str
    make: Callable[[Asked], tuple[EncoderType, nn.Module | None]]
    between: bool = False
    on_tree: bool = False
    best: str | None = None
    read: Callable[[Path], Given] | None = None
