"""Forests and boosted trees of scikit-learn as plain arrays, so that a saved model holds no code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

# Samples of a leaf of boosted trees: what scikit-learn takes, and a share that leaves a few samples something to split.
_LEAF, _LEAF_SHARE = 20, 5
# Of medians: rows at a time, and weights that are the same.
_ROWS_AT_ONCE, ROUNDING = 256, 1e-9


def boosting_leaf(n: int) -> int:
    """Minimum number of samples of a leaf of boosted trees, for n training samples: 20, a fifth of under a hundred samples."""
    return min(_LEAF, max(2, n // _LEAF_SHARE))


@dataclass(frozen=True, eq=False)
class Trees:
    """Binary trees, whose values are added up.

    Of all nodes of all trees: feature int32 (-1 for a leaf), threshold float64 (below or equal goes left), left and right int32,
    which come after their node, value float64 [nodes, outputs]. roots: int32 [trees]; start: float64 [outputs], what is added to.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    roots: np.ndarray
    start: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """x float32 [N, features] -> sums over the trees, float64 [N, outputs]."""
        total = np.tile(self.start, (len(x), 1))
        for leaf in self.leaves(x):
            total += self.value[leaf]
        return total

    def leaves(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """Of each tree, the leaf of each row of x float32 [N, features], as a node [N]."""
        values, width = np.ascontiguousarray(x).ravel(), x.shape[1]
        for root in self.roots:
            node = np.full(len(x), root)
            # Of the rows that are not in a leaf yet: which they are, and their nodes.
            row = np.flatnonzero(self.feature.take(node) >= 0)
            here = node.take(row)
            while len(row):
                goes_left = values.take(row * width + self.feature.take(here)) <= self.threshold.take(here)
                here = np.where(goes_left, self.left.take(here), self.right.take(here))
                node[row] = here
                inner = self.feature.take(here) >= 0
                row, here = row[inner], here[inner]
            yield node


@dataclass(frozen=True, eq=False)
class LeafValues:
    """The targets of the training samples in each leaf of a forest: its median is what errs least by absolute error, and comes in
    steps where the target does (quantile regression forests; Meinshausen 2006).

    levels: float64, the distinct targets, sorted; start: int64 [nodes + 1], where each node's samples begin in level: int32, the
    place of each sample's target among the levels.
    """

    levels: np.ndarray
    start: np.ndarray
    level: np.ndarray

    @classmethod
    def of(cls, trees: Trees, x: np.ndarray, targets: np.ndarray) -> LeafValues:
        """Of training samples x float32 [n, features] with their targets [n]."""
        levels, level = np.unique(targets.astype(np.float64), return_inverse=True)
        leaf = np.concatenate(list(trees.leaves(x)))
        start = np.concatenate([[0], np.bincount(leaf, minlength=len(trees.feature)).cumsum()])
        order = np.argsort(leaf, kind="stable")
        return cls(levels, start, np.tile(level, len(trees.roots))[order].astype(np.int32))

    def require_fit(self, trees: Trees) -> None:
        """ValueError for leaves that are not those of these trees: an empty one, or samples without a target."""
        leaves = trees.feature < 0
        whole = self.start.shape == (len(leaves) + 1,) and self.start[0] == 0 and self.start[-1] == len(self.level)
        if not whole or (np.diff(self.start) < leaves).any() or not ((self.level >= 0) & (self.level < len(self.levels))).all():
            raise ValueError("leaves without targets")

    def medians(self, trees: Trees, x: np.ndarray) -> np.ndarray:
        """Median, float64 [N], of the mean over the trees of the targets in the leaf of each row of x float32 [N, features]."""
        leaves = np.stack(list(trees.leaves(x)), axis=1)
        sizes = np.diff(self.start)
        parts = np.repeat(1 / np.maximum(sizes, 1), sizes)
        by_leaf = sparse.csr_array((parts, self.level, self.start), shape=(len(sizes), len(self.levels)))
        some = [leaves[start : start + _ROWS_AT_ONCE] for start in range(0, len(x), _ROWS_AT_ONCE)]
        return np.concatenate([np.zeros(0), *(self._medians(by_leaf, part) for part in some)])

    def _medians(self, by_leaf: sparse.csr_array, leaves: np.ndarray) -> np.ndarray:
        """by_leaf: weights of the levels in each node, CSR [nodes, levels]; leaves: of each row in each tree [n, trees]."""
        n, trees = leaves.shape
        chosen = sparse.csr_array((np.ones(leaves.size), leaves.ravel(), np.arange(n + 1) * trees), shape=(n, by_leaf.shape[0]))
        below = (chosen @ by_leaf).toarray().cumsum(axis=1)
        half = below[:, -1:] / 2
        # Where half of the weight is below a gap, the middle of it.
        lower, upper = ((below >= half + beyond).argmax(axis=1) for beyond in (-ROUNDING, ROUNDING))
        return (self.levels[lower] + self.levels[upper]) / 2


def of_forest(forest: Any) -> Trees:
    """Of a fitted forest or extra trees: the sum is the mean prediction, or the mean probabilities of its classes."""
    trees = [estimator.tree_ for estimator in forest.estimators_]
    ends = np.cumsum([0, *(tree.node_count for tree in trees)])
    value = np.concatenate([tree.value[:, 0, :] for tree in trees]) / len(trees)
    return Trees(
        np.concatenate([np.where(tree.children_left < 0, -1, tree.feature) for tree in trees]).astype(np.int32),
        np.concatenate([tree.threshold for tree in trees]),
        np.concatenate([tree.children_left + start for tree, start in zip(trees, ends, strict=False)]).astype(np.int32),
        np.concatenate([tree.children_right + start for tree, start in zip(trees, ends, strict=False)]).astype(np.int32),
        value,
        ends[:-1].astype(np.int32),
        np.zeros(value.shape[1]),
    )


def of_boosting(model: Any) -> Trees:
    """Of a fitted HistGradientBoosting model: the sum is what its link function is applied to, one output per number or class.

    scikit-learn offers no public way to these trees; `tests/ensemble/test_members.py` holds the equality.
    """
    by_output = [(output, tree.nodes) for step in model._predictors for output, tree in enumerate(step)]
    ends = np.cumsum([0, *(len(nodes) for _, nodes in by_output)])
    outputs = model.n_trees_per_iteration_
    value = np.zeros((ends[-1], outputs))
    for (output, nodes), start in zip(by_output, ends, strict=False):
        value[start : start + len(nodes), output] = np.where(nodes["is_leaf"], nodes["value"], 0.0)
    joined = np.concatenate([nodes for _, nodes in by_output])
    offset = np.repeat(ends[:-1], np.diff(ends))
    return Trees(
        np.where(joined["is_leaf"], -1, joined["feature_idx"]).astype(np.int32),
        joined["num_threshold"].astype(np.float64),
        joined["left"].astype(np.int32) + offset,
        joined["right"].astype(np.int32) + offset,
        value,
        ends[:-1].astype(np.int32),
        np.asarray(model._baseline_prediction, dtype=np.float64).reshape(outputs),
    )
