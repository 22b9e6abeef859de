"""Importance by permutation: what a model's score loses where a feature's reads are those of other samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy import sparse

from aam.explain.attributions import Features, Reader
from aam.explain.begun import Begun
from aam.explain.deletion import holds
from aam.explain.made_up import read_outputs, read_samples
from aam.explain.places import Places
from aam.scoring.measures import Measure
from aam.scoring.resampling import Groups, draws, interval
from aam.scoring.weighted import WEIGHTED

# Draws of groups that scores of classes are computed under: each is a ranking of all samples.
_DRAWS = 200
# Of a score: what is less is how sums of floating-point numbers come out.
_NOTHING = 1e-12


@dataclass(frozen=True, eq=False)
class Held:
    """Samples of known truth, best ones that the model did not learn from. samples: int64 [n], rows of the study; truth: [n],
    numbers or class ids; groups: labels [n] of samples that are alike, or None; within: labels [n] of levels (studies) within which
    reads are permuted, or None.
    """

    samples: np.ndarray
    truth: np.ndarray
    groups: np.ndarray | None = None
    within: np.ndarray | None = None


class ReaderOfCovariates(Reader, Protocol):
    """A reader that can be given other covariates."""

    @property
    def design(self) -> np.ndarray | None:
        """Of the covariates that it reads beside the counts, float32 [N, K]; None where it reads none."""

    def with_design(self, design: np.ndarray) -> Reader:
        """The same, of other covariates."""


@dataclass(frozen=True, eq=False)
class PermutationImportance:
    """features: what was permuted; score: of the samples as they are; loss: float64 [F], by how much the score is worse (MAE in the
    target's unit, or AUC), the mean over permutations; low, high: 95 % of what one permutation loses, over resampled groups and
    over permutations; nan for fewer than two groups, and for one permutation, which does not say what another would lose.
    """

    features: Features
    measure: Measure
    score: float
    loss: np.ndarray
    low: np.ndarray
    high: np.ndarray


def by_permutation(
    reader: Reader,
    features: Features,
    held: Held,
    measure: Measure,
    *,
    repeats: int = 5,
    seed: int = 0,
    show: str = "",
    begun: Begun | None = None,
) -> PermutationImportance:
    """Permute the reads of each feature among samples, `repeats` times, and score what is predicted then.

    A sample is given the feature's ASVs of another sample in place of its own, as shares of its own reads, so that depths stay as
    they are; other ASVs stay. What would be left without any ASV stays as it is. Only samples that change are read again;
    begun: what was said of these a time before.

    Which samples were exchanged is chance as well as which groups there are, the more so the fewer have a feature. So each draw of
    groups is scored under one of the permutations, in turn, and the interval is as wide as both make it. Weights on permutations
    would make it narrower, but five are too few for that: of simulated ASVs of two of 40 samples, without any part in the truth,
    21 % were above 0 then (AUC), and 6 % with one permutation at a time.
    """
    whole = read_samples(reader, held.samples).outputs
    scores = _Scores.of(held, measure, whole, seed, repeats)
    moves = _moves(reader.counts[held.samples], features, held, seed, repeats)
    said = read_outputs(reader, moves.sizes, lambda part: _moved(reader, features, held, moves, part), show, begun)
    losses = np.zeros((1 + _DRAWS, len(features.ids)))
    # Moves are in the order of features, and of permutations within each.
    for some in np.split(np.arange(len(said)), np.flatnonzero(np.diff(moves.feature * repeats + moves.repeat)) + 1):
        if len(some):
            outputs = whole.copy()
            outputs[moves.taker[some]] = said[some]
            losses[:, moves.feature[some[0]]] += scores.losses(outputs, int(moves.repeat[some[0]]))
    return scores.importance(features, losses)


def by_permuting_covariates(
    reader: ReaderOfCovariates,
    covariates: Mapping[str, Sequence[int]],
    held: Held,
    measure: Measure,
    *,
    repeats: int = 5,
    seed: int = 0,
) -> PermutationImportance:
    """The same of covariates, by name with their columns of what the model reads: a sample is given those of another sample, and
    keeps its reads. Nothing where the reader reads no covariates.
    """
    design, n = reader.design, len(held.samples)
    scores = _Scores.of(held, measure, read_samples(reader, held.samples).outputs, seed, repeats)
    levels = None if held.within is None else Groups.named(held.within, n)
    rng = np.random.default_rng(seed)
    losses = np.zeros((1 + _DRAWS, len(covariates)))
    for place, columns in enumerate(covariates.values()):
        for repeat in range(repeats if design is not None else 0):
            permuted = np.array(design)
            giver = held.samples[_permuted(n, levels, rng)]
            permuted[held.samples[:, None], columns] = permuted[giver[:, None], columns]
            losses[:, place] += scores.losses(read_samples(reader.with_design(permuted), held.samples).outputs, repeat)
    none = sparse.csr_array((len(covariates), reader.counts.shape[1]), dtype=bool)
    return scores.importance(Features("covariate", tuple(covariates), none), losses)


@dataclass(frozen=True, eq=False)
class _Scores:
    """How much worse a score becomes: of the groups as they are, each counting once, and of draws of groups, weights [1 + W, n],
    each of which is scored under one of the permutations; before: scores of the samples as they are [1 + W]; several: whether there
    are groups and permutations enough for an interval.
    """

    truth: np.ndarray
    measure: Measure
    weights: np.ndarray
    before: np.ndarray
    repeats: int
    several: bool

    @classmethod
    def of(cls, held: Held, measure: Measure, whole: np.ndarray, seed: int, repeats: int) -> _Scores:
        """whole: what is said of the samples as they are [n, O]."""
        groups = Groups.named(held.groups, len(held.samples))
        drawn = draws(groups.number, seed, _DRAWS) / np.bincount(groups.of, minlength=groups.number)
        weights = np.concatenate([groups.weights()[None], drawn[:, groups.of]])
        before = _score(measure, held.truth, whole, weights)
        return cls(held.truth, measure, weights, before, repeats, groups.number > 1 and repeats > 1)

    def losses(self, outputs: np.ndarray, repeat: int) -> np.ndarray:
        """What a permutation loses [1 + W]: its part of the mean over permutations, and that of its draws; 0 for the others."""
        under = np.append(0, np.arange(1 + repeat, 1 + _DRAWS, self.repeats))
        worse = -1 if self.measure.higher_is_better else 1
        loss = worse * (_score(self.measure, self.truth, outputs, self.weights[under]) - self.before[under])
        loss[np.abs(loss) < _NOTHING * np.abs(self.before[under])] = 0
        loss[0] /= self.repeats
        found = np.zeros(1 + _DRAWS)
        found[under] = loss
        return found

    def importance(self, features: Features, losses: np.ndarray) -> PermutationImportance:
        """Of the losses of all features [1 + W, F], summed over permutations."""
        low, high = interval(losses[1:]) if self.several else np.full((2, losses.shape[1]), np.nan)
        return PermutationImportance(features, self.measure, float(self.before[0]), losses[0], low, high)


def _score(measure: Measure, truth: np.ndarray, outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Scores [W] of outputs [n, O] under weights [W, n]: log-odds rank samples as probabilities do."""
    if measure.key == "mae":
        return WEIGHTED["mae"](truth, outputs[:, 0], weights)
    return WEIGHTED[measure.key](truth, np.hstack([-outputs, outputs]) if outputs.shape[1] == 1 else outputs, weights)


@dataclass(frozen=True, eq=False)
class _Moves:
    """Samples that change: `taker` is given the ASVs of `feature` that `giver` has, in one of several permutations; places among
    the held samples, all int64 [K]; sizes: ASVs of the taker then.
    """

    feature: np.ndarray
    repeat: np.ndarray
    taker: np.ndarray
    giver: np.ndarray
    sizes: np.ndarray


def _moves(counts: sparse.csr_array, features: Features, held: Held, seed: int, repeats: int) -> _Moves:
    there, members = (sparse.csr_array(part.astype(bool).astype(np.int64)) for part in (counts, features.asvs.T))
    holding = sparse.csc_array(there @ members)
    size = np.diff(counts.indptr)
    levels = None if held.within is None else Groups.named(held.within, len(size))
    rng = np.random.default_rng(seed)
    found: list[np.ndarray] = [np.zeros((5, 0), dtype=np.int64)]
    for feature in range(len(features.ids)):
        holds_it = holding[:, [feature]].toarray().ravel()
        for repeat in range(repeats if holds_it.any() else 0):
            giver = _permuted(len(size), levels, rng)
            left = size - holds_it + holds_it[giver]
            taker = np.flatnonzero(((holds_it > 0) | (holds_it[giver] > 0)) & (left > 0) & (giver != np.arange(len(size))))
            same = np.full(len(taker), feature), np.full(len(taker), repeat)
            found.append(np.stack([*same, taker, giver[taker], left[taker]]))
    return _Moves(*np.concatenate(found, axis=1))


def _permuted(n: int, levels: Groups | None, rng: np.random.Generator) -> np.ndarray:
    """A permutation of n samples, within levels where there are any."""
    order = rng.permutation(n)
    if levels is None:
        return order
    found = np.empty(n, dtype=np.int64)
    # Samples level by level, as they stand and at random.
    found[np.argsort(levels.of, kind="stable")] = order[np.argsort(levels.of[order], kind="stable")]
    return found


def _moved(reader: Reader, features: Features, held: Held, moves: _Moves, part: slice) -> tuple[sparse.csr_array, np.ndarray]:
    """Counts of some of the changed samples, and the rows of the study that they stand for."""
    taker, giver, feature = held.samples[moves.taker[part]], held.samples[moves.giver[part]], moves.feature[part]
    own, others = Places.of(reader.counts, taker), Places.of(reader.counts, giver)
    stays = ~holds(features, feature[own.sample], own.column)
    comes = holds(features, feature[others.sample], others.column)
    depths = np.asarray(reader.counts.sum(axis=1)).ravel()
    given = np.rint(others.count * (depths[taker] / depths[giver])[others.sample]).clip(min=1).astype(own.count.dtype)
    made = (own.only(stays), replace(others, count=given).only(comes))
    return sparse.csr_array(made[0] + made[1]), taker
