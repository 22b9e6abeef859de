"""What makes the mean of members true: of class probabilities, and of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, softmax

SURE = 1e-6
# Towards leaving probabilities as they are, for few samples.
_PULL = 0.1
_MOST_STRETCH, _STRETCH_STEP = 1.5, 0.05


@dataclass(frozen=True)
class Stretch:
    """What makes the mean of several members differ as much as the truth does: it is nearer to the middle than each of them is. In
    noise, it is the middle that errs least.
    """

    middle: float
    factor: float

    @classmethod
    def fit(cls, truth: np.ndarray, predicted: np.ndarray) -> Stretch:
        """Fit to predictions [n] of samples of known truth [n] that were not training samples."""
        middle = float(np.median(truth))
        factors = np.linspace(0, _MOST_STRETCH, 1 + round(_MOST_STRETCH / _STRETCH_STEP))
        errors = [np.abs(truth - middle - factor * (predicted - middle)).mean() for factor in factors]
        return cls(middle, float(factors[int(np.argmin(errors))]))

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """Predictions [n]."""
        return self.middle + self.factor * (predicted - self.middle)


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
        logs = np.log(probabilities.clip(SURE))
        classes = logs.shape[1]

        def wrong(found: np.ndarray) -> float:
            logits = np.exp(found[0]) * logs + found[1:]
            penalty = _PULL * (found @ found) / len(truth)
            return float((logsumexp(logits, axis=1) - logits[np.arange(len(truth)), truth]).mean() + penalty)

        from scipy.optimize import minimize

        found = minimize(wrong, np.zeros(1 + classes), method="L-BFGS-B", bounds=[(-3.0, 3.0), *[(-6.0, 6.0)] * classes]).x
        return cls(float(np.exp(found[0])), tuple((found[1:] - found[1:].mean()).tolist()))

    @classmethod
    def shares(cls, truth: np.ndarray, classes: int) -> Calibration:
        """Of probabilities that say nothing: the shares of the classes, whatever they are."""
        logs = np.log(np.bincount(truth, minlength=classes).clip(min=0.5))
        return cls(0.0, tuple((logs - logs.mean()).tolist()))

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities [n, K], adding up to 1 again."""
        return softmax(self.power * np.log(probabilities.clip(SURE)) + np.array(self.biases), axis=1)
