"""Trimming: the reads are shorter, or begin elsewhere in the gene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aam.augment.sample import Context, Sample
from aam.data.sequences import Nucleotide


def trim(sample: Sample, strength: float, rng: np.random.Generator, context: Context) -> Sample:
    """Cut nucleotides off both ends, the same for all ASVs of the sample: up to a share `strength` of the longest."""
    tokens = context.tokens_of(sample)
    cut = int(strength * rng.random() * (tokens.shape[1] - 1))
    start = int(rng.integers(0, cut + 1))
    return replace(sample, tokens=trimmed(tokens, start, cut - start))


def trimmed(tokens: np.ndarray, start: int, end: int) -> np.ndarray:
    """Token rows uint8 [S, 1 + L] without the first `start` and the last `end` nucleotides; one stays at least."""
    letters = tokens[:, 1:]
    lengths = np.count_nonzero(letters, axis=1)[:, None]
    first = np.minimum(start, np.maximum(lengths - 1, 0))
    left = np.minimum(np.maximum(lengths - start - end, 1), lengths)
    places = np.arange(letters.shape[1])
    moved = np.take_along_axis(letters, np.minimum(first + places, letters.shape[1] - 1), axis=1)
    return np.hstack([tokens[:, :1], np.where(places < left, moved, Nucleotide.PAD)]).astype(np.uint8)
