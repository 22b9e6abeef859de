"""Exact Shapley values of trees, from one baseline: what each feature adds to a sum of trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from aam.ensemble.trees import Trees

# Numbers that are held at a time: samples times conditions of a tree.
_AT_ONCE = 2**23


@dataclass(frozen=True, eq=False)
class Leaves:
    """The leaves of a tree that something leads to, as conditions on features: low < x <= high.

    start: int64 [leaves], where each one's conditions begin in feature, low, high; value: float64 [leaves, outputs].
    """

    start: np.ndarray
    feature: np.ndarray
    low: np.ndarray
    high: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, trees: Trees, root: int) -> Leaves | None:
        """Of one of some trees; None for a tree of one leaf."""
        ways = list(_ways(trees, root))
        if not ways[0][1]:
            return None
        conditions = [(feature, *between) for _, way in ways for feature, between in way.items()]
        feature, low, high = (np.array(part) for part in zip(*conditions, strict=True))
        start = np.concatenate([[0], np.cumsum([len(way) for _, way in ways])[:-1]])
        return cls(start, feature, low, high, trees.value[[leaf for leaf, _ in ways]])


def _ways(trees: Trees, root: int) -> Iterator[tuple[int, dict[int, tuple[float, float]]]]:
    """Each leaf with what leads to it: between what each feature on the way must be."""
    open_nodes: list[tuple[int, dict[int, tuple[float, float]]]] = [(int(root), {})]
    while open_nodes:
        node, way = open_nodes.pop()
        feature, threshold = int(trees.feature[node]), float(trees.threshold[node])
        if feature < 0:
            yield node, way
            continue
        low, high = way.get(feature, (-np.inf, np.inf))
        # A side that its own way excludes is never reached.
        if threshold > low:
            open_nodes.append((int(trees.left[node]), {**way, feature: (low, min(high, threshold))}))
        if threshold < high:
            open_nodes.append((int(trees.right[node]), {**way, feature: (max(low, threshold), high)}))


def shapley_of_trees(trees: Trees, x: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Shapley values float64 [N, features, outputs] of x float32 [N, features], against one baseline [features], or one for each
    sample [N, features].

    A feature is the sample's or the baseline's; averaged over all orders in which features turn from the one to the other, which
    has a closed form for each leaf (interventional TreeSHAP with one reference; Lundberg et al. 2020, Nat. Mach. Intell. 2:56).
    They add up to the prediction of x less that of the baseline.
    """
    found = np.zeros((*x.shape, trees.value.shape[1]))
    for root in trees.roots:
        leaves = Leaves.of(trees, int(root))
        if leaves is not None:
            size = max(_AT_ONCE // len(leaves.feature), 1)
            for part in (slice(start, start + size) for start in range(0, len(x), size)):
                _add(leaves, x[part], baseline if baseline.ndim == 1 else baseline[part], found[part])
    return found


def _add(leaves: Leaves, x: np.ndarray, baseline: np.ndarray, found: np.ndarray) -> None:
    """Add the Shapley values of a tree to those that were found."""
    mine = (x[:, leaves.feature] > leaves.low) & (x[:, leaves.feature] <= leaves.high)
    its = (baseline[..., leaves.feature] > leaves.low) & (baseline[..., leaves.feature] <= leaves.high)
    reached = np.logical_and.reduceat(mine | its, leaves.start, axis=1)
    by_mine = np.add.reduceat((mine & ~its).astype(np.int32), leaves.start, axis=1)
    by_its = np.add.reduceat((its & ~mine).astype(np.int32), leaves.start, axis=1)
    of_leaf = np.repeat(np.arange(len(leaves.start)), np.diff([*leaves.start, len(leaves.feature)]))
    row, condition = np.nonzero((mine != its) & reached[:, of_leaf])
    leaf, leads = of_leaf[condition], mine[row, condition]
    a, b = by_mine[row, leaf], by_its[row, leaf]
    # Of all orders, those in which this one decides: (a - 1)! b! / (a + b)!, or less a! (b - 1)! / (a + b)!.
    size = np.exp(gammaln(a + ~leads) + gammaln(b + leads) - gammaln(a + b + 1))
    place = row * x.shape[1] + leaves.feature[condition]
    for output in range(found.shape[2]):
        terms = np.where(leads, size, -size) * leaves.value[leaf, output]
        found[:, :, output] += np.bincount(place, terms, minlength=x.size).reshape(x.shape)
