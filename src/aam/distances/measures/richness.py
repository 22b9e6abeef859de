"""Richness: the number of ASVs that a sample has reads of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from aam.distances.registry import Setting

if TYPE_CHECKING:
    from torch import Tensor


def of_table(counts: sparse.csr_array, setting: Setting) -> np.ndarray:
    """Of each sample of a table, [N]."""
    return np.diff(counts.indptr).astype(np.float64)


def of_batch(reads: Tensor, setting: Setting) -> Tensor:
    """Of each sample of a batch, [B], from reads [B, U]."""
    return (reads > 0).sum(dim=1).double()
