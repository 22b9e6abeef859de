"""Samples whose ASVs are faded in one by one, from a baseline to the sample as it is: the way along which gradients are summed.

A sample is a set, so an ASV cannot simply be made small: where a mean is taken, what is left would be scaled up again, and an empty
sample would be reached with a jump. So each ASV keeps its place, and a gate from 0 to 1 says how much of the place is the ASV and
how much what stands in for it: nothing (the empty sample), or what the average sample has there. With all gates open the model is
itself; with all closed it says of an empty sample what it always says of one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional as F

from aam.ensemble.catalogue import SeenTable
from aam.errors import InputError
from aam.models.clades import CladeEncoder
from aam.models.sequence_encoder import SampleLevel, SequenceEncoder
from aam.models.sequence_predictor import SequencePredictor
from aam.models.set_networks import SetNetworks


def encoder_of(model: object) -> SequenceEncoder:
    """The encoder of a transformer. InputError for anything else."""
    encoder = model.base_model if isinstance(model, SequencePredictor) else model
    if isinstance(encoder, SequenceEncoder):
        return encoder
    if isinstance(encoder, CladeEncoder):
        raise InputError(
            "an encoder of clades (`clades`) has no attention, and no gradients of single ASVs; explain it by deletion"
        )
    raise InputError("trees and ensembles have no attention; explain by deletion or gradients, or train with `recipe=transformer`")


@dataclass(frozen=True, eq=False)
class Sample:
    """The ASVs of one sample: columns int64 [n] of the table, and natural logs of their shares of the reads float32 [n]."""

    columns: Tensor
    log_share: Tensor

    @classmethod
    def of(cls, counts: sparse.csr_array, row: int, device: torch.device) -> Sample:
        """Of a row of counts CSR [N, M]."""
        here = slice(*counts.indptr[row : row + 2])
        share = np.log(counts.data[here].astype(np.float64) / counts.data[here].sum()).astype(np.float32)
        return cls(torch.tensor(counts.indices[here].astype(np.int64), device=device), torch.tensor(share, device=device))


def _open(gates: Tensor, stand_in: Tensor, true: Tensor) -> Tensor:
    """Gates [S, n], stand-in [..., 1 or n, D], what is there [..., n, D] -> [..., S, n, D]."""
    stand_in, true = stand_in.unsqueeze(-3), true.unsqueeze(-3)
    return stand_in + gates.unsqueeze(-1) * (true - stand_in)


@dataclass(frozen=True, eq=False)
class NetworkViews:
    """What E set networks sum a sample up by: average and largest [E, 1, D], log_size [E, 1, 1], presence [E, 1, outputs]."""

    average: Tensor
    largest: Tensor
    log_size: Tensor
    presence: Tensor

    @classmethod
    def nothing(cls, networks: SetNetworks) -> NetworkViews:
        """Of an empty sample."""
        number, outputs, width = len(networks.identity), networks.head.bias.shape[2], networks.width
        return cls(*(networks.identity.new_zeros(number, 1, size) for size in (width, width, 1, outputs)))

    @classmethod
    def mean(cls, views: list[NetworkViews]) -> NetworkViews:
        """Of the average sample."""
        return cls(*(torch.stack([getattr(view, name) for view in views]).mean(dim=0) for name in cls.__annotations__))


@dataclass(frozen=True, eq=False)
class GatedSet:
    """One sample in E set networks. weights: [E, n, D], of each ASV in the averages, head by head; values, candidates: [E, n, D];
    presence: [E, n, outputs]; design: [1, K], covariates of the sample, which stay as they are, or None.
    """

    networks: SetNetworks
    weights: Tensor
    values: Tensor
    candidates: Tensor
    presence: Tensor
    design: Tensor | None = None

    @classmethod
    @torch.no_grad()
    def of(cls, networks: SetNetworks, table: SeenTable, sample: Sample, row: int = 0) -> GatedSet:
        """Of the ASVs of a sample of a table; row: which one, of which covariates are read."""
        here, device = sample.columns.cpu().numpy(), sample.columns.device
        vectors, identity = torch.tensor(table.vectors[here], device=device), torch.tensor(table.identity[here], device=device)
        known, share = (identity > 0).unsqueeze(-1), sample.log_share.unsqueeze(-1)
        number = len(networks.identity)
        own = networks.identity[:, identity] * known
        abundance = networks.abundance(F.gelu(networks.abundance_widen(share.expand(number, -1, -1))))
        x = networks.project(vectors.expand(number, -1, -1)) + own + abundance
        normed = networks.norm(x)
        weights = (networks.score(normed) + networks.abundance_multiple * share).softmax(dim=1)
        per_head = networks.width // weights.shape[2]
        outputs = networks.head.bias.shape[2]
        presence = x.new_zeros(number, len(identity), outputs)
        if networks.presence is not None:
            presence = networks.presence[:, identity] * known * networks.presence_scale
        candidates = networks.max_value(networks.max_norm(x))
        weights = weights.repeat_interleave(per_head, dim=2)
        design = None if table.design is None else torch.tensor(table.design[[row]], device=device)
        return cls(networks, weights, networks.value(normed), candidates, presence, design)

    @property
    def log_size(self) -> float:
        """Natural log of the number of ASVs."""
        return float(np.log(max(self.values.shape[1], 1)))

    def views(self) -> NetworkViews:
        """What the networks sum the sample up by."""
        log_size = self.values.new_full((len(self.values), 1, 1), self.log_size)
        average = (self.weights * self.values).sum(dim=1, keepdim=True)
        return NetworkViews(average, self.candidates.amax(dim=1, keepdim=True), log_size, self.presence.sum(dim=1, keepdim=True))

    def __call__(self, gates: Tensor, stand_in: NetworkViews) -> Tensor:
        """What the networks say with gates [S, n]: numbers in training units or logits [E, S, outputs]."""
        networks, opened = self.networks, gates.mean(dim=1, keepdim=True)
        average = stand_in.average + gates @ (self.weights * (self.values - stand_in.average))
        largest = _open(gates, stand_in.largest, self.candidates).amax(dim=2)
        log_size = stand_in.log_size + opened * (self.log_size - stand_in.log_size)
        presence = stand_in.presence * (1 - opened) + gates @ self.presence
        pooled = networks.pooled(average) + networks.largest(networks.largest_norm(largest)) + networks.richness(log_size)
        return networks.head(networks.hidden(pooled, self.design)) + presence


@dataclass(frozen=True, eq=False)
class LevelViews:
    """What stands in at the sample level of a transformer: for an ASV as it enters (asv) and in its average and its largest, each
    [1, D], and for the log of the number of ASVs, [1, 1].
    """

    asv: Tensor
    average: Tensor
    largest: Tensor
    log_size: Tensor

    @classmethod
    def nothing(cls, level: SampleLevel) -> LevelViews:
        """Of an empty sample."""
        width = level.richness.out_features
        return cls(*(level.richness.weight.new_zeros(1, size) for size in (width, width, width, 1)))

    @classmethod
    def mean(cls, views: list[LevelViews]) -> LevelViews:
        """Of the average sample."""
        return cls(*(torch.stack([getattr(view, name) for view in views]).mean(dim=0) for name in cls.__annotations__))


@dataclass(frozen=True, eq=False)
class GatedLevel:
    """One sample at the sample level of a transformer. entering: [n, D], its ASVs with their abundances; log_share: [n]."""

    level: SampleLevel
    entering: Tensor
    log_share: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, level: SampleLevel, vectors: Tensor, sample: Sample) -> GatedLevel:
        """Of a sample's ASVs, with vectors [M, D] of the table's."""
        embedded = level.sample_encoder.abundance_embedding(sample.log_share.unsqueeze(-1))
        return cls(level, vectors[sample.columns] + embedded, sample.log_share)

    @property
    def log_size(self) -> float:
        """Natural log of the number of ASVs."""
        return float(np.log(max(len(self.log_share), 1)))

    @torch.no_grad()
    def views(self) -> LevelViews:
        """What sums the sample up."""
        weights, values, candidates = self._contextual(self.entering.unsqueeze(0))
        size = self.entering.new_full((1, 1), self.log_size)
        return LevelViews(self.entering.mean(dim=0, keepdim=True), (weights * values).sum(dim=1), candidates.amax(dim=1), size)

    def __call__(self, gates: Tensor, stand_in: LevelViews) -> Tensor:
        """Embeddings with gates [S, n] -> [S, D]."""
        opened = gates.mean(dim=1, keepdim=True)
        weights, values, candidates = self._contextual(_open(gates, stand_in.asv, self.entering))
        average = stand_in.average + (gates.unsqueeze(-1) * weights * (values - stand_in.average)).sum(dim=1)
        largest = (stand_in.largest + gates.unsqueeze(-1) * (candidates - stand_in.largest)).amax(dim=1)
        log_size = stand_in.log_size + opened * (self.log_size - stand_in.log_size)
        return self._sum(average, largest, log_size)

    def replaced(self, place: int, entering: Tensor) -> Tensor:
        """Embeddings with other vectors [S, D] entering in the place of one of the ASVs -> [S, D]."""
        here = torch.arange(len(self.entering), device=entering.device).unsqueeze(-1) == place
        weights, values, candidates = self._contextual(torch.where(here, entering.unsqueeze(1), self.entering))
        return self._sum((weights * values).sum(dim=1), candidates.amax(dim=1), entering.new_full((1, 1), self.log_size))

    def _sum(self, average: Tensor, largest: Tensor, log_size: Tensor) -> Tensor:
        level = self.level
        by_max = level.max_pooling.out(level.max_pooling.pooled_norm(largest))
        return level.pooling.out(average) + by_max + level.richness(log_size)

    def _contextual(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ASVs as they enter [S, n, D] -> weights in the averages, values and candidates for the largest, each [S, n, D]."""
        level = self.level
        for layer, multiple in zip(level.sample_encoder.layers, level.sample_encoder.abundance_multiple, strict=True):
            x = layer(x, self._bias(multiple, len(x)), None)
        normed = level.pooling.norm(x)
        scores = level.pooling.score(normed).transpose(1, 2) + self._bias(level.abundance_multiple, len(x))
        weights = scores.softmax(dim=2).transpose(1, 2).repeat_interleave(x.shape[2] // level.pooling.heads, dim=2)
        return weights, level.pooling.value(normed), level.max_pooling.value(level.max_pooling.norm(x))

    def _bias(self, multiple: Tensor, number: int) -> Tensor:
        return (multiple[:, None] * self.log_share).expand(number, -1, -1)
