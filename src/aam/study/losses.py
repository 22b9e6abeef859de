"""Losses of a head: how its outputs become what is predicted, and how wrong that is. One line of a registry for each.

Quantiles: pinball loss (Koenker & Bassett 1978), on outputs that cannot cross. Ordered classes: the cumulative logits of CORAL
(Cao et al. 2020, arXiv 1901.07884), with thresholds in order whatever the sample. Counts: Poisson with a logarithmic link.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from aam.options.target import LossType

# Of logarithms of rates, so that a rate is a number.
_MOST = 30.0
# Between thresholds, so that each class has a probability.
_LEAST_STEP = 1e-6

# Predictions in training units [B, O], truth [B], levels of quantiles -> a loss [B].
NumberLoss = Callable[[Tensor, Tensor, Sequence[float]], Tensor]


def in_order(raw: Tensor, middle: int, least: float = 0.0) -> Tensor:
    """Any numbers [..., O] -> numbers that rise: the one at `middle` as it is, the others by steps (softplus) away from it."""
    if raw.shape[-1] == 1:
        return raw
    steps = F.softplus(raw).clamp(min=least)
    centre = raw[..., middle : middle + 1]
    below = centre - steps[..., :middle].flip(-1).cumsum(-1).flip(-1)
    return torch.cat([below, centre, centre + steps[..., middle + 1 :].cumsum(-1)], dim=-1)


def rates(raw: Tensor) -> Tensor:
    """Logarithms of rates -> rates."""
    return raw.clamp(-_MOST, _MOST).exp()


def bounded(values: Tensor, low: float | None, high: float | None) -> Tensor:
    """Any numbers -> numbers within a range, smoothly: softplus towards one end, sigmoid between two."""
    if low is not None and high is not None:
        # Of slope 1 in the middle.
        return low + (high - low) * torch.sigmoid(4 * ((values - low) / (high - low) - 0.5))
    if low is not None:
        return low + F.softplus(values - low)
    return values if high is None else high - F.softplus(high - values)


def pinball(said: Tensor, true: Tensor, levels: Sequence[float]) -> Tensor:
    """Twice the mean pinball loss of quantiles [B, Q] at `levels` [Q]: of the median alone, the absolute error."""
    level, error = torch.tensor(levels, dtype=said.dtype, device=said.device), true[:, None] - said
    return 2 * torch.maximum(level * error, (level - 1) * error).mean(dim=1)


def poisson(said: Tensor, true: Tensor, levels: Sequence[float]) -> Tensor:
    """Negative log-likelihood of counts whose rates are said, without what does not depend on the rates."""
    return said[:, 0] - true * said[:, 0].clamp(min=torch.finfo(said.dtype).tiny).log()


NUMBER_LOSSES: Mapping[LossType, NumberLoss] = {
    "mse": lambda said, true, _: F.mse_loss(said[:, 0], true, reduction="none"),
    "mae": lambda said, true, _: F.l1_loss(said[:, 0], true, reduction="none"),
    "huber": lambda said, true, _: F.huber_loss(said[:, 0], true, reduction="none"),
    "quantile": pinball,
    "asymmetric": pinball,
    "poisson": poisson,
}


def cumulative(raw: Tensor) -> Tensor:
    """Outputs of a head [..., K - 1] -> logits of "at most this class", of all ordered classes but the last one."""
    return in_order(raw, 0, _LEAST_STEP)


def ordinal(raw: Tensor, true: Tensor) -> Tensor:
    """Cross-entropy of "at most this class", summed over the classes but the last one, of outputs [B, K - 1] and ids [B]: [B]."""
    at_most = (true[:, None] <= torch.arange(raw.shape[1], device=raw.device)).to(raw.dtype)
    return F.binary_cross_entropy_with_logits(cumulative(raw), at_most, reduction="none").sum(dim=1)


def of_ordered(raw: Tensor) -> Tensor:
    """Outputs of a head [..., K - 1] -> logarithms of the probabilities of K ordered classes [..., K]."""
    logits = cumulative(raw)
    lower, upper = logits[..., :-1], logits[..., 1:]
    # The sigmoid of one logit less that of the one below it, without cancellation.
    between = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
    return torch.cat([F.logsigmoid(logits[..., :1]), between, F.logsigmoid(-logits[..., -1:])], dim=-1)


ClassLossType = Literal["cross_entropy", "ordinal"]
# Outputs of a head [B, O], class ids [B] -> a loss [B].
CLASS_LOSSES: Mapping[ClassLossType, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": lambda raw, true: F.cross_entropy(raw, true, reduction="none"),
    "ordinal": ordinal,
}
