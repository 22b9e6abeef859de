"""Aitchison mixup: a point on the straight line between two compositions (Gordon-Rodriguez et al. 2022, NeurIPS)."""

from __future__ import annotations

import numpy as np

from aam.augment.sample import Context, Sample, resampled, side_by_side

# Reads in place of none: the logarithm of 0 would keep only the ASVs that both samples have.
_NONE = 0.5


def mixup(sample: Sample, strength: float, rng: np.random.Generator, context: Context) -> Sample:
    """Mix the sample and its target with another training sample, which counts for up to a share `strength`."""
    partner = context.partner(sample, rng)
    if partner is None:
        return sample
    share = strength * rng.random()
    columns, own, other = side_by_side(sample, *context.read(partner))
    shares = mixed_shares(np.maximum(own, _NONE), np.maximum(other, _NONE), share)
    return resampled(sample, columns, shares, rng).mixed(partner, share)


def mixed_shares(own: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """The weighted geometric mean of two compositions, adding up to 1, float64 [U]; all above 0."""
    logs = (1 - share) * np.log(own / own.sum()) + share * np.log(other / other.sum())
    mixed = np.exp(logs - logs.max())
    return mixed / mixed.sum()
