"""Encoders that are pretrained within the folds of an evaluation, and how well they recover UniFrac of held-out samples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from aam.errors import InputError
from aam.evaluation.compare import Outcome
from aam.learners.learner import Shared
from aam.learners.pretraining import PretrainingLearner
from aam.saved.fitted import Fitted
from aam.saved.info import ModelInfo
from aam.saved.transformer import FittedEncoder
from aam.study.problem import Problem
from aam.study.study import Study

RECOVERY = "UniFrac recovery"
# Distances between fewer samples have no rank correlation.
_FEWEST = 3


@dataclass(frozen=True)
class _Pretraining:
    """Pretraining on the samples of a problem, whose labels decide only which of them choose the epoch."""

    learner: PretrainingLearner

    def fit(self, problem: Problem, rows: np.ndarray) -> FittedEncoder:
        return self.learner.fit(problem.study, rows, problem.groups, problem.labels)


@dataclass(eq=False)
class PretrainedInFold:
    """Gives the encoder that was pretrained on the training samples of a fold; the last one is kept for all that start from it.

    transductive: one encoder for all folds instead, pretrained on all samples without their labels.
    """

    learner: PretrainingLearner
    transductive: bool = False
    _shared: Shared[FittedEncoder] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._shared = Shared(_Pretraining(self.learner))

    def encoder_for(self, problem: Problem, rows: np.ndarray) -> FittedEncoder:
        """The encoder for the training samples `rows`; whoever trains it takes a copy."""
        return self._shared.fit(problem, self._rows(problem, rows))

    def check(self, problem: Problem, rows: np.ndarray) -> None:
        """InputError for what cannot work, before anything is fitted."""
        self.learner.check(problem.study, self._rows(problem, rows), problem.groups, problem.labels)

    def _rows(self, problem: Problem, rows: np.ndarray) -> np.ndarray:
        return problem.study.rows if self.transductive else rows


@dataclass(frozen=True)
class FittedRecovery(Fitted):
    """What an encoder knows of UniFrac."""

    info: ModelInfo
    encoder: FittedEncoder

    def predict(self, study: Study, rows: np.ndarray | None = None) -> np.ndarray:
        """Spearman correlation [1] of distances between embeddings with UniFrac, over pairs of `rows`; 0 for under 3 of them."""
        rows = study.rows if rows is None else rows
        if len(rows) < _FEWEST:
            return np.zeros(1)
        true = squareform(study.distances[np.ix_(rows, rows)], checks=False)
        return np.nan_to_num(np.array([spearmanr(pdist(self.encoder.embed(study, rows)), true).statistic]))

    def save(self, folder: str | Path) -> None:
        raise InputError("the recovery of UniFrac is a score, and is not saved")


@dataclass(frozen=True)
class Recovery:
    """Takes the place of a model in the folds, where the encoder of each fold is; `recovery_of` takes its scores out again."""

    start: PretrainedInFold

    def fit(self, problem: Problem, rows: np.ndarray) -> FittedRecovery:
        """The recovery by the encoder for the training samples `rows`."""
        encoder = self.start.encoder_for(problem, rows)
        return FittedRecovery(encoder.info, encoder)

    def check(self, problem: Problem, rows: np.ndarray) -> None:
        """See `PretrainedInFold.check`."""
        self.start.check(problem, rows)


def recovery_of(outcome: Outcome) -> tuple[Outcome, float | None]:
    """The outcome of the models alone, and the mean recovery of UniFrac over the folds, where it was computed."""
    predictions = dict(outcome.predictions)
    recovered = predictions.pop(RECOVERY, None)
    if recovered is None:
        return outcome, None
    return replace(outcome, predictions=predictions), float(np.mean([float(part[0]) for part in recovered]))
