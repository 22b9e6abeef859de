"""Samples by what carries their predictions: a principal component analysis of attributions, as a biplot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse.linalg import svds

from aam.explain.story import Story, matrix_of

if TYPE_CHECKING:
    from skbio.stats.ordination import OrdinationResults

_AXES, _ARROWS = 3, 30
# A small matrix is decomposed as it is.
_SMALL = 50


def biplot(story: Story) -> OrdinationResults | None:
    """Principal components of the samples by the attributions of their ASVs, and the longest arrows; None where all samples are
    alike, or there are too few for three axes.
    """
    from skbio.stats.ordination import OrdinationResults

    attributions = story.attributions[0]
    matrix = np.concatenate([matrix_of(attributions, k).toarray() for k in range(attributions.value.shape[1])], axis=1)
    centred = matrix - matrix.mean(axis=0)
    variance = float((centred**2).sum())
    if min(centred.shape) <= _AXES or variance <= 0.0:
        return None
    left, strength, right = first_components(centred)
    names = [f"PC{axis + 1}" for axis in range(_AXES)]
    several = len(attributions.output_names) > 1
    ids = [
        f"{feature} {output}" if several else feature
        for output in attributions.output_names
        for feature in attributions.features.ids
    ]
    arrows = right * strength[:, None] / np.sqrt(max(len(centred) - 1, 1))
    longest = np.argsort(-(arrows**2).sum(axis=0), kind="stable")[:_ARROWS]
    return OrdinationResults(
        "PCA",
        "Principal component analysis of attributions",
        eigvals=pd.Series(strength**2 / (len(centred) - 1), index=names),
        samples=pd.DataFrame(left * strength, index=list(story.sample_ids), columns=names),
        features=pd.DataFrame(arrows[:, longest].T, index=[ids[place] for place in longest], columns=names),
        proportion_explained=pd.Series(strength**2 / variance, index=names),
    )


def first_components(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left vectors [n, A], singular values [A], falling, and right vectors [A, F], each with its largest part above 0."""
    if min(centred.shape) <= _SMALL:
        left, strength, right = np.linalg.svd(centred, full_matrices=False)
    else:
        start = np.random.default_rng(0).normal(size=min(centred.shape))
        left, strength, right = svds(centred, k=_AXES, v0=start)
    order = np.argsort(-strength, kind="stable")[:_AXES]
    left, strength, right = left[:, order], strength[order], right[order]
    sign = np.sign(right[np.arange(_AXES), np.abs(right).argmax(axis=1)])
    sign[sign == 0] = 1
    return left * sign, strength, right * sign[:, None]
