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
    "held_out_majority_accuracy": "held_out_accuracy of the baseline (commonest taxon)",
    "unseen_majority_accuracy": "unseen_accuracy of the baseline (commonest taxon)",
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


def no_better_than_trivial(title: str, scores: Mapping[str, float]) -> str | None:
    """A sentence where scores of held-out samples are no better than those of the trivial prediction beside them; else None.

    title: what was predicted, with which the sentence begins.
    """
    pairs = {
        "mae": ("always predicting the median of the training samples", "median_mae"),
        "mse": ("always predicting their mean", "mean_mse"),
    }
    for name, (trivial, baseline) in pairs.items():
        if name in scores and baseline in scores and not scores[name] < scores[baseline]:
            return _no_better(title, trivial, name.upper(), scores[name], scores[baseline])
    if "auc" in scores and scores["auc"] <= _CHANCE:
        return _no_better(title, "the shares of the classes, as by chance", "AUC", scores["auc"], _CHANCE)
    # Without an AUC, where the held-out samples are of one class.
    if "accuracy" in scores and math.isnan(scores.get("auc", math.nan)) and scores["accuracy"] <= scores["majority_accuracy"]:
        return _no_better(title, "always naming the commonest class", "accuracy", scores["accuracy"], scores["majority_accuracy"])
    return _no_better_of_asvs(title, scores)


def _no_better_of_asvs(title: str, scores: Mapping[str, float]) -> str | None:
    """The same of taxa, on ASVs that no training sample has, where held-out samples have some."""
    parts = {"unseen": "ASVs that no training sample has", "held_out": "the ASVs of held-out samples"}
    part = next((part for part in parts if f"{part}_accuracy" in scores), None)
    if part is None or scores[f"{part}_accuracy"] > scores[f"{part}_majority_accuracy"]:
        return None
    reached = (scores[f"{part}_accuracy"], scores[f"{part}_majority_accuracy"])
    return _no_better(title, "always naming the commonest taxon", "accuracy", *reached, on=parts[part])


def _no_better(title: str, trivial: str, label: str, score: float, reached: float, on: str = "held-out samples") -> str:
    return f"{title}: no better on {on} than {trivial}: {label} {score:.3g} against {reached:.3g}; do not rely on it"
