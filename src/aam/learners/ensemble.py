"""The ensemble: set networks, linear and kernel models and trees, cross-fitted on whole groups and averaged."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np

from aam.ensemble.ensemble import fit_members
from aam.ensemble.members import MEMBERS
from aam.ensemble.novelty import novelty_of
from aam.options import MEMBER_LABELS, EnsembleOptions
from aam.parallel.threads import allotted_threads
from aam.saved.ensemble import FittedEnsemble
from aam.saved.info import ModelInfo, TargetInfo, band_of, median_of
from aam.scoring.intervals import scores_of, thresholds
from aam.study.problem import Problem

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EnsembleLearner:
    """Fits an ensemble; jobs: processes at a time; show: a progress bar."""

    options: EnsembleOptions = field(default_factory=EnsembleOptions)
    seed: int = 0
    jobs: int | None = None
    show: bool = False

    def fit(self, problem: Problem, rows: np.ndarray) -> FittedEnsemble:
        """Fit to the samples `rows`, as the study rarefies them. No epoch is chosen, so no sample is set aside for that."""
        study = problem.study.drawn(self.seed)
        posed = problem if study is problem.study else problem.on(study)
        posed = posed.fitted_to(rows)
        jobs = self.jobs or allotted_threads()
        members = fit_members(posed, rows, self.options, self.seed, jobs, show=self.show)
        ensemble, weighing = members.combine(MEMBERS)
        log.info("%s", weighing.sentence(MEMBER_LABELS, posed.target.measure))
        decoded = posed.placed(posed.target.decode(members.judged.cross_fitted(ensemble.combination)), rows)
        intervals = thresholds(scores_of(posed.truth[rows], decoded), posed.units(rows))
        band = band_of(posed.target, posed.truth[rows], decoded, posed.units(rows))
        median = median_of(posed.target, posed.truth[rows])
        target = TargetInfo(posed.column, posed.target, intervals=intervals, median=median, band=band)
        info = ModelInfo(self.options.network, study.reads, target=target, learned_from=study.ids(rows), seed=self.seed)
        fitted = FittedEnsemble(ensemble, info, members, weighing, novelty_of(study, rows, posed.groups, self.seed))
        fitted.remember(problem.study, members.training.table)
        return fitted


def cross_fitted(fitted: FittedEnsemble) -> np.ndarray:
    """What members say of the training samples that they did not see, in original units [n] or as probabilities [n, K]."""
    if fitted.members is None:
        raise ValueError("a saved ensemble does not keep what its members said in cross-fitting")
    members = fitted.members
    decoded = fitted.target.target.decode(members.judged.cross_fitted(fitted.ensemble.combination))
    return members.training.problem.placed(decoded, members.rows)
