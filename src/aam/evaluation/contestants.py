"""The models that an evaluation compares, by the names that tables and plots have."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from aam.ensemble.members import MEMBERS, MemberName
from aam.ensemble.members import WITHOUT_TREES as MEMBERS_WITHOUT_TREES
from aam.evaluation.compare import Outcome
from aam.evaluation.pretrained import RECOVERY, PretrainedInFold, Recovery
from aam.learners.baselines import Baseline, baselines_of
from aam.learners.ensemble import EnsembleLearner, require_augmentable
from aam.learners.learner import Learner, Shared
from aam.learners.pretraining import PretrainingLearner
from aam.learners.transformer import TransformerLearner
from aam.options import (
    AugmentOptions,
    ContestOptions,
    EnsembleOptions,
    EvaluateFitOptions,
    FitOptions,
    FoldPretrainOptions,
    ModelOptions,
    TrainComputeOptions,
    TrainFitOptions,
    TrainObjectives,
)
from aam.parallel.threads import allotted_threads
from aam.saved.ensemble import FittedEnsemble
from aam.study.folds import Fold, posed_within
from aam.study.problem import Problem

WITHOUT_TREES, ENSEMBLE = "AAM ensemble without trees", "AAM ensemble"
TRANSFORMER, PRETRAINED, FROZEN = "AAM transformer", "AAM transformer, pretrained", "AAM transformer, frozen base"


@dataclass(frozen=True, kw_only=True)
class TransformerSettings:
    """How the transformers of an evaluation are made; scratch: folder below which checkpoints lie while one is fitted."""

    model: ModelOptions = field(default_factory=ModelOptions)
    objectives: TrainObjectives = field(default_factory=TrainObjectives)
    fit: TrainFitOptions = field(default_factory=EvaluateFitOptions)
    compute: TrainComputeOptions = field(default_factory=TrainComputeOptions)
    pretraining: FoldPretrainOptions = field(default_factory=FoldPretrainOptions)
    val_fraction: float = 0.1
    scratch: Path | None = None
    augment: AugmentOptions = field(default_factory=AugmentOptions)


@dataclass(frozen=True)
class EnsembleOf:
    """The ensemble of some of the members that another learner fits: once, for all ensembles of them."""

    learner: Learner[FittedEnsemble]
    names: tuple[MemberName, ...]

    def fit(self, problem: Problem, rows: np.ndarray) -> FittedEnsemble:
        """The ensemble of the samples `rows`."""
        return self.learner.fit(problem, rows).of(self.names)


@runtime_checkable
class Checked(Protocol):
    """A learner that can say what will not work before it is fitted."""

    def check(self, problem: Problem, rows: np.ndarray) -> object:
        """InputError for what cannot work."""


def contestants_of(
    problem: Problem,
    contest: ContestOptions,
    seed: int,
    *,
    ensemble: EnsembleOptions | None = None,
    transformers: TransformerSettings | None = None,
    augment: AugmentOptions | None = None,
    jobs: int | None = None,
) -> dict[str, Learner[Any]]:
    """Learners by name, simple models first; jobs: threads and processes at a time, by default as many as the run is allotted.

    With transformers, `RECOVERY` is among them: see `recovery_of`.
    """
    jobs = jobs or allotted_threads()
    found: dict[str, Learner[Any]] = dict(baselines_of(problem, seed, jobs))
    if not contest.only_baselines:
        require_augmentable(problem.study, augment or AugmentOptions())
        found |= ensembles(ensemble or EnsembleOptions(), seed, jobs, augment or AugmentOptions())
    if contest.transformers:
        settings = transformers or TransformerSettings()
        found |= transformers_of(settings, frozen=not problem.study.reads.rarefy_each_epoch)
    return found


def ensembles(
    options: EnsembleOptions, seed: int, jobs: int, augment: AugmentOptions = AugmentOptions()
) -> dict[str, Learner[FittedEnsemble]]:
    """The ensemble without trees and with them."""
    shared: Shared[FittedEnsemble] = Shared(EnsembleLearner(options, seed, jobs, augment=augment))
    found: dict[str, Learner[FittedEnsemble]] = {WITHOUT_TREES: EnsembleOf(shared, MEMBERS_WITHOUT_TREES)}
    return found | {ENSEMBLE: EnsembleOf(shared, MEMBERS)} if options.trees else found


def transformers_of(settings: TransformerSettings, *, frozen: bool = True) -> dict[str, Learner[Any]]:
    """Transformers, of which two start from an encoder that is pretrained in the fold; and how well that one recovers UniFrac.

    frozen: include the one with a frozen base, whose encoder runs once, on one draw of the reads.
    """
    fit, pretraining = settings.fit, settings.pretraining
    start = PretrainedInFold(
        PretrainingLearner(
            model=settings.model,
            options=FitOptions(batch_size=fit.batch_size, epochs=pretraining.pretrain_epochs, seed=fit.seed),
            compute=settings.compute,
            val_fraction=settings.val_fraction,
            scratch=settings.scratch,
        ),
        pretraining.transductive,
    )

    def learner(objectives: TrainObjectives, start: PretrainedInFold | None, *, freeze_base: bool = False) -> TransformerLearner:
        return TransformerLearner(
            model=settings.model,
            objectives=objectives,
            options=fit,
            compute=settings.compute,
            start=start,
            freeze_base=freeze_base,
            # A frozen base runs once, on samples as they are.
            augment=AugmentOptions() if freeze_base else settings.augment,
            val_fraction=settings.val_fraction,
            scratch=settings.scratch,
        )

    found: dict[str, Learner[Any]] = {
        TRANSFORMER: learner(settings.objectives, None),
        PRETRAINED: learner(settings.objectives, start),
    }
    if frozen:
        found[FROZEN] = learner(TrainObjectives(), start, freeze_base=True)
    return found | {RECOVERY: Recovery(start)}


def check_contestants(problem: Problem, contestants: Mapping[str, Learner[Any]], folds: Sequence[Fold]) -> None:
    """InputError for what cannot work in the training part of a fold, before anything is fitted."""
    for learner in contestants.values():
        if isinstance(learner, Checked):
            for fold, posed in zip(folds, posed_within(problem, folds), strict=True):
                learner.check(posed, fold.train)


def simple_of(contestants: Mapping[str, Learner[Any]], outcome: Outcome) -> list[str]:
    """The simple models that were evaluated: what is to be beaten."""
    return [name for name, learner in contestants.items() if isinstance(learner, Baseline) and name in outcome.predictions]


def headline_of(outcome: Outcome) -> str | None:
    """The model that the verdict is about, named beforehand: the best of several would be too good to be true."""
    return first_of_ours(outcome.predictions)


def first_of_ours(names: Collection[str]) -> str | None:
    """The ensemble that a verdict is about, of the models of these names; None where there is none."""
    return next((name for name in (ENSEMBLE, WITHOUT_TREES) if name in names), None)
