"""Robust Aitchison: Euclidean distance between robust centred log-ratios, without a pseudocount (Martino et al. 2019).

The ratios of a sample are log x minus the mean of log x over the ASVs that it has; those that it lacks stay at 0, the sample's own
mean. That is vegan's decostand("rclr") without imputation, and scikit-bio's `rclr` with 0 for its NaN. DEICODE, gemelli and, by
default, newer versions of vegan (2.7) complete the missing ratios by a matrix of low rank before they compare samples: another
distance. A sample without reads would have all ratios 0.
"""

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
    ratios = as_nodes(counts)
    np.log(ratios.data, out=ratios.data)
    richness = np.diff(ratios.indptr)
    ratios.data -= np.repeat(ratios.sum(axis=1) / np.maximum(richness, 1), richness)
    return all_pairs(Euclidean(ratios, np.zeros(len(richness))), len(richness), "Robust Aitchison")


def of_batch(reads: Tensor, setting: Setting) -> Tensor:
    """Distances [B, B] of a batch, from reads [B, U]."""
    import torch

    logs, present = reads.clamp_min(1).log(), reads > 0
    centre = logs.sum(dim=1, keepdim=True) / present.sum(dim=1, keepdim=True).clamp_min(1)
    ratios = (logs - centre) * present
    return torch.cdist(ratios, ratios, compute_mode="donot_use_mm_for_euclid_dist")
