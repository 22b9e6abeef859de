"""From what models compute to the unit that explanations are in, and attributions carried along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from aam.ensemble.calibration import SURE, Calibration, Stretch
from aam.ensemble.weights import SAYABLE
from aam.errors import InputError
from aam.explain.scale import output_names, unit_of
from aam.study.targets import ClassTarget, Target

_NODES = 64

# Float64 [..., K] -> [..., O].
Link = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Outputs:
    """What is explained: the target, the names of the columns (O: 1, or one a class where there are more than two), their unit."""

    target: Target
    names: tuple[str, ...]
    unit: str

    @classmethod
    def of(cls, target: Target, column: str) -> Outputs:
        """Of a target that is called `column`."""
        return cls(target, output_names(column, target), unit_of(column, target))


def log_odds(logits: Tensor) -> Tensor:
    """Logits of K classes [..., K] -> log-odds of the second of two [..., 1], or of each against the others [..., K]."""
    number = logits.shape[-1]
    if number == 2:
        return logits[..., 1:] - logits[..., :1]
    itself = torch.eye(number, dtype=torch.bool, device=logits.device)
    others = logits.unsqueeze(-2).masked_fill(itself, -torch.inf).logsumexp(dim=-1)
    return logits - others


def of_model(target: Target) -> Link:
    """Outputs of a head -> the unit of explanations."""
    if isinstance(target, ClassTarget):
        return lambda raw: log_odds(target.logits(raw))
    return lambda raw: target.decode(target.said(raw))


def of_member(target: Target) -> Link:
    """What a member of an ensemble says, a number in training units or scores of classes -> what the mean is taken of: the same
    number, or log-probabilities.
    """
    if not isinstance(target, ClassTarget):
        return lambda said: said
    return lambda scores: of_probabilities(scores.softmax(dim=-1))


def of_probabilities(probabilities: Tensor) -> Tensor:
    """Logarithms as the mean of members is taken of them."""
    return probabilities.clamp(min=SAYABLE, max=1.0).log()


def of_mean(target: Target, overall: Calibration | Stretch | None) -> Link:
    """The mean of members (`of_member`) -> the unit of explanations."""
    if not isinstance(target, ClassTarget):
        middle, factor = (overall.middle, overall.factor) if isinstance(overall, Stretch) else (0.0, 1.0)
        return lambda mean: target.decode(middle + factor * (mean - middle))
    if not isinstance(overall, Calibration):
        return log_odds
    biases = torch.tensor(overall.biases, dtype=torch.float64)
    least = float(np.log(SURE))
    return lambda mean: log_odds(overall.power * mean.log_softmax(dim=-1).clamp(min=least) + biases)


def through(link: Link, start: np.ndarray, end: np.ndarray, terms: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Attributions of what a link is given [T, K] -> of what it makes of that [T, O]; sample: int64 [T], to which of n they belong.

    start, end: [n, K], before and after the terms of each sample are added. Each link is replaced by its mean slopes on the line
    from start to end (Aumann-Shapley values of the link), so that the terms of a sample add up to link(end) - link(start).
    """
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(_NODES))
    begin, finish = torch.from_numpy(start), torch.from_numpy(end)
    on_line = begin[:, None] + ((nodes + 1) / 2)[:, None] * (finish - begin)[:, None]
    slopes = vmap(vmap(jacrev(link)))(on_line)
    mean = ((weights / 2)[:, None, None] * slopes).sum(dim=1).numpy()
    carried = np.einsum("tok,tk->to", mean[sample], terms)
    # What the quadrature of a kink leaves.
    return carried + _shared(link(finish).numpy() - link(begin).numpy(), carried, sample)


def _shared(wanted: np.ndarray, terms: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """What is missing of the sums [n, O] of terms [T, O], shared out by their size."""
    missing, size = wanted - sums(terms, sample, len(wanted)), sums(np.abs(terms), sample, len(wanted))
    return np.abs(terms) * np.divide(missing, size, out=np.zeros_like(missing), where=size > 0)[sample]


def sums(terms: np.ndarray, sample: np.ndarray, n: int) -> np.ndarray:
    """Sums of terms [T, O] over the samples [n, O]."""
    found = np.zeros((n, terms.shape[1]))
    np.add.at(found, sample, terms)
    return found


def require_known(calibrations: object) -> None:
    """InputError for class ensembles of version 0.1.0, whose members were calibrated one by one."""
    if calibrations:
        raise InputError("an ensemble of version 0.1.0 has no explanations by gradients: train it anew, or explain it by deletion")
