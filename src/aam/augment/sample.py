"""A sample that is augmented, and what augmentations may look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from aam.data.phylogeny import Phylogeny


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample: table columns int64 [S], sorted, and their reads int64 [S], 1 or more each.

    parents: rows of the samples that it comes from, int64 [P]; weights: how much each counts in its target, float64 [P], adding up
    to 1; tokens: uint8 [S, 1 + L] of its ASVs, where they are not those of the table.
    """

    columns: np.ndarray
    counts: np.ndarray
    parents: np.ndarray
    weights: np.ndarray
    tokens: np.ndarray | None = None

    @classmethod
    def of(cls, row: int, columns: np.ndarray, counts: np.ndarray) -> Sample:
        """The sample of a row of a table."""
        return cls(columns.astype(np.int64), counts.astype(np.int64), np.array([row]), np.ones(1))

    @property
    def depth(self) -> int:
        """Reads."""
        return int(self.counts.sum())

    def with_reads(self, columns: np.ndarray, counts: np.ndarray) -> Sample:
        """The same with other reads; ASVs without any are left out."""
        there = counts > 0
        return replace(self, columns=columns[there], counts=counts[there].astype(np.int64))

    def mixed(self, partner: int, share: float) -> Sample:
        """The same with a partner that counts for a `share` of the target."""
        if share == 0:
            return self
        parents = np.append(self.parents, partner)
        return replace(self, parents=parents, weights=np.append((1 - share) * self.weights, share))


@dataclass(frozen=True, eq=False)
class Clades:
    """The nodes of a tree as intervals of tips: tip_of: int64 [M], place of each table column among the tips, or -1; start, end:
    int64 [K].
    """

    tip_of: np.ndarray
    start: np.ndarray
    end: np.ndarray

    @classmethod
    def of(cls, phylogeny: Phylogeny, columns: int) -> Clades:
        """Of a tree that was sheared to a table of so many columns."""
        tip_of = np.full(columns, -1, dtype=np.int64)
        tip_of[phylogeny.tip_columns] = np.arange(len(phylogeny.tip_columns))
        return cls(tip_of, phylogeny.node_start, phylogeny.node_end)


@dataclass(frozen=True, eq=False)
class Context:
    """The training samples, and nothing of others.

    rows: int64 [n], in an order that does not depend on that of the table; read: the columns and counts of a row; tokens: uint8
    [M, 1 + L] of the table; clades: of its tree, where there is one.
    """

    rows: np.ndarray
    read: Callable[[int], tuple[np.ndarray, np.ndarray]]
    tokens: np.ndarray
    clades: Clades | None = None

    def partner(self, sample: Sample, rng: np.random.Generator) -> int | None:
        """A training sample that it does not come from, at random; None where there is none."""
        others = self.rows[~np.isin(self.rows, sample.parents)]
        return int(rng.choice(others)) if len(others) else None

    def tokens_of(self, sample: Sample) -> np.ndarray:
        """Tokens of its ASVs, uint8 [S, 1 + L]."""
        return self.tokens[sample.columns] if sample.tokens is None else sample.tokens


# Changes a sample by a strength, which is the most that it may do.
Augmentation = Callable[[Sample, float, np.random.Generator, Context], Sample]


def side_by_side(sample: Sample, columns: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns that one of two samples has, int64 [U], and the reads of each sample there, float64 [U]."""
    union = np.union1d(sample.columns, columns)
    own, other = np.zeros(len(union)), np.zeros(len(union))
    own[np.searchsorted(union, sample.columns)] = sample.counts
    other[np.searchsorted(union, columns)] = counts
    return union, own, other


def resampled(sample: Sample, columns: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> Sample:
    """As many reads as the sample has, drawn from shares float64 [U]: what is mixed stays whole counts at the sample's depth."""
    return sample.with_reads(columns, rng.multinomial(sample.depth, shares / shares.sum()))
