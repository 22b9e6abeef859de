"""Thinning: the sample at a lower depth."""

from __future__ import annotations

import numpy as np

from aam.augment.sample import Context, Sample


def thin(sample: Sample, strength: float, rng: np.random.Generator, context: Context) -> Sample:
    """Leave out a random share of the reads, up to `strength`; one read stays at least."""
    return thinned(sample, strength * rng.random(), rng)


def thinned(sample: Sample, share: float, rng: np.random.Generator) -> Sample:
    """Leave out a share of the reads, drawn without replacement."""
    depth = max(1, round((1 - share) * sample.depth))
    return sample.with_reads(sample.columns, rng.multivariate_hypergeometric(sample.counts, depth, method="marginals"))
