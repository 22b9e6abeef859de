"""Aitchison: Euclidean distance between centred log-ratios of x + 1, one read added to every ASV of the table (Aitchison 1982).

With l = log(x + 1), which is 0 where a sample has no reads, and c its mean over all M ASVs of the table, the centred log-ratio is
l - c: -c for the ASVs that a sample lacks. So the distance depends on M: ASVs without any reads count. A sample without reads would
have all ratios 0.
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
    logs = as_nodes(counts)
    np.log1p(logs.data, out=logs.data)
    return all_pairs(Euclidean(logs, logs.sum(axis=1) / setting.n_asvs), counts.shape[0], "Aitchison")


def of_batch(reads: Tensor, setting: Setting) -> Tensor:
    """Distances [B, B] of a batch, from reads [B, U]."""
    import torch

    logs = reads.log1p()
    centre = logs.sum(dim=1, keepdim=True) / setting.n_asvs
    # All ASVs that the batch lacks are as far apart as one with the root of their number times the difference.
    ratios = torch.cat([logs - centre, (setting.n_asvs - logs.shape[1]) ** 0.5 * centre], dim=1)
    return torch.cdist(ratios, ratios, compute_mode="donot_use_mm_for_euclid_dist")
