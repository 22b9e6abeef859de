"""How much each member counts, and how sure they are together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import logsumexp, softmax

_SURE = 1e-6
# Towards leaving probabilities as they are, for few samples.
_PULL = 0.1

Name = TypeVar("Name", bound=str)


def loss(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error of numbers [n], or the log loss of class probabilities [n, K]."""
    if predicted.ndim == 1:
        return float(np.abs(truth - predicted).mean())
    return float(-np.log(predicted[np.arange(len(truth)), truth].clip(_SURE, 1)).mean())


def choose_weights(truth: np.ndarray, judged: Mapping[Name, np.ndarray], trivial: np.ndarray) -> dict[Name, float]:
    """Weights of the members, which add up to 1, by what each said of samples [n] that it did not learn from; trivial: what one
    would say without any microbes.

    All that beat the trivial prediction count alike (all, where none does). With a few dozen groups nothing tells two useful
    members apart reliably, and weights that try to are worse on new groups: `EXPERIMENTS.md` has the numbers.
    """
    least = loss(truth, trivial)
    useful = [name for name, said in judged.items() if loss(truth, said) < least] or list(judged)
    return {name: (name in useful) / len(useful) for name in judged}


def mean_of(weights: Mapping[Name, float], said: Mapping[Name, np.ndarray]) -> np.ndarray:
    """The weighted mean of what the members say."""
    parts = [weight * said[name] for name, weight in weights.items() if weight > 0]
    return np.asarray(np.sum(parts, axis=0))


@dataclass(frozen=True)
class Calibration:
    """What makes class probabilities true: a power for how sure they are, and for each class a bias, since members weigh rare and
    common classes alike (bias-corrected temperature scaling; Alexandari et al. 2020, arXiv 1901.06852).
    """

    power: float
    biases: tuple[float, ...]

    @classmethod
    def fit(cls, truth: np.ndarray, probabilities: np.ndarray) -> Calibration:
        """Fit to probabilities [n, K] of samples of known class that were not training samples."""
        logs = np.log(probabilities.clip(_SURE))
        classes = logs.shape[1]

        def wrong(found: np.ndarray) -> float:
            logits = np.exp(found[0]) * logs + found[1:]
            penalty = _PULL * (found @ found) / len(truth)
            return float((logsumexp(logits, axis=1) - logits[np.arange(len(truth)), truth]).mean() + penalty)

        from scipy.optimize import minimize

        found = minimize(wrong, np.zeros(1 + classes), method="L-BFGS-B", bounds=[(-3.0, 3.0), *[(-6.0, 6.0)] * classes]).x
        return cls(float(np.exp(found[0])), tuple((found[1:] - found[1:].mean()).tolist()))

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities [n, K], adding up to 1 again."""
        return softmax(self.power * np.log(probabilities.clip(_SURE)) + np.array(self.biases), axis=1)
