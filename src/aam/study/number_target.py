"""A number to predict: how it is scaled, learned, kept within a range, and judged."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from aam.errors import InputError
from aam.options import (
    DEFAULT_QUANTILES,
    BestMetric,
    LossType,
    TransformName,
    check_loss,
    check_quantiles,
    check_range,
)
from aam.scoring.measures import MAE, Measure
from aam.scoring.scores import regression_scores
from aam.study.levels import Levels
from aam.study.losses import NUMBER_LOSSES, bounded, in_order, rates


@dataclass(frozen=True)
class RegressionTarget:
    """A number, scaled for training: ``(f(value) - shift) / scale`` with f = log1p for log-zscore and log-minmax, else the
    value itself.

    loss_type: of a transformer; asymmetry: with that loss, the level of the quantile that is predicted; quantiles: levels of what
    is predicted beside the number, rising, with 0.5 among them; low, high: ends of a range that nothing predicted leaves;
    levels: of a metadata column, for zscore-within: all but `placed` is about numbers as they would be in the average level.
    """

    transform: TransformName = "zscore"
    shift: float = 0.0
    scale: float = 1.0
    loss_type: LossType = "mae"
    quantiles: tuple[float, ...] = ()
    asymmetry: float = 0.5
    low: float | None = None
    high: float | None = None
    levels: Levels | None = None

    kind: ClassVar[Literal["regression"]] = "regression"
    measure: ClassVar[Measure] = MAE
    # What may choose the best epoch of a transformer; the first is the default.
    best_metrics: ClassVar[tuple[BestMetric, ...]] = ("mae", "rmse", "r2", "loss")
    classes: ClassVar[tuple[str, ...]] = ()
    outputs: ClassVar[int] = 1
    head_steps: ClassVar[int] = 0
    trivial_name: ClassVar[str] = "median"
    # The truth of a sample without a value, where several targets are learned together.
    missing: ClassVar[float] = math.nan
    # Fields that a model folder must have: their defaults are those of a target that is not fitted.
    fitted: ClassVar[tuple[str, ...]] = ("transform", "shift", "scale")

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale {self.scale} of a target")
        levels = tuple(self.quantiles) or (DEFAULT_QUANTILES if self.loss_type == "quantile" else ())
        object.__setattr__(self, "quantiles", check_quantiles(levels) if levels else ())
        check_range(self.low, self.high)
        check_loss(self.loss_type, self.transform)

    def unscaled(self, truth: np.ndarray) -> RegressionTarget:
        """The same number, learned in original units, of whatever training samples."""
        return replace(self, transform="none")

    def fit(self, truth: np.ndarray) -> RegressionTarget:
        """The same scaled to the training samples' values, float [n]. InputError when they are all equal, or negative with a
        logarithm.
        """
        values = np.asarray(truth, dtype=np.float64)
        self.require(values)
        if values.min() == values.max():
            raise InputError(f"the target is {values[0]:g} in all {len(values)} training samples: there is nothing to learn")
        with np.errstate(over="ignore"):
            squares, deviation = float(np.square(values).sum()), float(values.std())
        if not (squares < np.inf and deviation > 0):
            raise InputError(f"the target is {values.min():g} to {values.max():g}, beyond what can be squared; take another unit")
        if self.transform == "none":
            # A rate whose logarithm is 0 is the mean.
            return replace(self, shift=0.0, scale=float(values.mean()) if self.loss_type == "poisson" else 1.0)
        if self._is_log:
            values = self._log1p(values)
        if self.transform.endswith("minmax"):
            return replace(self, shift=float(values.min()), scale=float(np.ptp(values)))
        return replace(self, shift=float(values.mean()), scale=float(values.std()))

    def require(self, truth: np.ndarray) -> None:
        """InputError for numbers outside the range, and with the Poisson loss for numbers that are no counts."""
        if len(outside := truth[truth != self.within(truth)]):
            ends = ",".join("" if end is None else f"{end:g}" for end in (self.low, self.high))
            raise InputError(
                f"target value {outside[0]:g} is outside of `output_range={ends}`; give a wider range, or leave it out"
            )
        if self.loss_type == "poisson" and len(wrong := truth[(truth < 0) | (truth != np.round(truth))]):
            raise InputError(
                f"target value {wrong[0]:g} is no count: `loss_type=poisson` needs whole numbers from 0; take another loss"
            )

    def within(self, values: Any) -> Any:
        """Values in original units, cut off at the ends of the range; numpy array or torch tensor."""
        return values if self.low is None and self.high is None else values.clip(self.low, self.high)

    def encode(self, values: Any) -> Any:
        """Original units -> training units; numpy array or torch tensor, any shape.

        InputError for the logarithm of an array with a negative value.
        """
        if self._is_log:
            values = self._log1p(values)
        return (values - self.shift) / self.scale

    def decode(self, values: Any) -> Any:
        """Training units -> original units, within the range; numpy array or torch tensor, any shape."""
        values = values * self.scale + self.shift
        if self._is_log:
            values = np.expm1(values) if isinstance(values, np.ndarray) else values.expm1()
        return values if self.levels else self.within(values)

    def in_levels(self, truth: np.ndarray, labels: np.ndarray) -> RegressionTarget:
        """The same, fitted to the levels [n] of training samples, too."""
        return replace(self, levels=self.levels and self.levels.fit(truth, labels))

    def placed(self, values: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Decoded predictions [n], or quantiles [n, Q] -> numbers of samples of these levels [n], within the range."""
        return self.within(self.levels.from_common(values, labels)) if self.levels else values

    @property
    def _is_log(self) -> bool:
        return self.transform.startswith("log")

    def _log1p(self, values: Any) -> Any:
        # Tensors have the method, arrays the function, so torch is not needed here. A check of tensors would wait for the GPU.
        if not isinstance(values, np.ndarray):
            return values.log1p()
        if np.nanmin(values, initial=0) < 0:
            raise InputError(
                f"target value {np.nanmin(values):g} is negative: `target_transform={self.transform}` needs 0 or more; use zscore"
            )
        return np.log1p(values)

    @property
    def learns_quantiles(self) -> bool:
        """Whether a transformer learns them."""
        return self.loss_type == "quantile"

    @property
    def head_outputs(self) -> int:
        """Outputs of a transformer's head: one for each quantile that it learns."""
        return len(self.quantiles) if self.learns_quantiles else 1

    @property
    def _middle(self) -> int:
        """Which of the outputs is the prediction."""
        return self.quantiles.index(0.5) if self.learns_quantiles else 0

    def units(self, raw: Tensor) -> Tensor:
        """Outputs of a head [..., O] -> training units [..., O], within the range; quantiles rise."""
        # Levels have other ends each: these are cut off at.
        low, high = (None if end is None or self.levels else self._end(end) for end in (self.low, self.high))
        if self.loss_type == "poisson":
            raw, low = rates(raw), low if low is not None and low > 0 else None
        return bounded(in_order(raw, self._middle), low, high)

    def said(self, raw: Tensor) -> Tensor:
        """Outputs of a head [..., O] -> the prediction in training units [..., 1]."""
        return self.units(raw)[..., self._middle : self._middle + 1]

    def _end(self, end: float) -> float | None:
        """An end of the range in training units; None for one that the transform cannot pass."""
        if self._is_log:
            return (math.log1p(end) - self.shift) / self.scale if end > -1 else None
        return (end - self.shift) / self.scale

    def learned(self, truth: np.ndarray) -> np.ndarray:
        """What a transformer learns, float32 [N]."""
        return self.encode(truth).astype(np.float32)

    def decode_outputs(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of a head [n, O] -> predictions in original units, float64 [n]."""
        return self.decode(self.said(torch.from_numpy(outputs.astype(np.float64))).numpy()[:, 0])

    def decode_quantiles(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of a head that learns quantiles [n, Q] -> these in original units, float64 [n, Q]."""
        return self.decode(self.units(torch.from_numpy(outputs.astype(np.float64))).numpy())

    def labels(self, truth: np.ndarray) -> None:
        """A number has no classes to be spread evenly over folds."""

    def losses(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Loss of each sample [B], of outputs [B, O] against training units [B]."""
        levels = self.quantiles if self.learns_quantiles else (self.asymmetry,)
        return NUMBER_LOSSES[self.loss_type](self.units(predicted.float()), true, levels)

    def loss(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Their sum."""
        return self.losses(predicted, true).sum()

    def known(self, truth: np.ndarray) -> np.ndarray:
        """Which samples have a value, bool [N]."""
        return ~np.isnan(truth)

    def weights_for_sklearn(self, truth: np.ndarray) -> None:
        """A number has no classes to be weighted."""

    def nothing_said(self, n: int) -> np.ndarray:
        """Room for predictions of n samples."""
        return np.zeros(n)

    def trivial(self, truth: np.ndarray, n: int) -> np.ndarray:
        """The median of training samples, for n samples."""
        return np.full(n, np.median(truth))

    def scores(self, true: np.ndarray, predicted: np.ndarray, train_true: np.ndarray) -> dict[str, float]:
        """See `regression_scores`."""
        return regression_scores(true, predicted, train_true)

    def interval_table(self, predicted: np.ndarray, limit: float) -> dict[str, np.ndarray]:
        """Columns of the prediction intervals whose half width is `limit`."""
        return {"lower": self.within(predicted - limit), "upper": self.within(predicted + limit)}

    def quantile_table(self, found: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of quantiles [n, Q] but for the median, which is the prediction."""
        return {f"q{level:g}": found[:, place] for place, level in enumerate(self.quantiles) if level != 0.5}

    def interval_text(self, limit: float) -> str:
        """Prediction intervals as text."""
        return f"interval: +/- {limit:.3g}"

    def names(self, predicted: np.ndarray) -> np.ndarray:
        """What is written as the prediction: the number."""
        return predicted
