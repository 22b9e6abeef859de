"""Novelty: whether a sample is unlike the training samples, by its ASVs, or has less in it than they had."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from scipy import sparse

from aam.compute import default_device
from aam.data.dataset import SampleDataset
from aam.data.stream import by_blocks
from aam.ensemble.asv_vectors import SequenceWords
from aam.ensemble.region import Region
from aam.progress import track
from aam.scoring.intervals import threshold
from aam.study.study import Study

# Share of the samples of new groups, of the same kind, that are not said to be out of distribution: by their ASVs, and by how few
# reads or ASVs they have.
_COVERAGE, _COVERAGE_OF_SIZES = 0.95, 0.99
# ASVs of the training samples that are compared with, at most: those in most samples; and of those that words are fitted to.
MOST_ASVS, _FITTED_ASVS = 20_000, 5_000
# Dimensions of the vectors of ASVs.
WIDTH = 128
# Training samples whose distance from the others sets the limit, at most.
_JUDGED = 1_000
# ASVs that are compared at a time, and from how many times on a bar shows it: seconds.
_AT_ONCE, _LONG = 1024, 16
# Below this share of new ASVs, as far from known ones as these are from each other, a sample is not out of distribution.
_LEAST_NEW = 0.25
LEAST_LIMIT = 1e-6
_NO_ONE = -1


@dataclass(frozen=True, eq=False)
class KnownAsvs:
    """vectors: float32 [n, W] of ASVs of training samples, by their words; limit: mean distance of a sample's ASVs to the nearest
    of them above which it is out of distribution; tokens: uint8 [n, 1 + L] of the same ASVs, or None where they are not known.
    """

    words: SequenceWords
    vectors: np.ndarray
    limit: float
    tokens: np.ndarray | None = None

    @classmethod
    def of(cls, words: SequenceWords, tokens: np.ndarray, limit: float) -> KnownAsvs:
        """Of ASVs that are kept by their letters, which take less room than vectors."""
        return cls(words, _vectors(words, tokens, np.arange(len(tokens))), limit, tokens)

    @cached_property
    def region(self) -> Region | None:
        """The region that they are of; None where their letters are not known."""
        return None if self.tokens is None else Region.of(self.tokens)

    @classmethod
    def fit(cls, study: Study, survey: _Survey, seed: int) -> KnownAsvs:
        """Fit to the samples of a survey: how far each is from the ASVs of other groups.

        Where groups are too few for the wanted share, the limit is the largest of those distances.
        """
        used = np.flatnonzero(survey.samples)
        kept = np.sort(used[np.argsort(-survey.samples[used], kind="stable")[:MOST_ASVS]])
        tokens = study.asv_tokens[kept]
        words = _rounded(SequenceWords.fit(study.asv_tokens[_spread(kept, _FITTED_ASVS)], WIDTH))
        vectors = _vectors(words, study.asv_tokens, kept)
        owner = survey.owner
        judged = _spread(np.arange(len(survey.rows)), _JUDGED)
        places, parts = zip(*_drawn(study, survey.rows[judged], seed), strict=True)
        judged, counts = judged[np.concatenate(places)], sparse.csr_array(sparse.vstack(parts, format="csr"))
        # What other groups have too, and is compared with, is at distance 0.
        far = np.setdiff1d(counts.indices, kept[owner[kept] == _NO_ONE])
        distance = np.zeros(counts.shape[1])
        distance[far] = nearest(_vectors(words, study.asv_tokens, far), vectors, owner[far], owner[kept])
        each = _mean_over(counts, distance)
        limit = threshold(each, survey.unit[judged], _COVERAGE)
        limit = limit if math.isfinite(limit) else float(each.max())
        # Where all groups share all ASVs, as after a filter of prevalence, one new ASV is not enough.
        some = _spread(np.arange(len(kept)), _AT_ONCE)
        typical = float(np.median(nearest(vectors[some], vectors, some, np.arange(len(kept)))))
        return cls(words, vectors, max(limit, _LEAST_NEW * typical, LEAST_LIMIT), tokens)

    def far(self, asv_tokens: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Distance of some ASVs of tokens uint8 [M, 1 + L] to the nearest known one, float64, as a multiple of the limit."""
        vectors = _vectors(self.words, asv_tokens, columns)
        found = np.zeros(len(vectors))
        # Those that training had too are most, and need no search.
        new = np.flatnonzero(~np.isin(_as_items(vectors), _as_items(self.vectors)))
        found[new] = nearest(vectors[new], self.vectors) / self.limit
        return found


