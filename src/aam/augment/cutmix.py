"""Compositional CutMix: each ASV as in one of two samples (Gordon-Rodriguez et al. 2022, NeurIPS)."""

from __future__ import annotations

import numpy as np

from aam.augment.sample import Context, Sample, resampled, side_by_side


def cutmix(sample: Sample, strength: float, rng: np.random.Generator, context: Context) -> Sample:
    """Take each ASV's share from another training sample with one probability of up to `strength`.

    The target is mixed by the share of the reads that come from the other, so that samples of different classes, and numbers, mix:
    scikit-bio mixes within a class only.
    """
    partner = context.partner(sample, rng)
    if partner is None:
        return sample
    columns, own, other = side_by_side(sample, *context.read(partner))
    swapped = rng.random(len(columns)) < strength * rng.random()
    mixed = np.where(swapped, other / other.sum(), own / own.sum())
    if not mixed.sum():
        return sample
    return resampled(sample, columns, mixed, rng).mixed(partner, float(mixed[swapped].sum() / mixed.sum()))
