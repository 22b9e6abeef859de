"""How wrong a model is about each held-out sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aam.ensemble.calibration import Calibration
from aam.evaluation.compare import Outcome
from aam.evaluation.coverage import fold_thresholds, in_folds, sets_of
from aam.scoring.intervals import COVERAGE


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The n held-out samples of the first repeat.

    rows: of the study; unit: what counts once, as an id (a group, or the sample itself); truth and said: as in the outcome; error:
    how far a prediction is from the truth, or one less the probability of the true class; bias: prediction less truth, or of two
    classes the probability of the second less whether it is true, None for more; inside: 1 where the truth is in the 90 % interval
    or set, None where there are none; true: probabilities of classes once they are true of all samples together, and sets: whether
    a class is in the set of a sample, [n, K], None of numbers. All others [n].
    """

    rows: np.ndarray
    unit: np.ndarray
    truth: np.ndarray
    said: np.ndarray
    error: np.ndarray
    bias: np.ndarray | None
    inside: np.ndarray | None
    true: np.ndarray | None = None
    sets: np.ndarray | None = None

    @classmethod
    def of(cls, outcome: Outcome, model: str) -> HeldOut:
        """As a model predicts them."""
        rows, truth, said = outcome.together(model)
        first = [number for number, fold in enumerate(outcome.folds) if fold.repeat == 0]
        covered = in_folds(outcome, model)
        inside, width = (np.concatenate([covered[number][part] for number in first]) for part in (0, 1))
        known = inside.astype(float) if np.isfinite(width).all() else None
        if not outcome.problem.target.classes:
            return cls(rows, outcome.unit[rows], truth, said, np.abs(said - truth), said - truth, known)
        error, bias = 1 - said[np.arange(len(said)), truth], said[:, 1] - truth if said.shape[1] == 2 else None
        true, limits = Calibration.fit(truth, said).apply(said), fold_thresholds(outcome, model)
        sets = np.concatenate([sets_of(outcome.predictions[model][number], limits[number]) for number in first])
        return cls(rows, outcome.unit[rows], truth, said, error, bias, known, true, sets)

    def only(self, members: np.ndarray) -> HeldOut:
        """Some of them; members: bool [n]."""
        return replace(self, **{name: part[members] for name, part in vars(self).items() if isinstance(part, np.ndarray)})

    def expected(self, name: str) -> np.ndarray | float:
        """What error, bias or coverage should be by the probabilities of classes [n], once these are true; 0 of numbers."""
        if self.true is None or self.sets is None:
            return 0.0
        if name == "bias":
            return np.asarray(self.said[:, 1] - self.true[:, 1])
        return np.asarray((self.true * (1 - self.said if name == "error" else self.sets)).sum(axis=1))

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
        """What is compared between samples, by name: as it is, of classes less what their probabilities say it should be, and
        beside what the truth alone says of it, [n] each.

        Every model pulls towards the middle, and errs more at the ends: a level whose truth is extreme is not wrong by itself.
        Where truth is given, predictions go with whatever the model reads: so neither is enough alone. Where a class is doubted,
        and the doubt is right, nothing is wrong either.
        """
        found: dict[str, tuple[np.ndarray, ...]] = {"error": (self.error - self.expected("error"), self._beside_truth(self.error))}
        if self.bias is not None:
            found["bias"] = (self.bias - self.expected("bias"), self._beside_truth(self.bias))
        return found if self.inside is None else found | {"coverage": (self.inside - self.expected("coverage"),)}

    def _beside_truth(self, values: np.ndarray) -> np.ndarray:
        if self.of_classes:
            middle = {name: values[self.truth == name].mean() for name in np.unique(self.truth)}
            return values - np.array([middle[name] for name in self.truth])
        known = np.column_stack([np.ones(len(values)), self.truth, np.abs(self.truth - np.median(self.truth))])
        return values - known @ np.linalg.lstsq(known, values, rcond=None)[0]


def together(values: np.ndarray, unit: np.ndarray) -> float:
    """How many times as large the variance of their mean is as that of as many values that have nothing to do with each other."""
    apart = values - values.mean()
    sums = np.bincount(np.unique(unit, return_inverse=True)[1], weights=apart)
    return float((sums**2).sum() / max((apart**2).sum(), 1e-300))
