"""Sequencing errors: nucleotides read as others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aam.augment.sample import Context, Sample
from aam.data.sequences import Nucleotide

# At the least, where it is done at random.
_LEAST = 0.001
_LETTERS = 4


def substitute(sample: Sample, strength: float, rng: np.random.Generator, context: Context) -> Sample:
    """Substitute nucleotides at a random rate, from 0.1 % to `strength`."""
    return substituted(sample, rng.uniform(min(_LEAST, strength), strength), rng, context)


def substituted(sample: Sample, rate: float, rng: np.random.Generator, context: Context) -> Sample:
    """Replace each nucleotide of each ASV by one of the three others with a probability `rate`."""
    tokens = context.tokens_of(sample)
    hit = (rng.random(tokens.shape) < rate) & (tokens >= Nucleotide.A) & (tokens <= Nucleotide.T)
    others = (tokens - Nucleotide.A + rng.integers(1, _LETTERS, tokens.shape, dtype=np.uint8)) % _LETTERS + Nucleotide.A
    return replace(sample, tokens=np.where(hit, others, tokens).astype(np.uint8))
