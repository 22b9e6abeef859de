"""What models are compared by: the mean absolute error of a number, the area under the ROC curve of classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measure:
    """A score and how it is read.

    key: its name among the scores; label and title: short and in full; higher_is_better; difference: whether a gain is the
    difference of two scores (AUC), or the share of an error that is removed (MAE).
    """

    key: str
    label: str
    title: str
    higher_is_better: bool
    difference: bool

    def best(self, scores: dict[str, float]) -> str:
        """The name with the best score."""
        return (max if self.higher_is_better else min)(scores, key=lambda name: scores[name])

    def gain(self, score: np.ndarray | float, reference: np.ndarray | float) -> np.ndarray:
        """How much better a score is than a reference: the share of the error removed, or the difference."""
        if self.difference:
            return np.asarray(score) - reference
        # A reference without error cannot be bettered.
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1 - np.asarray(score) / reference

    def size(self, gain: float) -> str:
        """A gain as text, without its sign."""
        return f"{abs(gain):.3f}" if self.difference else f"{100 * abs(gain):.0f} %"

    def signed(self, gain: float) -> str:
        """A gain as text, with its sign."""
        return _signed(gain, 3) if self.difference else f"{_signed(100 * gain, 0)} %"

    def between(self, low: float, high: float) -> str:
        """The interval of a gain as text."""
        if not np.isfinite(low):
            return "unknown: too few groups"
        if self.difference:
            return f"{_signed(low, 3)} to {_signed(high, 3)}"
        return f"{_signed(100 * low, 0)} to {_signed(100 * high, 0)} %"

    def is_tie(self, gain: float) -> bool:
        """Whether a gain is none, as far as it is written."""
        return self.size(gain) == self.size(0.0)


def _signed(value: float, digits: int) -> str:
    """With its sign, and 0 without one."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else f"{0:.{digits}f}"


MAE = Measure("mae", "MAE", "mean absolute error", higher_is_better=False, difference=False)
AUC = Measure("auc", "AUC", "area under the ROC curve", higher_is_better=True, difference=True)
