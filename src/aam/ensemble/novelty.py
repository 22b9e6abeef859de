"""Novelty: how far a sample is from the training samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from aam.compute import default_device
from aam.ensemble.catalogue import SeenTable
from aam.scoring.intervals import threshold

# Share of the samples of new groups, of the same kind, that are not said to be out of distribution.
_COVERAGE = 0.95
# ASVs of the training samples that are compared with, at most: those in most samples.
_MOST = 20_000
_AT_ONCE = 1024
# Below this share of new ASVs, as far from known ones as these are from each other, a sample is not out of distribution.
_LEAST_NEW = 0.25
_NO_ONE = -1


@dataclass(frozen=True, eq=False)
class Novelty:
    """vectors: float32 [n, W] of ASVs of training samples; limit: mean distance of a sample's ASVs to the nearest of them above
    which it is out of distribution.
    """

    vectors: np.ndarray
    limit: float

    @classmethod
    def fit(cls, table: SeenTable, rows: np.ndarray, groups: np.ndarray | None) -> Novelty:
        """Fit to the samples `rows` of a table: how far each is from the ASVs of other groups; groups [rows] or None.

        Where groups are too few for the wanted share, the limit is the largest of those distances.
        """
        counts = table.counts[rows]
        samples = np.bincount(counts.indices, minlength=counts.shape[1])
        seen = np.flatnonzero(samples)
        kept = np.sort(seen[np.argsort(-samples[seen], kind="stable")[:_MOST]])
        unit = np.arange(len(rows)) if groups is None else np.unique(groups, return_inverse=True)[1]
        present = counts.astype(bool).astype(np.float64)
        by_unit = sparse.csr_array((np.ones(len(rows)), (unit, np.arange(len(rows)))), (unit.max() + 1, len(rows))) @ present
        by_column = sparse.csc_array(by_unit)
        groups_with = np.diff(by_column.indptr)
        # Of an ASV that one group has alone, that group; what is in several is no one's.
        owner = np.full(counts.shape[1], _NO_ONE)
        owner[groups_with == 1] = by_column.indices[by_column.indptr[:-1][groups_with == 1]]
        # What other groups have too, and is compared with, is at distance 0.
        far = np.setdiff1d(seen, kept[groups_with[kept] > 1])
        distance = np.zeros(counts.shape[1])
        distance[far] = nearest(table.vectors[far], table.vectors[kept], owner[far], owner[kept])
        each = mean_over(present, distance)
        limit = threshold(each, unit, _COVERAGE)
        limit = limit if math.isfinite(limit) else float(each.max())
        # Where all groups share all ASVs, as after a filter of prevalence, one new ASV is not enough.
        some = kept[:: -(-len(kept) // _AT_ONCE)]
        typical = float(np.median(nearest(table.vectors[some], table.vectors[kept], some, kept)))
        return cls(table.vectors[kept], max(limit, _LEAST_NEW * typical, 1e-6))

    def distances(self, table: SeenTable) -> np.ndarray:
        """How far the ASVs of each sample are from those of the training samples, float64 [N], as a multiple of the limit."""
        return mean_over(table.counts.astype(bool).astype(np.float64), nearest(table.vectors, self.vectors)) / self.limit


def mean_over(present: sparse.csr_array, distance: np.ndarray) -> np.ndarray:
    """Mean of the distances [M] of the ASVs that are in each sample, CSR [N, M] of ones -> [N]."""
    return np.asarray(present @ distance) / np.asarray(present.sum(axis=1)).ravel().clip(min=1)


def nearest(
    asked: np.ndarray, known: np.ndarray, asked_owner: np.ndarray | None = None, known_owner: np.ndarray | None = None
) -> np.ndarray:
    """Distance of each vector [n, W] to the nearest of the known [M, W], those of the same owner left out; 0 where none is left."""
    device = default_device()
    found = np.zeros(len(asked))
    reference = torch.from_numpy(known).to(device)
    for start in range(0, len(asked), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        # Exact: a difference of squares would not be 0 for the same vector.
        apart = torch.cdist(torch.from_numpy(asked[some]).to(device), reference, compute_mode="donot_use_mm_for_euclid_dist").cpu()
        if asked_owner is not None and known_owner is not None:
            same = (asked_owner[some][:, None] == known_owner) & (known_owner != _NO_ONE)
            apart[torch.from_numpy(same)] = torch.inf
        found[some] = apart.min(dim=1).values.numpy()
    return np.where(np.isfinite(found), found, 0.0)
