"""The scale on which predictions are compared: numbers in the target's own unit, classes as log-odds."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from aam.study.targets import Target

# Of a probability: its logarithm must be a number.
_LEAST = 1e-30


def output_names(column: str, target: Target) -> tuple[str, ...]:
    """What the columns of predictions on this scale are: the number, or whose log-odds; of two classes those of the second."""
    if not target.classes:
        return (column,)
    said = target.classes[1:] if len(target.classes) == 2 else target.classes
    return tuple(f"log-odds of {name}" for name in said)


def unit_of(column: str, target: Target) -> str:
    """What the numbers are."""
    return "log-odds" if target.classes else f"units of {column}"


def of_predictions(predicted: np.ndarray) -> np.ndarray:
    """Decoded predictions, numbers [n] or class probabilities [n, K], on this scale, float64 [n, O]."""
    return predicted[:, None].astype(np.float64) if predicted.ndim == 1 else log_odds(np.log(predicted.clip(_LEAST)))


def log_odds(logs: np.ndarray) -> np.ndarray:
    """Logits, or logarithms of probabilities, [n, K] -> log-odds float64: of the second of two classes [n, 1], or of each class
    against all others together [n, K].
    """
    logs = logs.astype(np.float64)
    if logs.shape[1] == 2:
        return logs[:, 1:] - logs[:, :1]
    others = [np.delete(logs, k, axis=1) for k in range(logs.shape[1])]
    return logs - np.stack([logsumexp(other, axis=1) for other in others], axis=1)
