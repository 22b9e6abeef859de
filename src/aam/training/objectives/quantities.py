"""A quantity of each sample - diversity, or a number that is given - is told from its embedding."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from aam.data.dataset import Batch
from aam.distances.sample_values import SampleValues, open_sample_values
from aam.errors import InputError
from aam.models import Encoder
from aam.models.heads import Head
from aam.training.objectives.encoder_type import Asked, Encoded, EncoderType, Kind
from aam.training.objectives.paired import Paired, RecoveryMetrics
from aam.training.step import Step

# Standard deviation of what is learned: that of distances between samples, so that equal weights weigh alike.
_SPREAD = 0.1


class Quantity(EncoderType):
    """From the mean of some training samples, in units in which it varies as distances do."""

    def same_in(self, probe: Batch) -> bool:
        return not self._deviation(probe) > 0

    def scaled_to(self, probe: Batch) -> EncoderType:
        values, deviation = probe.measured[self.name].double(), self._deviation(probe)
        if not deviation > 0:
            all_of = f"it is {float(values[0]):g} in all of {len(values)} training samples"
            raise InputError(f"`encoder_type={self.name}`: {all_of}: nothing can be learned from it; leave it out")
        return self._scaled(float(values.mean()), deviation / _SPREAD)

    def _deviation(self, probe: Batch) -> float:
        return float(probe.measured[self.name].double().std(correction=0))

    def tell(self, encoder: Encoder, encoded: Encoded, step: Step) -> Paired:
        assert encoded.embedding is not None
        said = encoder.heads.tell(self.head, encoded.embedding)[:, 0]
        return Paired(step.gather(said), (step.measured[self.name] - self.head.shift) / self.head.scale)

    def metrics(self) -> RecoveryMetrics:
        return RecoveryMetrics()


class GivenQuantity(nn.Module):
    """A number of each sample that is there before training, by row of the table, float64 [N], as a measure of a batch."""

    values: Tensor

    def __init__(self, values: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("values", torch.from_numpy(values), persistent=False)

    def forward(self, columns: Tensor, counts: Tensor, sample_index: Tensor) -> Tensor:
        """Numbers [B] of the samples `sample_index`, int64 [B]; `columns` and `counts` are unused: the signature is shared."""
        return self.values[sample_index]


def _vector(asked: Asked) -> tuple[EncoderType, nn.Module]:
    """Any numbers that are given."""
    assert isinstance(asked.given, SampleValues)
    return Quantity(Head(asked.name, 1), asked.weight), GivenQuantity(asked.given.of(asked.study.table.sample_ids))


VECTOR = Kind("quantity of the vector", _vector, best="mse", read=open_sample_values)
