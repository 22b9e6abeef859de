"""How much each member counts, and how sure they are together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

# Members picked in each turn, with replacement, and turns.
_PICKS, _TURNS = 20, 25
_SURE = 1e-6

Name = TypeVar("Name", bound=str)


def loss(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error of numbers [n], or of class probabilities [n, K] the log loss with classes weighted alike."""
    if predicted.ndim == 1:
        return float(np.abs(truth - predicted).mean())
    members = np.bincount(truth, minlength=predicted.shape[1]).clip(min=1)
    said = predicted[np.arange(len(truth)), truth].clip(_SURE, 1)
    return float(np.average(-np.log(said), weights=1 / members[truth]))


def choose_weights(truth: np.ndarray, judged: Mapping[Name, np.ndarray], groups: np.ndarray | None, seed: int) -> dict[Name, float]:
    """Weights of the members, which add up to 1, by what each said of samples [n] that it did not learn from.

    Members are picked one by one, each time the one with which the mean of all picked errs least, on groups drawn anew for each of
    several turns, whose mean is taken (bagged ensemble selection; Caruana et al. 2004): where nothing tells members apart, each
    gets a part.
    """
    units, group = np.unique(np.arange(len(truth)) if groups is None else groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(group == unit) for unit in range(len(units))]
    turns = []
    for _ in range(_TURNS):
        rows = np.concatenate([members[unit] for unit in rng.integers(len(units), size=len(units))])
        turns.append(_picked(truth[rows], [said[rows] for said in judged.values()]))
    return dict(zip(judged, np.mean(turns, axis=0).tolist(), strict=True))


def _picked(truth: np.ndarray, judged: list[np.ndarray]) -> np.ndarray:
    """Shares of the picks at which the mean errs least."""
    picks, total = np.zeros(len(judged)), np.zeros_like(judged[0])
    best = (np.inf, picks)
    for number in range(1, _PICKS + 1):
        losses = [loss(truth, (total + said) / number) for said in judged]
        chosen = int(np.argmin(losses))
        picks, total = picks + np.eye(len(judged))[chosen], total + judged[chosen]
        if losses[chosen] < best[0]:
            best = losses[chosen], picks / number
    return best[1]


def mean_of(weights: Mapping[Name, float], said: Mapping[Name, np.ndarray]) -> np.ndarray:
    """The weighted mean of what the members say."""
    parts = [weight * said[name] for name, weight in weights.items() if weight > 0]
    return np.asarray(np.sum(parts, axis=0))


def sharpness(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Exponent that makes probabilities [n, K] of samples of known class truest (temperature scaling; Guo et al. 2017)."""

    def after(power: float) -> float:
        said = sharpened(probabilities, float(np.exp(power)))[np.arange(len(truth)), truth]
        return float(-np.log(said.clip(_SURE)).mean())

    return float(np.exp(minimize_scalar(after, bounds=(-2.5, 2.5), method="bounded").x))


def sharpened(probabilities: np.ndarray, power: float) -> np.ndarray:
    """Probabilities [n, K] to a power, adding up to 1 again."""
    return softmax(power * np.log(probabilities.clip(_SURE)), axis=1)