@dataclass(frozen=True, eq=False)
class Novelty:
    """What novelty is measured from. asvs: None for features without sequences; least_reads, least_asvs: what 99 % of samples of
    new groups have, or half of what all training samples have where there are fewer than 99 groups; None where it is not known.
    """

    asvs: KnownAsvs | None
    least_reads: int | None = None
    least_asvs: int | None = None

    @classmethod
    def fit(cls, study: Study, rows: np.ndarray, groups: np.ndarray | None, seed: int) -> Novelty:
        """Fit to the samples `rows` of a study, as a model with `seed` sees them; groups: labels of these rows, or None."""
        survey = _Survey.of(study, rows, groups, seed)
        known = None if study.sequences is None else KnownAsvs.fit(study, survey, seed)
        return cls(known, _least(survey.reads, survey.unit), _least(survey.sizes, survey.unit))

    def measure(self, study: Study, seed: int) -> Measured:
        """Measure all samples of a study, as a model with `seed` sees them."""
        reads, sizes = (np.zeros(len(study), dtype=np.int64) for _ in range(2))
        known = self.asvs
        distance = None if known is None else np.zeros(len(study))
        far = np.full(len(study.table.feature_ids), np.nan)
        for places, counts in _drawn(study, study.rows, seed):
            reads[places], sizes[places] = counts.sum(axis=1), np.diff(counts.indptr)
            if known is not None and distance is not None:
                columns = np.unique(counts.indices)
                new = columns[np.isnan(far[columns])]
                far[new] = known.far(study.asv_tokens, new)
                distance[places] = _mean_over(counts, np.nan_to_num(far))
        return Measured(self, distance, reads, sizes)


def novelty_of(study: Study, rows: np.ndarray, groups: np.ndarray | None, seed: int) -> Callable[[], Novelty]:
    """What fits it to the samples `rows` of a study when it is called; groups: labels [N] of all samples, or None."""
    return partial(Novelty.fit, study, rows, None if groups is None else groups[rows], seed)


@dataclass(frozen=True, eq=False)
class Measured:
    """Samples beside what is known of the training samples. distance: float64 [N], mean distance of a sample's ASVs to the nearest
    known ones as a multiple of the limit, or None where it is not known; reads, sizes: int64 [N], its reads and ASVs.
    """

    known: Novelty
    distance: np.ndarray | None
    reads: np.ndarray
    sizes: np.ndarray

    @cached_property
    def reasons(self) -> dict[str, np.ndarray]:
        """Why samples are out of distribution: what is wrong, and of which samples, bool [N]."""
        found = {}
        if self.distance is not None:
            found["unlike ASVs"] = self.distance > 1
        if self.known.least_reads is not None:
            found["few reads"] = self.reads < self.known.least_reads
        if self.known.least_asvs is not None:
            found["few ASVs"] = self.sizes < self.known.least_asvs
        return found

    @property
    def out_of_distribution(self) -> np.ndarray:
        """Bool [N]."""
        return np.any([*self.reasons.values()], axis=0)

    @property
    def novelty(self) -> np.ndarray | None:
        """The distance, or where a sample has too little in it, how many times too little, if that is more: above 1 a sample is
        out of distribution. None where distances are not known.
        """
        if self.distance is None:
            return None
        found = self.distance
        for least, has in ((self.known.least_reads, self.reads), (self.known.least_asvs, self.sizes)):
            if least is not None:
                found = np.where(has < least, np.maximum(found, least / has.clip(min=0.5)), found)
        return found

    def columns(self) -> dict[str, np.ndarray]:
        """Columns of a table: distance_to_training, out_of_distribution, and where they are known reads, asvs and reason."""
        found: dict[str, np.ndarray] = {} if self.distance is None else {"distance_to_training": self.distance}
        found["out_of_distribution"] = self.out_of_distribution
        if self.known.least_reads is not None:
            why = ["; ".join(name for name, wrong in self.reasons.items() if wrong[row]) for row in range(len(self.reads))]
            found |= {"reads": self.reads, "asvs": self.sizes, "reason": np.array(why, dtype=object)}
        return found


