"""Samples in an order that has groups side by side, whatever their sizes."""

from __future__ import annotations

import numpy as np


def balanced(groups: np.ndarray, batch_size: int, in_batch: int, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many rows as are given, of `in_batch` groups in each batch, as many of one as of another: larger groups come more often,
    drawn by the square root of their size.

    groups [N]: of all samples; `in_batch` divides `batch_size`. A sample may come twice, and another one not at all.
    """
    members = [rows[groups[rows] == group] for group in np.unique(groups[rows])]
    share = np.sqrt([len(part) for part in members])
    share /= share.sum()
    of_each = batch_size // in_batch
    batches = [rng.choice(len(members), in_batch, replace=False, p=share) for _ in range(-(-len(rows) // batch_size))]
    together = [members[group] for batch in batches for group in batch]
    return np.concatenate([rng.choice(part, of_each, replace=len(part) < of_each) for part in together])[: len(rows)]
