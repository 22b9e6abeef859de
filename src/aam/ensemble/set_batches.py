"""Samples of a table as batches of set networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse

from aam.models.set_networks import SetBatch


def set_batch(
    counts: sparse.csr_array, rows: np.ndarray, dropout: float = 0.0, draws: Sequence[np.random.Generator] = ()
) -> SetBatch:
    """The samples `rows` [E, B] of a table, B for each of E networks.

    dropout: maximum share of a sample's ASVs that is left out, drawn by each network's own `draws`; two ASVs stay at least.
    """
    networks, samples = rows.shape
    column, count, sample = _places(counts, rows.ravel())
    if dropout:
        kept = _kept(sample, rows.shape, dropout, draws)
        column, count, sample = column[kept], count[kept], sample[kept]
    sizes = np.bincount(sample, minlength=rows.size)
    reads = np.bincount(sample, weights=count, minlength=rows.size)
    network, lengths = sample // samples, sizes.reshape(rows.shape).sum(axis=1)
    longest = max(int(lengths.max()), 1)
    distinct, occurrence = np.unique(network * counts.shape[1] + column, return_inverse=True)
    owner = distinct // counts.shape[1]
    columns, within = _rows_of(distinct % counts.shape[1], owner, networks)
    asv, _ = _rows_of(within[occurrence], network, networks, longest)
    log_share, _ = _rows_of(np.log(count / reads[sample]).astype(np.float32), network, networks, longest)
    padded = np.column_stack([sizes.reshape(rows.shape), longest - lengths])
    offsets = np.concatenate([[0], padded.ravel().cumsum()])
    log_size = np.log(sizes.clip(min=1)).reshape(rows.shape).astype(np.float32)
    return SetBatch(*map(torch.from_numpy, (columns, asv, log_share, offsets, log_size)))


def _places(counts: sparse.csr_array, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of all ASVs of the samples `rows`, one sample after the other: column, count, and number of the sample."""
    sizes = np.diff(counts.indptr)[rows].astype(np.int64)
    sample = np.repeat(np.arange(len(rows)), sizes)
    place = np.arange(len(sample)) + np.repeat(counts.indptr[rows] - (sizes.cumsum() - sizes), sizes)
    return counts.indices[place].astype(np.int64), counts.data[place].astype(np.float64), sample


def _kept(sample: np.ndarray, shape: tuple[int, int], dropout: float, draws: Sequence[np.random.Generator]) -> np.ndarray:
    """Which ASVs stay, bool, from the number of the sample of each."""
    lengths = np.bincount(sample, minlength=shape[0] * shape[1]).reshape(shape).sum(axis=1)
    left_out = dropout * np.concatenate([draw.random(shape[1]) for draw in draws])
    kept = np.concatenate([draw.random(int(length)) for draw, length in zip(draws, lengths, strict=True)]) >= left_out[sample]
    too_few = np.bincount(sample[kept], minlength=len(left_out)) < 2
    return kept | too_few[sample]


def _rows_of(values: np.ndarray, owner: np.ndarray, rows: int, width: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Values of row after row as an array [rows, longest or `width`], 0 where a row is shorter; and the place of each."""
    lengths = np.bincount(owner, minlength=rows)
    place = np.arange(len(values)) - (lengths.cumsum() - lengths)[owner]
    found = np.zeros((rows, width or max(int(lengths.max()), 1)), dtype=values.dtype)
    found[owner, place] = values
    return found, place