@dataclass(frozen=True, eq=False)
class _Survey:
    """Training samples: their rows, the unit that counts once (group, or the sample itself), reads and ASVs, int64 [n]; and of each
    ASV int64 [M] the samples that have it, and the unit that has it alone, or no one.
    """

    rows: np.ndarray
    unit: np.ndarray
    reads: np.ndarray
    sizes: np.ndarray
    samples: np.ndarray
    owner: np.ndarray

    @classmethod
    def of(cls, study: Study, rows: np.ndarray, groups: np.ndarray | None, seed: int) -> _Survey:
        """The samples `rows` of a study, some at a time."""
        unit = np.arange(len(rows)) if groups is None else np.unique(groups, return_inverse=True)[1]
        reads, sizes = (np.zeros(len(rows), dtype=np.int64) for _ in range(2))
        asvs = len(study.table.feature_ids)
        samples, first, last = np.zeros(asvs, dtype=np.int64), np.full(asvs, len(rows)), np.full(asvs, _NO_ONE)
        for places, counts in _drawn(study, rows, seed):
            reads[places], sizes[places] = counts.sum(axis=1), np.diff(counts.indptr)
            units = np.repeat(unit[places], np.diff(counts.indptr))
            samples += np.bincount(counts.indices, minlength=asvs)
            np.minimum.at(first, counts.indices, units)
            np.maximum.at(last, counts.indices, units)
        return cls(rows, unit, reads, sizes, samples, np.where(first == last, first, _NO_ONE))


def _drawn(study: Study, rows: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, sparse.csr_array]]:
    """The samples `rows` as a model sees them: places in `rows`, and reads CSR int64."""
    dataset = SampleDataset(study.table, study.reads, seed)
    for places, counts in by_blocks(study.table.counts, rows, "Measuring novelty"):
        yield places, dataset.drawn(rows[places]) if study.reads.draws else counts


def _rounded(words: SequenceWords) -> SequenceWords:
    """The same with directions as they are kept: in half precision, where that has numbers as large."""
    half = words.directions.astype(np.float16)
    return replace(words, directions=half.astype(np.float32)) if np.isfinite(half).all() else words


def _least(values: np.ndarray, unit: np.ndarray) -> int:
    """What a sample of a new group has or exceeds with a high probability; where groups are too few to tell, half of the least."""
    found = threshold(-values, unit, _COVERAGE_OF_SIZES)
    return int(-found) if math.isfinite(found) else max(1, int(values.min()) // 2)


def _spread(items: np.ndarray, most: int) -> np.ndarray:
    """As many of some items as are wanted, evenly spread over them."""
    return items[:: -(-len(items) // most)] if len(items) > most else items


def _vectors(words: SequenceWords, asv_tokens: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Vectors float32 [columns, W], some at a time: their words take much more memory."""
    parts = [words.vectors(asv_tokens[columns[start : start + _AT_ONCE]]) for start in range(0, len(columns), _AT_ONCE)]
    return np.concatenate([np.zeros((0, len(words.shift)), dtype=np.float32), *parts])


def _as_items(vectors: np.ndarray) -> np.ndarray:
    """Rows [n, W] as one item each, [n], which are equal where all their bytes are."""
    return np.ascontiguousarray(vectors).view(np.dtype((np.void, vectors.dtype.itemsize * vectors.shape[1]))).ravel()


def _mean_over(counts: sparse.csr_array, distance: np.ndarray) -> np.ndarray:
    """Mean of the distances [M] of the ASVs that are in each sample, CSR [N, M] -> [N]."""
    present = counts.astype(bool).astype(np.float64)
    return np.asarray(present @ distance) / np.diff(counts.indptr).clip(min=1)


def nearest(
    asked: np.ndarray, known: np.ndarray, asked_owner: np.ndarray | None = None, known_owner: np.ndarray | None = None
) -> np.ndarray:
    """Distance of each vector [n, W] to the nearest of the known [M, W], those of the same owner left out; 0 where none is left."""
    device = default_device()
    found = np.zeros(len(asked))
    reference = torch.from_numpy(known).to(device)
    squares = reference.square().sum(dim=1)
    starts = range(0, len(asked), _AT_ONCE)
    for start in track(starts, "Measuring novelty", len(starts)) if len(starts) > _LONG else starts:
        some = slice(start, start + _AT_ONCE)
        vectors = torch.from_numpy(asked[some]).to(device)
        # Which is nearest takes a product; how near, a difference: that of squares would not be 0 for the same vector.
        apart = squares - 2 * vectors @ reference.T
        left = torch.ones(len(vectors), dtype=torch.bool)
        if asked_owner is not None and known_owner is not None:
            same = torch.from_numpy((asked_owner[some][:, None] == known_owner) & (known_owner != _NO_ONE))
            apart[same.to(device)] = torch.inf
            left = ~same.all(dim=1)
        near = torch.linalg.vector_norm(vectors - reference[apart.argmin(dim=1)], dim=1).cpu()
        found[some] = torch.where(left, near, 0.0).numpy()
    return found
