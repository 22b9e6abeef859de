"""Where features whose effect is planted (`aam.data.simulate`) stand in an explanation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aam.explain.attributions import Importance
from aam.explain.summary import first_apart

# Share of the ASVs of two clades that both have (Jaccard), from which they count as the same: one ASV more or less is a near copy.
_ALIKE = 0.6


def ranks_of(importance: Importance, planted: Sequence[np.ndarray]) -> list[int | None]:
    """The rank, from 1, of each planted clade among those that matter most and are apart from each other (`first_apart`); None for
    one that is not among them. planted: the columns of the ASVs of each.
    """
    named = importance.features.asvs[first_apart(importance, len(importance.features.ids))].toarray()
    ranks: list[int | None] = []
    for columns in planted:
        held = np.isin(np.arange(named.shape[1]), columns)
        alike = (named & held).sum(axis=1) >= _ALIKE * (named | held).sum(axis=1)
        ranks.append(int(alike.argmax()) + 1 if alike.any() else None)
    return ranks
