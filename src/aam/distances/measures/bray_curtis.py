"""Bray-Curtis: sum |x - y| over sum (x + y), of the reads x and y of each ASV (Bray & Curtis 1957).

Of reads, not of shares, as scikit-bio and QIIME 2 have it: samples of unequal depth are rarefied first. As a sum of minima it is
weighted normalized UniFrac on a star whose tips are the ASVs, but for its shares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from aam.distances.all_pairs import all_pairs
from aam.distances.matrix import Compared
from aam.distances.nodes import as_nodes, split
from aam.distances.registry import Setting

if TYPE_CHECKING:
    from torch import Tensor


def of_table(counts: sparse.csr_array, setting: Setting) -> np.ndarray:
    """Distances [N, N] of a table."""
    from aam.distances.shares import MinimumShares

    sharing = MinimumShares(*split(as_nodes(counts)))
    return all_pairs(Compared(sharing, "weighted_normalized"), counts.shape[0], "Bray-Curtis")


def of_batch(reads: Tensor, setting: Setting) -> Tensor:
    """Distances [B, B] of a batch, from reads [B, U]."""
    import torch

    depth = reads.sum(dim=1)
    return torch.cdist(reads, reads, p=1) / (depth.unsqueeze(1) + depth).clamp_min_(1)
