"""Scores of held-out samples in original units, each beside what the trivial prediction scores."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn import metrics

from aam.scoring.streamed import PairedMetrics, spearman


def regression_scores(true: np.ndarray, predicted: np.ndarray, train_true: np.ndarray) -> dict[str, float]:
    """Errors in the target's units [N], and the error of always predicting the median of the training samples."""
    varied = len(true) > 1 and np.ptp(true) > 0
    return {
        "mae": float(metrics.mean_absolute_error(true, predicted)),
        "rmse": float(metrics.root_mean_squared_error(true, predicted)),
        "r2": float(metrics.r2_score(true, predicted)) if varied else float("nan"),
        "spearman": float(spearmanr(true, predicted).statistic) if varied and np.ptp(predicted) > 0 else float("nan"),
        "median_mae": float(metrics.mean_absolute_error(true, np.full(len(true), np.median(train_true)))),
    }


def class_scores(true: np.ndarray, probabilities: np.ndarray, train_true: np.ndarray) -> dict[str, float]:
    """Scores of class probabilities [N, K] against class ids [N], and of always naming the training samples' commonest class.

    AUC is one class against the rest, averaged over the classes; NaN when a class is absent from `true`.
    """
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    present = np.unique(true)
    complete = len(present) == classes
    ranked = probabilities[:, 1] if classes == 2 else probabilities
    commonest = np.bincount(train_true, minlength=classes).argmax()
    return {
        "accuracy": float(metrics.accuracy_score(true, predicted)),
        # The mean of recalls by hand: scikit-learn warns where a class is predicted that does not occur.
        "balanced_accuracy": float(np.mean([(predicted[true == k] == k).mean() for k in present])),
        "auc": float(metrics.roc_auc_score(true, ranked, multi_class="ovr")) if complete else float("nan"),
        "log_loss": float(metrics.log_loss(true, probabilities, labels=range(classes))),
        "majority_accuracy": float((true == commonest).mean()),
    }


def distance_scores(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Recovery of distances [P]: Spearman, R2, Kruskal's stress-1, mse, and the mse of always predicting their mean."""
    paired = PairedMetrics()
    points = torch.from_numpy(np.stack([predicted, true], axis=1))
    paired.update(points[:, 0], points[:, 1])
    values = {name: float(value) for name, value in paired.compute().items()}
    return {"spearman": float(spearman(points)), **{name: values[name] for name in ("r2", "stress", "mse", "mean_mse")}}
