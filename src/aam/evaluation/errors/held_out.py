"""How wrong a model is about each held-out sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aam.evaluation.compare import Outcome
from aam.evaluation.coverage import in_folds
from aam.scoring.intervals import COVERAGE


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The n held-out samples of the first repeat.

    rows: of the study; unit: what counts once, as an id (a group, or the sample itself); truth and said: as in the outcome; error:
    how far a prediction is from the truth, or one less the probability of the true class; bias: prediction less truth, or of two
    classes the probability of the second less whether it is true, None for more; inside: 1 where the truth is in the 90 % interval
    or set, None where there are none. All [n].
    """

    rows: np.ndarray
    unit: np.ndarray
    truth: np.ndarray
    said: np.ndarray
    error: np.ndarray
    bias: np.ndarray | None
    inside: np.ndarray | None

    @classmethod
    def of(cls, outcome: Outcome, model: str) -> HeldOut:
        """As a model predicts them."""
        rows, truth, said = outcome.together(model)
        first = [part for fold, part in zip(outcome.folds, in_folds(outcome, model), strict=True) if fold.repeat == 0]
        inside, width = (np.concatenate(parts) for parts in zip(*first, strict=True))
        number = len(outcome.problem.target.classes)
        error = 1 - said[np.arange(len(said)), truth] if number else np.abs(said - truth)
        bias = {0: lambda: said - truth, 2: lambda: said[:, 1] - truth}.get(number, lambda: None)()
        known = inside.astype(float) if np.isfinite(width).all() else None
        return cls(rows, outcome.unit[rows], truth, said, error, bias, known)

    @property
    def of_classes(self) -> bool:
        """Whether classes are predicted."""
        return self.said.ndim == 2

    @property
    def promised(self) -> np.ndarray:
        """How often predictions should be right: probability of the class that is predicted, or coverage of intervals [n]."""
        return self.said.max(axis=1) if self.of_classes else np.full(len(self.said), COVERAGE)

    @property
    def kept(self) -> np.ndarray | None:
        """1 where a prediction is right: the class that is predicted, or the truth in the interval [n]; None without intervals."""
        return (self.said.argmax(axis=1) == self.truth).astype(float) if self.of_classes else self.inside

    @property
    def looked_at(self) -> dict[str, tuple[np.ndarray, ...]]:
        """What is compared between samples, by name: as it is, and beside what the truth alone says of it, [n] each.

        Every model pulls towards the middle, and errs more at the ends: a level whose truth is extreme is not wrong by itself.
        Where truth is given, predictions go with whatever the model reads: so neither is enough alone.
        """
        found: dict[str, tuple[np.ndarray, ...]] = {"error": (self.error, self._beside_truth(self.error))}
        if self.bias is not None:
            found["bias"] = (self.bias, self._beside_truth(self.bias))
        return found if self.inside is None else found | {"coverage": (self.inside,)}

    def _beside_truth(self, values: np.ndarray) -> np.ndarray:
        if self.of_classes:
            middle = {name: values[self.truth == name].mean() for name in np.unique(self.truth)}
            return values - np.array([middle[name] for name in self.truth])
        known = np.column_stack([np.ones(len(values)), self.truth, np.abs(self.truth - np.median(self.truth))])
        return values - known @ np.linalg.lstsq(known, values, rcond=None)[0]
