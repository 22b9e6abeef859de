"""Scores of held-out samples in original units, each beside what the trivial prediction scores.

What computes them is imported when they are asked for: a prediction of new samples has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch

# AUC of a prediction that is the same for all samples.
_CHANCE = 0.5
# What is said of the scores of trivial predictions where people read them.
BASELINES = {
    "median_mae": "mae of the baseline (median)",
    "majority_accuracy": "accuracy of the baseline (commonest class)",
    "mean_mse": "mse of the baseline (mean)",
}


def regression_scores(true: np.ndarray, predicted: np.ndarray, train_true: np.ndarray) -> dict[str, float]:
    """Errors in the target's units [N], and the error of always predicting the median of the training samples."""
    from scipy.stats import spearmanr
    from sklearn import metrics

    varied = len(true) > 1 and np.ptp(true) > 0
    return {
        "mae": float(metrics.mean_absolute_error(true, predicted)),
        "rmse": float(metrics.root_mean_squared_error(true, predicted)),
        "r2": float(metrics.r2_score(true, predicted)) if varied else float("nan"),
        "spearman": float(spearmanr(true, predicted).statistic) if varied and np.ptp(predicted) > 0 else float("nan"),
        "median_mae": float(metrics.mean_absolute_error(true, np.full(len(true), np.median(train_true)))),
    }


def distance_scores(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Recovery of distances [P]: Spearman, R2, Kruskal's stress-1, mse, and the mse of always predicting their mean."""
    from aam.scoring.streamed import PairedMetrics, spearman

    paired = PairedMetrics()
    points = torch.from_numpy(np.stack([predicted, true], axis=1))
    paired.update(points[:, 0], points[:, 1])
    values = {name: float(value) for name, value in paired.compute().items()}
    return {"spearman": float(spearman(points)), **{name: values[name] for name in ("r2", "stress", "mse", "mean_mse")}}


def no_better_than_trivial(scores: Mapping[str, float]) -> str | None:
    """A sentence where scores of held-out samples are no better than those of the trivial prediction beside them; else None."""
    pairs = {
        "mae": ("always predicting the median of the training samples", "MAE", scores.get("median_mae")),
        "mse": ("always predicting the mean of their distances", "MSE", scores.get("mean_mse")),
    }
    for name, (trivial, label, reached) in pairs.items():
        if name in scores and reached is not None and not scores[name] < reached:
            return _no_better(trivial, label, scores[name], reached)
    if "auc" in scores and scores["auc"] <= _CHANCE:
        return _no_better("the shares of the classes, as by chance", "AUC", scores["auc"], _CHANCE)
    # Without an AUC, where the held-out samples are of one class.
    if "accuracy" in scores and math.isnan(scores.get("auc", math.nan)) and scores["accuracy"] <= scores["majority_accuracy"]:
        return _no_better("always naming the commonest class", "accuracy", scores["accuracy"], scores["majority_accuracy"])
    return None


def _no_better(trivial: str, label: str, score: float, reached: float) -> str:
    return f"no better on held-out samples than {trivial}: {label} {score:.3g} against {reached:.3g}; do not rely on this model"
