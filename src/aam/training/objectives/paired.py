"""Numbers beside their truth, and how they are learned and measured."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from aam.scoring.streamed import PairedMetrics, Reservoir
from aam.training.objectives.encoder_type import Told, TypeMetrics


@dataclass(frozen=True)
class Paired:
    """Predictions [P] beside their truth [P]: distances of pairs of samples, or quantities of samples."""

    predicted: Tensor
    true: Tensor

    @property
    def loss(self) -> Tensor:
        """Mean squared error, 0 when there is nothing to compare (a batch of one sample has no pairs)."""
        return (self.predicted - self.true).square().sum() / max(1, len(self.true))


class RecoveryMetrics(TypeMetrics):
    """Errors, and points for rank correlations and plots. Every rank sees all samples."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs, self.reservoir = PairedMetrics(sync_on_compute=False), Reservoir(sync_on_compute=False)

    def update(self, told: Told) -> None:
        assert isinstance(told, Paired)
        self.pairs.update(told.predicted, told.true)
        self.reservoir.update(told.predicted, told.true)

    @property
    def streamed(self) -> PairedMetrics:
        return self.pairs
