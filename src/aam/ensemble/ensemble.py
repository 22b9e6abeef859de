"""The members of a fit, with how much each counts: what is saved, and predicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from aam.ensemble.calibration import Calibration
from aam.ensemble.catalogue import Catalogue, SeenTable
from aam.ensemble.cross_fit import CrossFitted, cross_fit, judge_in_turn
from aam.ensemble.members import MEMBERS, NEED_NO_SEQUENCE, WITHOUT_TREES, Member, MemberName
from aam.ensemble.training import Training
from aam.ensemble.weights import Combination, Weighing, choose_weights
from aam.errors import InputError
from aam.options import EnsembleOptions, Step
from aam.study.problem import Problem
from aam.study.targets import Target

# Samples predicted at a time.
_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Members by name, several where their mean counts, and what makes one prediction of theirs."""

    catalogue: Catalogue
    members: Mapping[MemberName, Sequence[Member]]
    combination: Combination

    @property
    def weights(self) -> Mapping[MemberName, float]:
        """How much each member counts; they add up to 1."""
        return self.combination.weights

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        """Training units [rows], or class probabilities [rows, K]."""
        counted = {name: self.members[name] for name, weight in self.weights.items() if weight > 0}
        return self.combination.of(said_by(counted, table, rows, self.combination.calibrations))


def said_by(
    members: Mapping[MemberName, Sequence[Member]],
    table: SeenTable,
    rows: np.ndarray,
    calibrations: Mapping[MemberName, Calibration] = MappingProxyType({}),
) -> dict[MemberName, np.ndarray]:
    """What members say of the samples `rows`, the mean where there are several of a name, each calibrated where that is asked."""
    said: dict[MemberName, np.ndarray] = {}
    for name, several in members.items():
        parts = [_said_by(member, table, rows) for member in several]
        said[name] = np.mean([calibrations[name].apply(part) if name in calibrations else part for part in parts], axis=0)
    return said


def _said_by(member: Member, table: SeenTable, rows: np.ndarray) -> np.ndarray:
    starts = range(0, max(len(rows), 1), _AT_ONCE)
    return np.concatenate([member.predict(table, rows[start : start + _AT_ONCE]) for start in starts])


@dataclass(frozen=True, eq=False)
class FittedMembers:
    """Members fitted to the samples `rows` of a problem."""

    training: Training
    rows: np.ndarray
    catalogue: Catalogue
    fitted: CrossFitted

    @property
    def judged(self) -> Judged:
        """What members say of the samples that they did not learn from, with the truth of these."""
        problem = self.training.problem
        units = np.unique(problem.units(self.rows), return_inverse=True)[1]
        return Judged(problem.learned[self.rows], self.fitted.judged, units)

    def combine(self, names: Sequence[MemberName]) -> tuple[Ensemble, Weighing]:
        """The ensemble of some of the members, and why they count as they do."""
        combination, weighing = self.judged.of(names).combine(self.training.problem.target)
        return Ensemble(self.catalogue, {name: self.fitted.members[name] for name in weighing.weights}, combination), weighing


@dataclass(frozen=True, eq=False)
class Judged:
    """What members say, by name, of n samples that they did not learn from; truth: [n], as it is learned; units: the group of each
    sample, as an id from 0.
    """

    truth: np.ndarray
    said: Mapping[MemberName, np.ndarray]
    units: np.ndarray

    def of(self, names: Sequence[MemberName]) -> Judged:
        """Of some of the members: those of these names that there are."""
        return replace(self, said={name: self.said[name] for name in names if name in self.said})

    def cross_fitted(self, combination: Combination) -> np.ndarray:
        """What a combination of theirs says of these samples, in training units or as probabilities."""
        return combination.cross_fitted(self.truth, self.said, self.units)

    def combine(self, target: Target) -> tuple[Combination, Weighing]:
        """What makes one prediction of theirs, and why they count as they do. The target has a part in a few numbers only."""
        # In original units, as models are compared.
        truth, trivial = target.decode(self.truth), target.trivial(self.truth, len(self.truth))
        said = {name: target.decode(part) for name, part in self.said.items()}
        weighing = choose_weights(truth, said, target.decode(trivial), self.units, target.measure)
        return Combination.choose(self.truth, self.said, weighing, self.units)


def fit_members(
    problem: Problem,
    rows: np.ndarray,
    options: EnsembleOptions,
    seed: int,
    jobs: int,
    *,
    augment: tuple[Step, ...] = (),
    show: bool = False,
) -> FittedMembers:
    """Fit the members to the samples `rows`, and to copies of them that are changed by the steps `augment`: nothing is known of the
    others. `show`: a progress bar.
    """
    training, names = _training_of(problem, rows, options, seed, augment)
    return FittedMembers(training, rows, training.catalogue, cross_fit(training, rows, names, jobs, show=show))


def judge_members(
    problem: Problem, rows: np.ndarray, options: EnsembleOptions, seed: int, jobs: int, *, augment: tuple[Step, ...] = ()
) -> Iterator[tuple[np.ndarray, Judged]]:
    """What the same members say of the samples `rows` that they did not learn from, in two turns: places in `rows` that are judged
    so far, and what is said of them. Nothing is fitted to all of them: it takes less time than a fit.
    """
    training, names = _training_of(problem, rows, options, seed, augment)
    for places, said in judge_in_turn(training, rows, names, jobs):
        units = np.unique(problem.units(rows[places]), return_inverse=True)[1]
        yield places, Judged(problem.learned[rows[places]], said, units)


def _training_of(
    problem: Problem, rows: np.ndarray, options: EnsembleOptions, seed: int, augment: tuple[Step, ...]
) -> tuple[Training, tuple[MemberName, ...]]:
    """What members are fitted to, and which there are."""
    names = MEMBERS if options.trees else WITHOUT_TREES
    if problem.study.sequences is None:
        names = tuple(name for name in names if name in NEED_NO_SEQUENCE)
    catalogue = Catalogue.fit(problem.study, rows, options)
    if not catalogue.keys and problem.study.sequences is None:
        raise InputError(f"no feature is in {options.known_asv_samples} training samples or more: nothing can be learned of them")
    seen = replace(catalogue.see(problem.study), design=problem.design)
    return Training(problem, catalogue, seen, options, seed, augment), names
