"""Which UniFrac is asked for."""

from __future__ import annotations

from typing import get_args

from aam.options import UniFracMetric


def metric_of(metric: UniFracMetric, alpha: float) -> UniFracMetric:
    """The metric, weighted_normalized for generalized with alpha 1. ValueError for what is no UniFrac metric."""
    if metric not in get_args(UniFracMetric) or not 0.0 <= alpha <= 1.0:
        raise ValueError(f"{metric!r} with alpha {alpha} is no UniFrac metric")
    return "weighted_normalized" if metric == "generalized" and alpha == 1.0 else metric
