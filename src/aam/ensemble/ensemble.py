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
from aam.ensemble.weights import choose_weights, mean_of, sharpened, sharpness


@dataclass(frozen=True, eq=False)
class Ensemble:
    """weights: of the members, adding up to 1; powers: what makes each one's probabilities true, empty for a number; power: the
    same for their mean, 1 for a number.
    """

    catalogue: Catalogue
    members: Mapping[MemberName, Sequence[Member]]
    weights: Mapping[MemberName, float]
    powers: Mapping[MemberName, float]
    power: float

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        """Training units [rows], or class probabilities [rows, K]."""
        said = {
            name: np.mean([member.predict(table, rows) for member in self.members[name]], axis=0)
            for name, weight in self.weights.items()
            if weight > 0
        }
        return _together(said, self.weights, self.powers, self.power)


@dataclass(frozen=True, eq=False)
class FittedMembers:
    """Members fitted to the samples `rows` of a lesson."""

    lesson: Lesson
    rows: np.ndarray
    catalogue: Catalogue
    fitted: CrossFitted

    def combine(self, names: Sequence[MemberName]) -> tuple[Ensemble, np.ndarray]:
        """The weights of some of the members; and what the mean says of each sample [n] by members that did not learn from it.

        Only weights and exponents have seen those samples.
        """
        truth, classes = self.lesson.target[self.rows], self.lesson.classes
        judged = {name: self.fitted.judged[name] for name in names}
        powers = {name: sharpness(truth, said) for name, said in judged.items()} if classes else {}
        surer = {name: sharpened(said, powers[name]) if powers else said for name, said in judged.items()}
        weights = choose_weights(truth, surer)
        power = sharpness(truth, mean_of(weights, surer)) if classes else 1.0
        members = {name: self.fitted.members[name] for name in names}
        ensemble = Ensemble(self.catalogue, members, weights, powers, power)
        return ensemble, _together(judged, weights, powers, power)


def _together(
    said: Mapping[MemberName, np.ndarray], weights: Mapping[MemberName, float], powers: Mapping[MemberName, float], power: float
) -> np.ndarray:
    """The weighted mean of what members say, made as sure as it may be."""
    surer = {name: sharpened(parts, powers[name]) if powers else parts for name, parts in said.items()}
    mean = mean_of(weights, surer)
    return sharpened(mean, power) if powers else mean


@dataclass(frozen=True, eq=False)
class Samples:
    """All samples of a table with what is to be learned of them; see `Lesson`.

    counts: CSR [N, M]; tokens: uint8 [M, 1 + L] and sequences of the ASVs.
    """

    counts: sparse.csr_array
    tokens: np.ndarray
    sequences: tuple[str, ...]
    target: np.ndarray
    classes: int | None
    groups: np.ndarray | None


def fit_members(
    samples: Samples, rows: np.ndarray, names: Sequence[MemberName], seed: int, jobs: int, *, show: bool = False
) -> FittedMembers:
    """Fit the members `names` to the samples `rows`: nothing is known of the others. `show`: a progress bar."""
    catalogue = Catalogue.fit(samples.counts[rows], samples.tokens, samples.sequences)
    table = catalogue.see(samples.counts, samples.tokens, samples.sequences)
    lesson = Lesson(table, samples.target, samples.classes, samples.groups, seed)
    return FittedMembers(lesson, rows, catalogue, cross_fit(lesson, rows, names, jobs, show=show))
