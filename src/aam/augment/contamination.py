"""Contamination: some reads of another sample drop in."""

from __future__ import annotations

import numpy as np

from aam.augment.sample import Context, Sample, side_by_side


def contaminate(sample: Sample, strength: float, rng: np.random.Generator, context: Context) -> Sample:
    """Add reads of another training sample, up to a share `strength` of the sample's own; the target stays."""
    partner = context.partner(sample, rng)
    return sample if partner is None else contaminated(sample, strength * rng.random(), rng, *context.read(partner))


def contaminated(sample: Sample, share: float, rng: np.random.Generator, columns: np.ndarray, counts: np.ndarray) -> Sample:
    """Add reads of a sample with these columns and counts, as many as a share of the sample's own, or all that it has."""
    reads = min(round(share * sample.depth), int(counts.sum()))
    union, own, other = side_by_side(sample, columns, rng.multivariate_hypergeometric(counts, reads, method="marginals"))
    return sample.with_reads(union, own + other)
