"""The members of a fit, with how much each counts: what is saved, and predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aam.ensemble.catalogue import Catalogue, SeenTable
from aam.ensemble.cross_fit import CrossFitted, cross_fit
from aam.ensemble.members import MEMBERS, NEED_NO_SEQUENCE, WITHOUT_TREES, Member, MemberName
from aam.ensemble.training import Training
from aam.ensemble.weights import Calibration, choose_weights, mean_of
from aam.errors import InputError
from aam.options import EnsembleOptions
from aam.study.problem import Problem

# Samples predicted at a time.
_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Ensemble:
    """weights: of the members, adding up to 1; calibrations: what makes the probabilities of each true, and of their mean
    (`overall`); empty and None for a number.
    """

    catalogue: Catalogue
    members: Mapping[MemberName, Sequence[Member]]
    weights: Mapping[MemberName, float]
    calibrations: Mapping[MemberName, Calibration]
    overall: Calibration | None

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        """Training units [rows], or class probabilities [rows, K]."""
        parts = [self._predict(table, rows[start : start + _AT_ONCE]) for start in range(0, max(len(rows), 1), _AT_ONCE)]
        return np.concatenate(parts)

    def _predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        said = {}
        for name, weight in self.weights.items():
            if weight > 0:
                by_member = [member.predict(table, rows) for member in self.members[name]]
                # Each as it was judged, before their mean.
                said[name] = np.mean([_calibrated(part, self.calibrations.get(name)) for part in by_member], axis=0)
        return _calibrated(mean_of(self.weights, said), self.overall)


def _calibrated(said: np.ndarray, calibration: Calibration | None) -> np.ndarray:
    return said if calibration is None else calibration.apply(said)


@dataclass(frozen=True, eq=False)
class FittedMembers:
    """Members fitted to the samples `rows` of a problem."""

    training: Training
    rows: np.ndarray
    catalogue: Catalogue
    fitted: CrossFitted

    def combine(self, names: Sequence[MemberName]) -> tuple[Ensemble, np.ndarray]:
        """The weights of some of the members; and what the mean says of each sample [n] by members that did not learn from it.

        Their target has a part in a few numbers only: the shares of the kernels, the weights and the calibrations.
        """
        problem = self.training.problem
        truth, classes = problem.learned[self.rows], problem.classes
        # Some need ASVs that are known, or sequences.
        judged = {name: self.fitted.judged[name] for name in names if name in self.fitted.judged}
        calibrations = {name: Calibration.fit(truth, said) for name, said in judged.items()} if classes else {}
        surer = {name: _calibrated(said, calibrations.get(name)) for name, said in judged.items()}
        weights = choose_weights(truth, surer, problem.target.trivial(truth, len(truth)))
        mean = mean_of(weights, surer)
        overall = Calibration.fit(truth, mean) if classes else None
        members = {name: self.fitted.members[name] for name in judged}
        return Ensemble(self.catalogue, members, weights, calibrations, overall), _calibrated(mean, overall)


def fit_members(
    problem: Problem, rows: np.ndarray, options: EnsembleOptions, seed: int, jobs: int, *, show: bool = False
) -> FittedMembers:
    """Fit the members to the samples `rows`: nothing is known of the others. `show`: a progress bar."""
    names = MEMBERS if options.trees else WITHOUT_TREES
    if problem.study.sequences is None:
        names = tuple(name for name in names if name in NEED_NO_SEQUENCE)
    catalogue = Catalogue.fit(problem.study, rows, options)
    if not catalogue.keys and problem.study.sequences is None:
        raise InputError(f"no feature is in {options.known_asv_samples} training samples or more: nothing can be learned of them")
    training = Training(problem, catalogue.see(problem.study), options, seed)
    return FittedMembers(training, rows, catalogue, cross_fit(training, rows, names, jobs, show=show))
