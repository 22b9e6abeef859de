"""The ensemble: set networks, linear and kernel models and trees, cross-fitted on whole groups and averaged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from aam.augment.choice import AugmentChoice, choose_augmentation
from aam.distances.unifrac import UniFrac
from aam.ensemble.cross_fit import parts_of
from aam.ensemble.ensemble import FittedMembers, fit_members, judge_members
from aam.ensemble.members import MEMBERS
from aam.ensemble.novelty import novelty_of
from aam.errors import InputError
from aam.options import CANDIDATES, MEMBER_LABELS, AugmentOptions, EnsembleOptions, check_augment
from aam.parallel.threads import allotted_threads
from aam.saved.ensemble import FittedEnsemble
from aam.saved.info import ModelInfo, Origin, TargetInfo, band_of, median_of
from aam.scoring.intervals import scores_of, thresholds
from aam.study.problem import Problem
from aam.study.study import Study

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EnsembleLearner:
    """Fits an ensemble; jobs: processes at a time; show: a progress bar; augment: how copies of training samples are changed."""

    options: EnsembleOptions = field(default_factory=EnsembleOptions)
    seed: int = 0
    jobs: int | None = None
    show: bool = False
    augment: AugmentOptions = field(default_factory=AugmentOptions)

    def fit(self, problem: Problem, rows: np.ndarray) -> FittedEnsemble:
        """Fit to the samples `rows`, as the study rarefies them. No epoch is chosen, so no sample is set aside for that."""
        self.check(problem, rows)
        study = problem.study.drawn(self.seed)
        posed = problem if study is problem.study else problem.on(study)
        posed = posed.fitted_to(rows)
        jobs = self.jobs or allotted_threads()
        members, choice = self._members(posed, rows, jobs)
        ensemble, weighing = members.combine(MEMBERS)
        log.info("%s", weighing.sentence(MEMBER_LABELS, posed.target.measure))
        decoded = posed.placed(posed.target.decode(members.judged.cross_fitted(ensemble.combination)), rows)
        intervals = thresholds(scores_of(posed.truth[rows], decoded), posed.units(rows))
        band = band_of(posed.target, posed.truth[rows], decoded, posed.units(rows))
        median = median_of(posed.target, posed.truth[rows])
        target = TargetInfo(posed.column, posed.target, posed.covariates, intervals, median, band)
        info = ModelInfo(self.options.network, study.reads, target=target, learned_from=study.ids(rows), seed=self.seed)
        info = replace(info, origin=Origin.of(study, posed.groups, rows))
        fitted = FittedEnsemble(ensemble, info, members, weighing, novelty_of(study, rows, posed.groups, self.seed), choice)
        fitted.remember(problem.study, members.training.table)
        return fitted

    def judge(self, problem: Problem, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What such an ensemble says of training samples whose groups it did not learn from, in two turns: places in `rows` that
        are judged so far, and predictions of them, numbers [n] or probabilities [n, K]. Takes less time than a fit.

        InputError where the augmentation is still to be chosen.
        """
        if self.augment.is_auto:
            raise InputError(f"`augment={self.augment.augment}` is chosen by a fit: name an augmentation")
        self.check(problem, rows)
        study = problem.study.drawn(self.seed)
        posed = (problem if study is problem.study else problem.on(study)).fitted_to(rows)
        jobs = self.jobs or allotted_threads()
        for places, judged in judge_members(posed, rows, self.options, self.seed, jobs, augment=self.augment.steps):
            combination, _ = judged.of(MEMBERS).combine(posed.target)
            yield places, posed.placed(posed.target.decode(judged.cross_fitted(combination)), rows[places])

    def check(self, problem: Problem, rows: np.ndarray) -> None:
        """InputError for what cannot work, before anything is computed."""
        require_augmentable(problem.study, self.augment)
        parts_of(problem, rows, self.options.cross_fit_folds, self.seed)

    def _members(self, posed: Problem, rows: np.ndarray, jobs: int) -> tuple[FittedMembers, AugmentChoice | None]:
        """The members, and which augmentation they learned with, where one was asked for."""

        def fit(augment: AugmentOptions) -> FittedMembers:
            return fit_members(posed, rows, self.options, self.seed, jobs, augment=augment.steps, show=self.show)

        if not self.augment.is_auto:
            return fit(self.augment), AugmentChoice(self.augment.augment) if self.augment.augment else None
        plain = fit(AugmentOptions())
        tried = {name: fit(AugmentOptions(augment=name)) for name in CANDIDATES}
        said = {name: self._cross_fitted(members, posed) for name, members in tried.items()}
        judged = (posed.truth[rows], self._cross_fitted(plain, posed), said, posed.units(rows), posed.target.measure)
        choice = choose_augmentation(*judged)
        return plain if choice.chosen is None else tried[choice.chosen], choice

    @staticmethod
    def _cross_fitted(members: FittedMembers, posed: Problem) -> np.ndarray:
        ensemble, _ = members.combine(MEMBERS)
        return posed.placed(posed.target.decode(members.judged.cross_fitted(ensemble.combination)), members.rows)


def require_augmentable(study: Study, augment: AugmentOptions) -> None:
    """InputError for an augmentation of samples that needs sequences, or a tree, where the study has none."""
    check_augment(augment, sequences=study.sequences is not None, tree=isinstance(study.distance, UniFrac))


def cross_fitted(fitted: FittedEnsemble) -> np.ndarray:
    """What members say of the training samples that they did not see, in original units [n] or as probabilities [n, K]."""
    if fitted.members is None:
        raise ValueError("a saved ensemble does not keep what its members said in cross-fitting")
    members = fitted.members
    decoded = fitted.target.target.decode(members.judged.cross_fitted(fitted.ensemble.combination))
    return members.training.problem.placed(decoded, members.rows)
