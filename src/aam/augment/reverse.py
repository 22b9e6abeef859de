"""Reverse complement: the sample was read from the other strand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aam.augment.sample import Context, Sample
from aam.data.sequences import Nucleotide

_COMPLEMENT = np.arange(len(Nucleotide), dtype=np.uint8)
_COMPLEMENT[[Nucleotide.A, Nucleotide.C, Nucleotide.G, Nucleotide.T]] = [Nucleotide.T, Nucleotide.G, Nucleotide.C, Nucleotide.A]


def turn(sample: Sample, strength: float, rng: np.random.Generator, context: Context) -> Sample:
    """Turn all ASVs of the sample round, with a probability `strength`."""
    return turned(sample, context) if rng.random() < strength else sample


def turned(sample: Sample, context: Context) -> Sample:
    """Reverse complements of all ASVs."""
    return replace(sample, tokens=reverse_tokens(context.tokens_of(sample)))


def reverse_tokens(tokens: np.ndarray) -> np.ndarray:
    """Reverse complements of token rows uint8 [S, 1 + L], each as long as it was."""
    letters = tokens[:, 1:]
    places = np.arange(letters.shape[1])
    lengths = np.count_nonzero(letters, axis=1)[:, None]
    back = np.take_along_axis(letters, np.maximum(lengths - 1 - places, 0), axis=1)
    turned = np.where(places < lengths, _COMPLEMENT[back], Nucleotide.PAD)
    return np.hstack([tokens[:, :1], turned]).astype(np.uint8)
