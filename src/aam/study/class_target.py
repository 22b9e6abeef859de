"""Classes to predict: how they are weighted, learned and judged."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from aam.data.numbers import finite_number
from aam.errors import InputError, first_few
from aam.options import BestMetric
from aam.scoring.classes import class_scores
from aam.scoring.intervals import likely
from aam.scoring.measures import AUC, Measure
from aam.study.losses import CLASS_LOSSES, ClassLossType, of_ordered

# What a cell of a TSV can hold that other programs read too.
_CELL = re.compile("[^\x00-\x1f\x7f]*")
Weighting = Literal["balanced", "none", "given"]


@dataclass(frozen=True)
class ClassTarget:
    """Classes, sorted or in the order that is learned, and their weights, whose mean over the samples is 1.

    as_written: classes are known as they are in the file. Models of version 0.1.0 know numbers as people write them: 6, not 6.0.
    weighting: balanced weights are n / (classes x members); given ones are multiples of `given`; loss_type: ordinal learns that the
    classes have an order; commonest: the class of most training samples, None for models that do not say.
    """

    classes: tuple[str, ...]
    weights: tuple[float, ...] = ()
    as_written: bool = False
    weighting: Weighting = "balanced"
    given: tuple[float, ...] = ()
    loss_type: ClassLossType = "cross_entropy"
    commonest: int | None = None

    kind: ClassVar[Literal["classification"]] = "classification"
    measure: ClassVar[Measure] = AUC
    best_metrics: ClassVar[tuple[BestMetric, ...]] = (
        "loss", "accuracy", "balanced_accuracy", "auc", "f1", "precision", "recall", "pr_auc", "brier", "ece",
    )  # fmt: skip
    trivial_name: ClassVar[str] = "class shares"
    # The truth of a sample without a value, where several targets are learned together.
    missing: ClassVar[int] = -1
    fitted: ClassVar[tuple[str, ...]] = ("weights",)

    def __post_init__(self) -> None:
        for name in ("classes", "weights", "given"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.weighting == "given" and len(self.given) != len(self.classes):
            raise ValueError(f"{len(self.given)} weights of {len(self.classes)} classes")

    @classmethod
    def of(cls, labels: Sequence[str] | np.ndarray) -> ClassTarget:
        """The classes that labels, str [N], have. InputError when there is one class only."""
        classes = np.unique(np.asarray(labels, dtype=object))
        if len(classes) < 2:
            raise InputError(f"the target is {first_few(classes)} in all {len(labels)} samples: there is nothing to learn")
        if odd := [str(name) for name in classes if not _CELL.fullmatch(str(name))]:
            raise InputError(f"class {first_few(odd)} holds a tab or a line break, which no table of predictions holds; rename it")
        return cls(tuple(map(str, classes)), as_written=True)

    def weighted(self, given: Mapping[str, float]) -> ClassTarget:
        """The same with weights by hand, 1 for a class without. InputError for an unknown class."""
        self._require_known("class_weights", given)
        return replace(self, weighting="given", given=tuple(float(given.get(name, 1.0)) for name in self.classes))

    def ordered(self, order: Sequence[str] = ()) -> ClassTarget:
        """The same, learned as ordered classes: in the order given, else that of numbers. InputError where neither is there."""
        if not order:
            values = {name: finite_number(name) for name in self.classes}
            if None in values.values():
                raise InputError(f"classes {first_few(self.classes)} are no numbers: `loss_type=ordinal` needs their `class_order`")
            order = sorted(self.classes, key=lambda name: values[name] or 0.0)
        self._require_known("class_order", order)
        if missing := [name for name in self.classes if name not in order]:
            raise InputError(f"`class_order` lacks class {first_few(missing)}: name every class")
        if len(order) > len(set(order)):
            raise InputError("`class_order` names a class twice")
        return replace(self, classes=tuple(order), loss_type="ordinal")

    def _require_known(self, option: str, names: Collection[str]) -> None:
        if unknown := [name for name in names if name not in self.classes]:
            raise InputError(f"`{option}`: class {first_few(unknown)} is not there; classes: {first_few(self.classes)}")

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
        return replace(self, weights=tuple(self.weights_of(truth).tolist()), commonest=int(members.argmax()))

    def weights_of(self, truth: np.ndarray) -> np.ndarray:
        """Weights [K] of class ids [n], whose mean over the samples is 1."""
        if self.weighting == "balanced":
            # Classes count alike.
            return len(truth) / (self.outputs * np.bincount(truth, minlength=self.outputs).clip(min=1))
        given = np.array(self.given) if self.weighting == "given" else np.ones(self.outputs)
        return given / given[truth].mean()

    def weights_for_sklearn(self, truth: np.ndarray) -> Any:
        """The same as scikit-learn takes them (`class_weight`)."""
        if self.weighting == "given":
            weights = self.weights_of(truth)
            return {int(k): float(weights[k]) for k in np.unique(truth)}
        return "balanced" if self.weighting == "balanced" else None

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
        """Outputs of a head [n, O] -> class probabilities, float64 [n, K]."""
        outputs = outputs.astype(np.float64)
        return softmax(self.logits(torch.from_numpy(outputs)).numpy() if self.loss_type == "ordinal" else outputs, axis=1)

    @property
    def head_outputs(self) -> int:
        """Outputs of a transformer's head: one for each class, or for each step from one ordered class to the next."""
        return self.outputs - (self.loss_type == "ordinal")

    @property
    def head_steps(self) -> int:
        """How many of them, the last ones, are the same for every sample: distances between the steps."""
        return self.outputs - 2 if self.loss_type == "ordinal" else 0

    def logits(self, raw: Tensor) -> Tensor:
        """Outputs of a head [..., O] -> logits of the classes [..., K]."""
        return of_ordered(raw) if self.loss_type == "ordinal" else raw

    def labels(self, truth: np.ndarray) -> np.ndarray:
        """Names of class ids [N], which splits and folds spread evenly; None for -1, a missing value."""
        return np.array([*self.classes, None], dtype=object)[np.asarray(truth)]

    def known(self, truth: np.ndarray) -> np.ndarray:
        """Which samples have a value, bool [N]."""
        return truth >= 0

    def losses(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Loss of each sample [B], weighted by class, of outputs [B, O] against class ids [B]."""
        # A GPU need not be waited for.
        weights = torch.tensor(self.weights, dtype=torch.float32).to(predicted.device, non_blocking=True)
        # Weighted, to be divided by the number of samples and not by the sum of weights, so that batches add up.
        return CLASS_LOSSES[self.loss_type](predicted.float(), true) * weights[true]

    def loss(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Their sum."""
        return self.losses(predicted, true).sum()

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

    def quantile_table(self, found: np.ndarray) -> dict[str, np.ndarray]:
        """Classes have no quantiles."""
        return {}

    def names(self, predicted: np.ndarray) -> np.ndarray:
        """What is written as the prediction: the likeliest class of probabilities [n, K]."""
        return self.labels(predicted.argmax(axis=1))
