"""Linear models of the known ASVs: which are there, or their centred log-ratios."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse
from scipy.special import softmax

View = Literal["presence", "ratio"]
_PENALTIES = tuple(10.0**power for power in range(-3, 4))
# Of a doubted probability, so that one of exactly 0 does not outweigh everything else.
_DOUBT = 0.02
# A logit of what is never said.
_NEVER = 50.0


def centred_log_ratio(shares: np.ndarray) -> np.ndarray:
    """CLR (Aitchison 1982) of shares [n, M], where 0 counts as half of the sample's smallest share."""
    smallest = np.where(shares > 0, shares, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    logs = np.log(np.where(shares > 0, shares, np.where(np.isfinite(smallest), smallest, 1.0) / 2))
    return logs - logs.mean(axis=1, keepdims=True) if logs.shape[1] else logs


def seen_by(view: View, shares: sparse.csr_array, kept: np.ndarray) -> np.ndarray:
    """What a model sees of the ASVs `kept`, float32 [n, kept], of shares CSR [n, known]."""
    x = shares[:, kept].toarray()
    return (np.sign(x) if view == "presence" else centred_log_ratio(x)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Fitted. kept: int64, the ASVs that are looked at; weights: float64 [kept + K, outputs], of these and of covariates; shift:
    float64 [outputs].
    """

    kept: np.ndarray
    weights: np.ndarray
    shift: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Of what the model sees, [n, kept + K]: numbers [n], or class probabilities."""
        said = x.astype(np.float64) @ self.weights + self.shift
        return said[:, 0] if said.shape[1] == 1 else softmax(said, axis=1)


def fit_linear(
    x: np.ndarray, kept: np.ndarray, truth: np.ndarray, classes: int | None, penalty: float, weights: Any = "balanced"
) -> LinearModel:
    """Ridge regression, or logistic regression of classes whose `weights` are as scikit-learn takes them; x [n, kept + K]:
    covariates stand last, and together weigh as much in the penalty as all ASVs do.
    """
    middle = x.mean(axis=0, dtype=np.float64)
    scale = np.ones(x.shape[1])
    scale[len(kept) :] = covariate_scale(x[:, : len(kept)], x[:, len(kept) :])
    model = _unfitted(classes, penalty, weights)
    with warnings.catch_warnings():
        # One that stops before its optimum is judged by what it predicts, as all are.
        warnings.filterwarnings("ignore", message="lbfgs failed to converge")
        model.fit((x - middle.astype(np.float32)) * scale.astype(np.float32), truth)
    slopes, shift = np.atleast_2d(model.coef_).astype(np.float64) * scale, np.atleast_1d(model.intercept_).astype(np.float64)
    if classes is not None:
        slopes, shift = _of_all_classes(slopes, shift, model.classes_, classes)
    # As it is when it is loaded, so that it rounds the same.
    return LinearModel(kept, np.ascontiguousarray(slopes.T), shift - middle @ slopes.T)


def covariate_scale(x: np.ndarray, design: np.ndarray) -> float:
    """What covariates [n, K] are multiplied by, so that their variances add up to those of other columns, x [n, M]."""
    whole, part = (float(columns.var(axis=0, dtype=np.float64).sum()) for columns in (x, design))
    return float(np.sqrt(whole / part)) if whole > 0 and part > 0 else 1.0


def choose_penalty(
    x: np.ndarray,
    truth: np.ndarray,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    classes: int | None,
    covariates: int = 0,
    weights: Any = "balanced",
) -> float:
    """The penalty with the least loss on parts of the samples, (learn, judge); covariates: how many columns these are, the last."""
    kept = np.arange(x.shape[1] - covariates)
    # Of one class nothing is learned.
    known = [(learn, judge) for learn, judge in parts if classes is None or len(set(truth[learn])) > 1]

    def loss(penalty: float) -> float:
        models = [(fit_linear(x[learn], kept, truth[learn], classes, penalty, weights), judge) for learn, judge in known]
        return sum(_loss(truth[judge], model.predict(x[judge])) for model, judge in models)

    return min(_PENALTIES, key=loss) if known else 1.0


def _unfitted(classes: int | None, penalty: float, weights: Any) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    if classes is None:
        return Ridge(alpha=100 * penalty)
    return LogisticRegression(C=1 / penalty, max_iter=1000, class_weight=weights)


def _of_all_classes(weights: np.ndarray, shift: np.ndarray, learned: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of all classes: of two, one half of what parts them for each; those that the samples lack are never said."""
    if len(weights) == 1:
        weights, shift = np.concatenate([-weights, weights]) / 2, np.concatenate([-shift, shift]) / 2
    all_weights, all_shift = np.zeros((classes, weights.shape[1])), np.full(classes, -_NEVER)
    all_weights[learned], all_shift[learned] = weights, shift
    return all_weights, all_shift


def _loss(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Summed absolute error, or log loss of classes that count alike."""
    if predicted.ndim == 1:
        return float(np.abs(truth - predicted).sum())
    members = np.bincount(truth, minlength=predicted.shape[1]).clip(min=1)
    doubted = (1 - _DOUBT) * predicted + _DOUBT / predicted.shape[1]
    return float((-np.log(doubted[np.arange(len(truth)), truth]) * len(truth) / members[truth]).sum())
