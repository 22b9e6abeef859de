"""Dropout of ASVs: they were not found."""

from __future__ import annotations

import numpy as np

from aam.augment.sample import Context, Sample


def drop(sample: Sample, strength: float, rng: np.random.Generator, context: Context) -> Sample:
    """Leave out ASVs, each with one probability of up to `strength`; the most abundant one stays at least."""
    return dropped(sample, strength * rng.random(), rng)


def dropped(sample: Sample, share: float, rng: np.random.Generator) -> Sample:
    """Leave out each ASV with a probability `share`."""
    kept = rng.random(len(sample.columns)) >= share
    kept[sample.counts.argmax()] |= not kept.any()
    return sample.with_reads(sample.columns, np.where(kept, sample.counts, 0))
