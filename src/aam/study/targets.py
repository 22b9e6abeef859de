"""What is predicted: a number or a class. A target knows how its values become what models learn, and back, and how it is judged.

It is fitted to training samples only (`fit`), and kept in the model folder as JSON: ``dataclasses.asdict`` gives the JSON of each
class, and ``Class(**json)`` the object back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor
from torch.nn import functional as F

from aam.errors import InputError, first_few
from aam.options import BestMetric, LossType, TransformName
from aam.scoring.classes import class_scores
from aam.scoring.intervals import likely
from aam.scoring.measures import AUC, MAE, Measure
from aam.scoring.scores import regression_scores

# What a cell of a TSV can hold that other programs read too.
_CELL = re.compile("[^\x00-\x1f\x7f]*")
# Kinds as the model folder names them.
Kind = Literal["regression", "classification"]


@dataclass(frozen=True)
class RegressionTarget:
    """A number, scaled for training: ``(f(value) - shift) / scale`` with f = log1p for log-zscore, else the value itself."""

    transform: TransformName = "zscore"
    shift: float = 0.0
    scale: float = 1.0
    loss_type: LossType = "mae"

    kind: ClassVar[Kind] = "regression"
    measure: ClassVar[Measure] = MAE
    # What may choose the best epoch of a transformer; the first is the default.
    best_metrics: ClassVar[tuple[BestMetric, ...]] = ("mae", "rmse", "r2", "loss")
    classes: ClassVar[tuple[str, ...]] = ()
    outputs: ClassVar[int] = 1
    trivial_name: ClassVar[str] = "median"
    # Fields that a model folder must have: their defaults are those of a target that is not fitted.
    fitted: ClassVar[tuple[str, ...]] = ("transform", "shift", "scale")

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale {self.scale} of a target")

    def unscaled(self, truth: np.ndarray) -> RegressionTarget:
        """The same number, learned in original units, of whatever training samples."""
        return replace(self, transform="none")

    def fit(self, truth: np.ndarray) -> RegressionTarget:
        """The same scaled to the training samples' values, float [n]. InputError when they are all equal, or negative with
        log-zscore.
        """
        values = np.asarray(truth, dtype=np.float64)
        if values.min() == values.max():
            raise InputError(f"the target is {values[0]:g} in all {len(values)} training samples: there is nothing to learn")
        with np.errstate(over="ignore"):
            squares, deviation = float(np.square(values).sum()), float(values.std())
        if not (squares < np.inf and deviation > 0):
            raise InputError(f"the target is {values.min():g} to {values.max():g}, beyond what can be squared; take another unit")
        if self.transform == "none":
            return replace(self, shift=0.0, scale=1.0)
        if self.transform == "minmax":
            return replace(self, shift=float(values.min()), scale=float(np.ptp(values)))
        if self.transform == "log-zscore":
            values = _log1p(values)
        return replace(self, shift=float(values.mean()), scale=float(values.std()))

    def encode(self, values: Any) -> Any:
        """Original units -> training units; numpy array or torch tensor, any shape.

        InputError for log-zscore of an array with a negative value.
        """
        if self.transform == "log-zscore":
            values = _log1p(values)
        return (values - self.shift) / self.scale

    def decode(self, values: Any) -> Any:
        """Training units -> original units; numpy array or torch tensor, any shape."""
        values = values * self.scale + self.shift
        if self.transform != "log-zscore":
            return values
        return np.expm1(values) if isinstance(values, np.ndarray) else values.expm1()

    def learned(self, truth: np.ndarray) -> np.ndarray:
        """What a transformer learns, float32 [N]."""
        return self.encode(truth).astype(np.float32)

    def decode_outputs(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of a head [n, 1] -> original units, float64 [n]."""
        return self.decode(outputs[:, 0].astype(np.float64))

    def labels(self, truth: np.ndarray) -> None:
        """A number has no classes to be spread evenly over folds."""

    def loss(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Summed loss of outputs [B, 1] against training units [B]."""
        losses: dict[LossType, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}
        return losses[self.loss_type](predicted[:, 0].float(), true, reduction="sum")

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
        return {"lower": predicted - limit, "upper": predicted + limit}

    def interval_text(self, limit: float) -> str:
        """Prediction intervals as text."""
        return f"interval: +/- {limit:.3g}"

    def names(self, predicted: np.ndarray) -> np.ndarray:
        """What is written as the prediction: the number."""
        return predicted


def _log1p(values: Any) -> Any:
    # Tensors have the method, arrays the function, so torch is not needed here. A check of tensors would wait for the GPU.
    if not isinstance(values, np.ndarray):
        return values.log1p()
    if values.min(initial=0) < 0:
        raise InputError(f"target value {values.min():g} is negative: `target_transform=log-zscore` needs 0 or more; use zscore")
    return np.log1p(values)


@dataclass(frozen=True)
class ClassTarget:
    """Classes, sorted, and their balanced weights: n / (classes x members), so that the mean weight of the samples is 1.

    as_written: classes are known as they are in the file. Models of version 0.1.0 know numbers as people write them: 6, not 6.0.
    """

    classes: tuple[str, ...]
    weights: tuple[float, ...] = ()
    as_written: bool = False

    kind: ClassVar[Kind] = "classification"
    measure: ClassVar[Measure] = AUC
    best_metrics: ClassVar[tuple[BestMetric, ...]] = (
        "loss", "accuracy", "balanced_accuracy", "auc", "f1", "precision", "recall", "pr_auc", "brier", "ece",
    )  # fmt: skip
    trivial_name: ClassVar[str] = "class shares"
    fitted: ClassVar[tuple[str, ...]] = ("weights",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "weights", tuple(self.weights))

    @classmethod
    def of(cls, labels: Sequence[str] | np.ndarray) -> ClassTarget:
        """The classes that labels, str [N], have. InputError when there is one class only."""
        classes = np.unique(np.asarray(labels, dtype=object))
        if len(classes) < 2:
            raise InputError(f"the target is {first_few(classes)} in all {len(labels)} samples: there is nothing to learn")
        if odd := [str(name) for name in classes if not _CELL.fullmatch(str(name))]:
            raise InputError(f"class {first_few(odd)} holds a tab or a line break, which no table of predictions holds; rename it")
        return cls(tuple(map(str, classes)), as_written=True)

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def index(self, labels: Sequence[str] | np.ndarray) -> np.ndarray:
        """Labels -> indices into `classes`, int64 [N]. InputError for a class that is not among them."""
        index = {label: position for position, label in enumerate(self.classes)}
        if unseen := sorted(set(labels) - set(index)):
            raise InputError(f"class {first_few(unseen)} is not among the training samples' classes: {first_few(self.classes)}")
        return np.array([index[label] for label in labels], dtype=np.int64)

    def unscaled(self, truth: np.ndarray) -> ClassTarget:
        """Classes have no scale: fitted as ever."""
        return self.fit(truth)

    def fit(self, truth: np.ndarray) -> ClassTarget:
        """The same with the weights of the training samples, class ids [n]. InputError for a class that none of them has."""
        members = np.bincount(truth, minlength=self.outputs)
        if missing := [name for name, number in zip(self.classes, members, strict=True) if not number]:
            raise InputError(f"class {first_few(missing)} is not among the training samples; leave it out with `where`")
        return replace(self, weights=tuple(balanced_weights(truth, self.outputs).tolist()))

    def encode(self, truth: np.ndarray) -> np.ndarray:
        """Class ids are learned as they are."""
        return truth

    def decode(self, predicted: Any) -> Any:
        """Class probabilities are predictions as they are."""
        return predicted

    def learned(self, truth: np.ndarray) -> np.ndarray:
        """Class ids, int64 [N]."""
        return truth

    def decode_outputs(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of a head, logits [n, K] -> class probabilities, float64 [n, K]."""
        return softmax(outputs.astype(np.float64), axis=1)

    def labels(self, truth: np.ndarray) -> np.ndarray:
        """Names of class ids [N], which splits and folds spread evenly."""
        return np.array(self.classes, dtype=object)[np.asarray(truth)]

    def loss(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Summed loss of logits [B, K] against class ids [B], classes weighted alike."""
        # A GPU need not be waited for.
        weights = torch.tensor(self.weights, dtype=torch.float32).to(predicted.device, non_blocking=True)
        # Weighted, to be divided by the number of samples and not by the sum of weights, so that batches add up.
        return (F.cross_entropy(predicted.float(), true, reduction="none") * weights[true]).sum()

    def one_hot(self, truth: np.ndarray) -> np.ndarray:
        """Class ids [n] as probabilities [n, K]."""
        return np.eye(self.outputs)[truth]

    def nothing_said(self, n: int) -> np.ndarray:
        """Room for class probabilities of n samples."""
        return np.zeros((n, self.outputs))

    def trivial(self, truth: np.ndarray, n: int) -> np.ndarray:
        """The shares of the classes among training samples, for n samples."""
        return np.tile(self.one_hot(truth).mean(axis=0), (n, 1))

    def scores(self, true: np.ndarray, predicted: np.ndarray, train_true: np.ndarray) -> dict[str, float]:
        """See `class_scores`."""
        return class_scores(true, predicted, train_true)

    def interval_table(self, predicted: np.ndarray, limit: float) -> dict[str, np.ndarray]:
        """Column of the prediction sets: classes whose probability is at least 1 - `limit`, likeliest first."""
        sets = [";".join(self.classes[k] for k in likely(row, limit)) for row in predicted]
        return {"set": np.array(sets, dtype=object)}

    def interval_text(self, limit: float) -> str:
        """Prediction sets as text."""
        return f"set: the classes with a probability of at least {1 - limit:.3g}"

    def names(self, predicted: np.ndarray) -> np.ndarray:
        """What is written as the prediction: the likeliest class of probabilities [n, K]."""
        return self.labels(predicted.argmax(axis=1))


def balanced_weights(truth: np.ndarray, classes: int) -> np.ndarray:
    """Weights [K] with which classes of class ids [n] count alike, their mean over the samples being 1."""
    return len(truth) / (classes * np.bincount(truth, minlength=classes).clip(min=1))


Target = RegressionTarget | ClassTarget
KINDS: Mapping[str, type[RegressionTarget] | type[ClassTarget]] = {kind.kind: kind for kind in (RegressionTarget, ClassTarget)}
