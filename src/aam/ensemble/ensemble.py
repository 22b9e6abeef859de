"""The members of a fit, with how much each counts: what `train --auto` saves and `predict` uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from aam.ensemble.catalogue import Catalogue, SeenTable
from aam.ensemble.cross_fit import CrossFitted, cross_fit
from aam.ensemble.lesson import Lesson
from aam.ensemble.members import Member, MemberName
from aam.ensemble.weights import Calibration, choose_weights, mean_of

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
    """Members fitted to the samples `rows` of a lesson."""

    lesson: Lesson
    rows: np.ndarray
    catalogue: Catalogue
    fitted: CrossFitted

    def combine(self, names: Sequence[MemberName]) -> tuple[Ensemble, np.ndarray]:
        """The weights of some of the members; and what the mean says of each sample [n] by members that did not learn from it.

        Their target has a part in a few numbers only: the shares of the kernels, the weights and the calibrations.
        """
        truth, classes = self.lesson.target[self.rows], self.lesson.classes
        # Some need ASVs that are known.
        judged = {name: self.fitted.judged[name] for name in names if name in self.fitted.judged}
        calibrations = {name: Calibration.fit(truth, said) for name, said in judged.items()} if classes else {}
        surer = {name: _calibrated(said, calibrations.get(name)) for name, said in judged.items()}
        weights = choose_weights(truth, surer)
        mean = mean_of(weights, surer)
        overall = Calibration.fit(truth, mean) if classes else None
        members = {name: self.fitted.members[name] for name in judged}
        return Ensemble(self.catalogue, members, weights, calibrations, overall), _calibrated(mean, overall)


@dataclass(frozen=True, eq=False)
class Samples:
    """All samples of a table with what is to be learned of them; see `Lesson`.

    counts: CSR [N, M]; tokens: uint8 [M, 1 + L] of the ASVs.
    """

    counts: sparse.csr_array
    tokens: np.ndarray
    target: np.ndarray
    classes: int | None
    groups: np.ndarray | None


def fit_members(
    samples: Samples, rows: np.ndarray, names: Sequence[MemberName], seed: int, jobs: int, *, show: bool = False
) -> FittedMembers:
    """Fit the members `names` to the samples `rows`: nothing is known of the others. `show`: a progress bar."""
    catalogue = Catalogue.fit(samples.counts[rows], samples.tokens)
    table = catalogue.see(samples.counts, samples.tokens)
    lesson = Lesson(table, samples.target, samples.classes, samples.groups, seed)
    return FittedMembers(lesson, rows, catalogue, cross_fit(lesson, rows, names, jobs, show=show))
