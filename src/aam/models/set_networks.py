"""Set networks: the ASVs of a sample, with fixed vectors -> the target. Several networks side by side, as one computation.

Each ASV is encoded by itself, and a sample is pooled from its ASVs (deep sets; Zaheer et al. 2017, arXiv 1703.06114): on tables of
hundreds of samples, letting ASVs attend to each other first costs time and accuracy. All parameters have a leading dimension: E
networks that learn from different samples take the time of few. The ASVs of a network's samples lie one after the other, unpadded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aam.models.weightless import weightless

# How much faster than other parameters the linear term of presence learns: it starts at zero, and one ASV is in few samples.
PRESENCE_RATE = 20.0
# The same of covariates: a table of 40 samples has 40 steps.
COVARIATE_RATE = 10.0


@dataclass(frozen=True, eq=False)
class SetBatch:
    """B samples for each of E networks, which may be others for each.

    columns: int64 [E, U], the distinct ASVs of each network's samples, by column of the table; asv: int64 [E, T], which of these
    each place holds, sample after sample; log_share: float32 [E, T], natural log of the share of the sample's reads; offsets:
    int64 [E (B + 1) + 1], where the places of a sample start, the last of a network being padding; log_size: float32 [E, B],
    natural log of the number of ASVs.
    """

    columns: Tensor
    asv: Tensor
    log_share: Tensor
    offsets: Tensor
    log_size: Tensor

    def to(self, device: torch.device) -> SetBatch:
        """The same on a device."""
        return SetBatch(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))


class _Linear(nn.Module):
    """E linear maps [E, N, in] -> [E, N, out], each initialised as torch's own."""

    def __init__(self, networks: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(max(inputs, 1))
        self.weight = nn.Parameter(torch.empty(networks, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(networks, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)

    def after(self, norm: _Norm) -> tuple[Tensor, Tensor]:
        """Weight and bias of this map after the scale and shift of a norm: one pass over the ASVs less."""
        return norm.weight.mT * self.weight, self.bias + norm.bias @ self.weight


class _Norm(nn.Module):
    """E layer norms over the last dimension of [E, N, D]."""

    def __init__(self, networks: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(networks, 1, width))
        self.bias = nn.Parameter(torch.zeros(networks, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:]) * self.weight + self.bias


class SetNetworks(nn.Module):
    """E networks: encode ASVs, pool each sample, predict: [E, B, outputs].

    An ASV is the projection of its vector, an embedding of its log share of the reads and, where it is known, an embedding of its
    own that starts at zero: what its sequence says stays the rule, its identity is the exception to it. Three views of a sample are
    added up: averages weighted by attention, the maximum in each channel, and the number of ASVs.

    by_presence: scores also have a linear term for each known ASV that is there, divided by `typical_size` ** 0.5. It makes classes
    learnable that a few of many ASVs decide; of numbers it makes the error larger. covariates: columns K of them, which enter the
    head beside the pooled sample.
    """

    typical_size: Tensor

    def __init__(  # noqa: PLR0913 - sizes, each by its name
        self,
        networks: int,
        vector_width: int,
        known: int,
        outputs: int,
        *,
        width: int,
        heads: int,
        by_presence: bool = False,
        typical_size: float = 1.0,
        covariates: int = 0,
    ) -> None:
        super().__init__()
        self.project = _Linear(networks, vector_width, width)
        self.identity = nn.Parameter(torch.zeros(networks, known + 1, width))
        self.abundance_widen, self.abundance = _Linear(networks, 1, width), _Linear(networks, width, width)
        self.norm, self.value, self.score = (
            _Norm(networks, width),
            _Linear(networks, width, width),
            _Linear(networks, width, heads),
        )
        # How much the log share adds to the attention of a head: 0 for presence alone, 1 as if an ASV stood there once per read.
        self.abundance_multiple = nn.Parameter(torch.linspace(0, 1, heads).expand(networks, 1, heads).clone())
        self.max_norm, self.max_value = _Norm(networks, width), _Linear(networks, width, width)
        self.pooled, self.richness = _Linear(networks, width, width), _Linear(networks, 1, width)
        self.largest_norm, self.largest = _Norm(networks, width), _Linear(networks, width, width)
        self.head_norm, self.head_widen, self.head = (
            _Norm(networks, width),
            _Linear(networks, width, width),
            _Linear(networks, width, outputs),
        )
        self.presence = nn.Parameter(torch.zeros(networks, known + 1, outputs)) if by_presence else None
        # From zero on: what the microbes say is the rule.
        self.covariates = nn.Parameter(torch.zeros(networks, covariates, width)) if covariates else None
        self.register_buffer("typical_size", torch.full((networks, 1), typical_size))

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> SetNetworks:
        """The networks of these weights, by name. RuntimeError, IndexError or KeyError for weights that are none."""
        project, identity = weights["project.weight"], weights["identity"]
        # Before memory is taken for them.
        with weightless():
            networks = cls(
                project.shape[0],
                project.shape[1],
                identity.shape[1] - 1,
                weights["head.weight"].shape[2],
                width=project.shape[2],
                heads=weights["score.weight"].shape[2],
                by_presence="presence" in weights,
                covariates=weights["covariates"].shape[1] if "covariates" in weights else 0,
            )
        networks.load_state_dict(dict(weights), assign=True)
        return networks

    @classmethod
    def side_by_side(cls, networks: Sequence[SetNetworks]) -> SetNetworks:
        """Networks of the same sizes as one computation."""
        states = [network.state_dict() for network in networks]
        return cls.of({name: torch.cat([state[name] for state in states]) for name in states[0]})

    def apart(self) -> list[dict[str, Tensor]]:
        """Weights of each network by name, with a leading dimension of 1."""
        state = self.state_dict()
        return [{name: weight[[number]] for name, weight in state.items()} for number in range(len(self.identity))]

    @property
    def width(self) -> int:
        """Channels of an ASV, and of a sample."""
        return self.identity.shape[2]

    @property
    def presence_scale(self) -> Tensor:
        """What the linear term of presence is multiplied by, [E, 1, 1]."""
        return (PRESENCE_RATE / self.typical_size.sqrt()).unsqueeze(-1)

    def forward(
        self, vectors: Tensor, identity: Tensor, batch: SetBatch, dropout: Tensor | None = None, design: Tensor | None = None
    ) -> Tensor:
        """Vectors float32 [M, W] and identity int64 [M] (0 = not known) of the table's ASVs -> [E, B, outputs]; dropout: what
        the hidden layer of the head [E, B, D] is multiplied by; design: covariates [E or 1, B, K].
        """
        known = identity[batch.columns]
        distinct = self.project(vectors[batch.columns]) + _of_known(self.identity, known)
        share = batch.log_share.unsqueeze(-1)
        x = _spread(distinct, batch.asv) + self.abundance(F.gelu(self.abundance_widen(share)))
        hidden = self.hidden(self._pool(x, share, batch), design)
        said = self.head(hidden if dropout is None else hidden * dropout)
        if self.presence is None:
            return said
        there = _per_sample(_spread(_of_known(self.presence, known), batch.asv), batch, "sum")
        return said + there * self.presence_scale

    def hidden(self, pooled: Tensor, design: Tensor | None) -> Tensor:
        """The hidden layer of the head: pooled samples [E, B, D] and covariates [E or 1, B, K] -> [E, B, D]."""
        widened = self.head_widen(self.head_norm(pooled))
        if self.covariates is not None and design is not None:
            widened = widened + design @ self.covariates * COVARIATE_RATE
        return F.gelu(widened)

    def _pool(self, x: Tensor, share: Tensor, batch: SetBatch) -> Tensor:
        """ASVs [E, T, D] with log shares [E, T, 1] -> samples [E, B, D]."""
        width, heads = self.width, self.score.weight.shape[2]
        parts = [self.value.after(self.norm), self.score.after(self.norm), self.max_value.after(self.max_norm)]
        weight, bias = (torch.cat(some, dim=-1) for some in zip(*parts, strict=True))
        normed = torch.baddbmm(bias, F.layer_norm(x, (width,)), weight)
        values, scores, candidates = normed.split((width, heads, width), dim=-1)
        weights = _exp_within(scores + self.abundance_multiple * share, batch)
        weighted = (values.unflatten(-1, (heads, -1)) * weights.unsqueeze(-1)).flatten(-2)
        sums = _per_sample(torch.cat((weighted, weights), dim=-1), batch, "sum")
        total = sums[..., width:].clamp(min=1e-30).unsqueeze(-1)
        average = (sums[..., :width].unflatten(-1, (heads, -1)) / total).flatten(-2)
        largest = _per_sample(candidates, batch, "max")
        # A sample without ASVs has no largest value.
        largest = largest.masked_fill(largest == -torch.inf, 0.0)
        richness = self.richness(batch.log_size.unsqueeze(-1))
        return self.pooled(average) + self.largest(self.largest_norm(largest)) + richness


def _of_known(table: Tensor, known: Tensor) -> Tensor:
    """Rows of a table [E, known + 1, C] by number int64 [E, U] -> [E, U, C]; 0 for number 0."""
    found = table.gather(1, known.unsqueeze(-1).expand(-1, -1, table.shape[2]))
    return found * (known > 0).unsqueeze(-1)


def _spread(distinct: Tensor, asv: Tensor) -> Tensor:
    """Distinct ASVs [E, U, C] to their places, int64 [E, T] -> [E, T, C]."""
    networks, number, channels = distinct.shape
    start = number * torch.arange(networks, device=asv.device).unsqueeze(1)
    return distinct.reshape(-1, channels).index_select(0, (asv + start).flatten()).view(*asv.shape, channels)


def _per_sample(x: Tensor, batch: SetBatch, how: str) -> Tensor:
    """Sum or maximum over the places of each sample: [E, T, C] -> [E, B, C]."""
    start = 0.0 if how == "sum" else None
    found = torch.segment_reduce(x.flatten(0, 1), how, offsets=batch.offsets, initial=start, unsafe=True)
    return found.unflatten(0, (len(x), -1))[:, :-1]


def _exp_within(scores: Tensor, batch: SetBatch) -> Tensor:
    """Exponentials of scores [E, T, H] less the largest of their sample."""
    with torch.no_grad():
        flat = scores.flatten(0, 1)
        largest = torch.segment_reduce(flat, "max", offsets=batch.offsets, unsafe=True)
        largest = largest.repeat_interleave(batch.offsets.diff(), dim=0, output_size=len(flat)).view_as(scores)
    return (scores - largest).exp()


def typical_size_of(sizes: np.ndarray) -> float:
    """What the linear term of presence is scaled by, from the numbers of known ASVs in the training samples [n]."""
    return max(float(np.mean(sizes)), 1.0)
