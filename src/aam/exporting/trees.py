"""Trees of an ensemble as nodes of a graph: each sample's leaf of every tree, and what these say."""

from __future__ import annotations

import numpy as np

from aam.ensemble.members import TreesMember
from aam.ensemble.trees import ROUNDING, LeafValues, Trees
from aam.exporting.nodes import DOUBLE, FLOAT, INT, TREES, Nodes, cast

# Codes of the operator: at most the threshold goes left; values of leaves are added up; nothing is made of the sums.
_AT_MOST, _SUM, _AS_IT_IS = 0, 1, 0


def trees_say(add: Nodes, member: TreesMember, x: str) -> str:
    """What trees say of x float32 [B, features], float64 [B, outputs]: numbers, or class probabilities."""
    nodes = np.flatnonzero(member.trees.feature < 0)
    reached = _reached(add, member.trees, nodes, x)
    if member.leaves is not None:
        return _medians(add, member.leaves, nodes, reached)
    values = add("Gather", member.trees.value[nodes], reached, axis=0)
    said = add("Add", add("ReduceSum", values, np.array([1]), keepdims=0), member.trees.start)
    if member.outputs == 1:
        return said
    if member.link == "sigmoid":
        said = add("Concat", add("Sub", said, said), said, axis=1)
    total = add("ReduceSum", said, np.array([1]))
    said = add("Div", said, total) if member.link == "none" else add("Softmax", said, axis=1)
    return said if len(member.learned) == member.outputs else add("MatMul", said, np.eye(member.outputs)[member.learned])


def _reached(add: Nodes, trees: Trees, nodes: np.ndarray, x: str) -> str:
    """The leaf of each sample in each tree, int64 [B, T], by its place among the leaves; nodes: what node each leaf is."""
    leaf, inner = trees.feature < 0, np.flatnonzero(trees.feature >= 0)
    # Of each node, its place among the leaves or among the others.
    place = np.where(leaf, leaf.cumsum(), (~leaf).cumsum()) - 1
    order = np.argsort(trees.roots, kind="stable")
    tree = order[np.searchsorted(trees.roots[order], nodes, side="right") - 1]
    first = np.unique(tree, return_index=True)[1]
    # A tree of one leaf is made a node both of whose sides are that leaf.
    alone = np.flatnonzero(leaf[trees.roots])
    more, roots = np.zeros(len(alone), dtype=np.int64), place[trees.roots]
    own, roots[alone] = roots[alone], len(inner) + np.arange(len(alone))

    def below(children: np.ndarray) -> tuple[list[int], list[int]]:
        to = children[inner]
        return np.concatenate([place[to], own]).tolist(), np.concatenate([leaf[to], more + 1]).astype(int).tolist()

    (left, left_ends), (right, right_ends) = below(trees.left), below(trees.right)
    # One output for each tree: the number of the leaf within it, which a float32 holds.
    within = add(
        "TreeEnsemble",
        x,
        domain=TREES,
        tree_roots=roots.tolist(),
        nodes_featureids=np.concatenate([trees.feature[inner], more]).tolist(),
        nodes_splits=add.tensor(np.concatenate([_in_float32(trees.threshold[inner]), more]).astype(np.float32)),
        nodes_modes=add.tensor(np.full(len(inner) + len(alone), _AT_MOST, dtype=np.uint8)),
        nodes_truenodeids=left,
        nodes_trueleafs=left_ends,
        nodes_falsenodeids=right,
        nodes_falseleafs=right_ends,
        leaf_targetids=tree.tolist(),
        leaf_weights=add.tensor((np.arange(len(nodes)) - first[tree]).astype(np.float32)),
        n_targets=len(trees.roots),
        aggregate_function=_SUM,
        post_transform=_AS_IT_IS,
    )
    return add("Add", cast(add, within, INT), first)


def _in_float32(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 that is no larger: what is compared is float32, so that the comparison stays as it is."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)


def _medians(add: Nodes, leaves: LeafValues, nodes: np.ndarray, reached: str) -> str:
    """See `LeafValues.medians`: of the samples in the leaves that are reached [B, T], one after the other, float64 [B, 1]."""
    begins, sizes = leaves.start[nodes], np.diff(leaves.start)[nodes]
    flat, one, ones = add("Reshape", reached, np.array([-1])), np.array([1]), np.array([0])
    number = add("Gather", sizes, flat)
    ends = add("CumSum", number, np.array(0))
    starts = add("Sub", ends, number)
    # Which of the leaves each place is of: 1 where the next begins, summed up.
    total = add("ReduceMax", ends, ones, keepdims=1)
    steps = add("ConstantOfShape", total, value=add.tensor(np.array([0])))
    began = add("ScatterElements", steps, starts, add("Add", add("Sub", starts, starts), one), axis=0)
    owner = add("Sub", add("CumSum", began, np.array(0)), one)
    places = add("Sub", add("Range", np.array(0), add("Squeeze", total), np.array(1)), add("Gather", starts, owner))
    leaf = add("Gather", flat, owner)
    level = add("Gather", leaves.level.astype(np.int64), add("Add", add("Gather", begins, leaf), places))
    trees, levels = add("Shape", reached, start=1), np.array(len(leaves.levels))
    row = add("Div", owner, trees)
    samples = add("Shape", reached, start=0, end=1)
    room = add("ConstantOfShape", add("Mul", samples, levels.reshape(1)), value=add.tensor(np.array([0.0])))
    where = add("Add", add("Mul", row, levels), level)
    weights = add("ScatterElements", room, where, add("Gather", 1 / sizes, leaf), axis=0, reduction="add")
    below = add("CumSum", add("Reshape", weights, add("Concat", samples, levels.reshape(1), axis=0)), np.array(1))
    half = add("Mul", add("ReduceMax", below, one, keepdims=1), np.array(0.5))

    def first_above(beyond: float) -> str:
        reaches = cast(add, add("GreaterOrEqual", below, add("Add", half, np.array(beyond))), FLOAT)
        return add("Gather", leaves.levels, add("ArgMax", reaches, axis=1, keepdims=1))

    return cast(add, add("Mul", add("Add", first_above(-ROUNDING), first_above(ROUNDING)), np.array(0.5)), DOUBLE)
