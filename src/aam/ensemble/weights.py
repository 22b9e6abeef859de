"""How much each member counts, and how sure they are together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

_SURE = 1e-6

Name = TypeVar("Name", bound=str)


def loss(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error of numbers [n], or of class probabilities [n, K] the log loss with classes weighted alike."""
    if predicted.ndim == 1:
        return float(np.abs(truth - predicted).mean())
    members = np.bincount(truth, minlength=predicted.shape[1]).clip(min=1)
    said = predicted[np.arange(len(truth)), truth].clip(_SURE, 1)
    return float(np.average(-np.log(said), weights=1 / members[truth]))


def choose_weights(truth: np.ndarray, judged: Mapping[Name, np.ndarray]) -> dict[Name, float]:
    """Weights of the members, which add up to 1, by what each said of samples [n] that it did not learn from.

    All that beat the trivial prediction count alike (all, where none does). With a few dozen groups nothing tells two useful
    members apart reliably, and weights that try to are worse on new groups: `EXPERIMENTS.md` has the numbers.
    """
    some = next(iter(judged.values()))
    trivial = np.full(len(truth), np.median(truth)) if some.ndim == 1 else np.full_like(some, 1 / some.shape[1])
    least = loss(truth, trivial)
    useful = [name for name, said in judged.items() if loss(truth, said) < least] or list(judged)
    return {name: (name in useful) / len(useful) for name in judged}


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
