"""Hellinger: Euclidean distance between square roots of shares of reads, from 0 to the root of 2 (Legendre & Gallagher 2001)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from aam.distances.all_pairs import all_pairs
from aam.distances.euclidean import Euclidean
from aam.distances.nodes import as_nodes
from aam.distances.registry import Setting

if TYPE_CHECKING:
    from torch import Tensor


def of_table(counts: sparse.csr_array, setting: Setting) -> np.ndarray:
    """Distances [N, N] of a table."""
    roots = as_nodes(counts)
    roots.data = np.sqrt(roots.data / np.repeat(roots.sum(axis=1), np.diff(roots.indptr)))
    return all_pairs(Euclidean(roots, np.zeros(counts.shape[0])), counts.shape[0], "Hellinger")


def of_batch(reads: Tensor, setting: Setting) -> Tensor:
    """Distances [B, B] of a batch, from reads [B, U]."""
    import torch

    roots = (reads / reads.sum(dim=1, keepdim=True).clamp_min(1)).sqrt()
    return torch.cdist(roots, roots, compute_mode="donot_use_mm_for_euclid_dist")
