"""Shannon diversity: - sum p ln p over the shares p of a sample's ASVs (Shannon 1948).

The logarithm is natural, as in scikit-bio; QIIME 2 takes that of base 2, which is 1 / ln 2 = 1.4427 times as large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse, special

from aam.distances.nodes import as_nodes
from aam.distances.registry import Setting

if TYPE_CHECKING:
    from torch import Tensor


def of_table(counts: sparse.csr_array, setting: Setting) -> np.ndarray:
    """Of each sample of a table, [N]."""
    terms = as_nodes(counts)
    depths = terms.sum(axis=1)
    terms.data = special.entr(terms.data / np.repeat(depths, np.diff(terms.indptr)))
    return np.asarray(terms.sum(axis=1))


def of_batch(reads: Tensor, setting: Setting) -> Tensor:
    """Of each sample of a batch, [B], from reads [B, U]."""
    import torch

    shares = reads / reads.sum(dim=1, keepdim=True).clamp_min(1)
    return torch.special.entr(shares).sum(dim=1)
