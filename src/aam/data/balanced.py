"""Samples in an order that has groups side by side, whatever their sizes."""

from __future__ import annotations

import numpy as np


def balanced(groups: np.ndarray, of_each: int, in_batch: int, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many rows as are given, `of_each` of a group and of `in_batch` groups in turn: larger ones come more often, by the square
    root of their size.

    groups [N]: of all samples. A sample may come twice, and another one not at all.
    """
    members = [rows[groups[rows] == group] for group in np.unique(groups[rows])]
    share = np.sqrt([len(part) for part in members])
    share /= share.sum()
    in_batch = min(in_batch, len(members))
    blocks: list[np.ndarray] = []
    while sum(map(len, blocks)) < len(rows):
        for group in rng.choice(len(members), in_batch, replace=False, p=share):
            part = members[group]
            blocks.append(rng.choice(part, of_each, replace=len(part) < of_each))
    return np.concatenate(blocks)[: len(rows)]
