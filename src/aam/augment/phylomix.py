"""PhyloMix: clades of another sample in place of one's own (Jiang et al. 2025, Bioinformatics btaf014)."""

from __future__ import annotations

import numpy as np

from aam.augment.sample import Clades, Context, Sample, resampled, side_by_side


def phylomix(sample: Sample, strength: float, rng: np.random.Generator, context: Context) -> Sample:
    """Give random clades, up to a share `strength` of the ASVs of both, the proportions that they have in another training sample.

    Their reads stay as many as they were. The target is mixed by the share of the reads that come from the other: unlike in
    scikit-bio, whose target is mixed by the share of the ASVs even where the sample stayed as it was.
    """
    partner = context.partner(sample, rng)
    if partner is None:
        return sample
    # A run without a tree was refused (`require_possible`).
    assert context.clades is not None
    columns, own, other = side_by_side(sample, *context.read(partner))
    chosen = _clades(context.clades, columns, strength * rng.random(), rng)
    mine, theirs = own[chosen].sum(), other[chosen].sum()
    if not (mine and theirs):
        return sample
    mixed = own.copy()
    mixed[chosen] = other[chosen] * (mine / theirs)
    return resampled(sample, columns, mixed, rng).mixed(partner, mine / sample.depth)


def _clades(clades: Clades, columns: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Places in `columns` of a share of them: of clades in random order, until there are enough; int64."""
    tip = clades.tip_of[columns]
    order = np.argsort(tip, kind="stable")
    on_tree = order[np.count_nonzero(tip < 0) :]
    wanted = int(np.ceil(share * len(on_tree)))
    first, last = (np.searchsorted(tip[on_tree], bound) for bound in (clades.start, clades.end))
    nodes = np.flatnonzero(last - first > 0)
    found = np.zeros(len(on_tree), dtype=bool)
    for node in rng.permutation(nodes):
        if found.sum() >= wanted:
            break
        found[first[node] : last[node]] = True
    return rng.permutation(on_tree[found])[:wanted]
