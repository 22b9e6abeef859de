"""Jaccard: of the ASVs that any of two samples has, the share that one of them lacks (Jaccard 1901).

Of presence, not of reads: it is unweighted UniFrac on a star whose tips are the ASVs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from aam.distances.all_pairs import all_pairs
from aam.distances.matrix import Compared
from aam.distances.nodes import as_nodes, split
from aam.distances.products import Presence
from aam.distances.registry import Setting

if TYPE_CHECKING:
    from torch import Tensor


def of_table(counts: sparse.csr_array, setting: Setting) -> np.ndarray:
    """Distances [N, N] of a table."""
    present = as_nodes(counts)
    present.data[:] = 1
    return all_pairs(Compared(Presence(*split(present)), "unweighted"), counts.shape[0], "Jaccard")


def of_batch(reads: Tensor, setting: Setting) -> Tensor:
    """Distances [B, B] of a batch, from reads [B, U]."""
    present = (reads > 0).double()
    richness, both = present.sum(dim=1), present @ present.T
    either = richness.unsqueeze(1) + richness - both
    return (either - both) / either.clamp_min(1)
