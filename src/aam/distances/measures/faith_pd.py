"""Faith PD: the length of the paths from a sample's ASVs to the root, in the tree's unit (Faith 1992)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from aam.distances.matrix import faith_pd
from aam.distances.registry import Setting

if TYPE_CHECKING:
    from torch import nn


def of_table(counts: sparse.csr_array, setting: Setting) -> np.ndarray:
    """Of each sample of a table, [N]."""
    return faith_pd(counts, setting.tree)


def of_batches(setting: Setting) -> nn.Module:
    """Of a batch."""
    from aam.distances.unifrac import FaithPD

    return FaithPD(setting.tree)
