"""Trees as the arrays that distances are computed from."""

from __future__ import annotations

import logging
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aam.data.near_ids import near_ids
from aam.data.newick import Node, nodes_of
from aam.errors import InputError, first_few

if TYPE_CHECKING:
    from skbio import TreeNode

log = logging.getLogger(__name__)

# How sure a node is, alone or before its name, as in ``0.98:g__Blautia``.
_SUPPORT = re.compile(r"^\s*[\d.]+([eE][+-]?\d+)?(/[\d.]+)?\s*(:|$)")
# Ids that an error shows of each side.
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Phylogeny:
    """A rooted tree sheared to the ASVs of a table, as arrays: with tips in depth-first order every node is an interval of tips.

    tip_columns: int64 [T], table column of each tip, depth first. node_start, node_end: int64 [K], node k spans the tips
    ``node_start[k]:node_end[k]``; no two nodes span the same. branch_length: float64 [K], above each node, in the tree's unit.
    missing: feature ids that the tree lacks, in table order; near: a clause on how they look like other tips, or ""; labels: names
    of the nodes, without support values, the lowest one's where several became one; "" for those without and for tips.

    The node of all tips carries everything between it and the root of the whole tree. A branch above the root itself counts only
    where it is asked for: scikit-bio counts it; ssu (unifrac-binaries), and so QIIME 2, GUniFrac and phyloseq do not.

    Examples
    --------
    >>> import aam
    >>> from io import StringIO
    >>> from skbio import TreeNode
    >>> tree = TreeNode.read(StringIO("((A:1,B:1):1,(C:1,D:1):1);"))
    >>> phylogeny = aam.Phylogeny.from_tree(tree, ["A", "B", "C", "D"])
    >>> list(zip(phylogeny.node_start.tolist(), phylogeny.node_end.tolist()))
    [(0, 1), (0, 2), (0, 4), (1, 2), (2, 3), (2, 4), (3, 4)]

    """

    tip_columns: np.ndarray
    node_start: np.ndarray
    node_end: np.ndarray
    branch_length: np.ndarray
    missing: tuple[str, ...]
    near: str = ""
    labels: tuple[str, ...] = ()

    @classmethod
    def from_tree(cls, tree: TreeNode, feature_ids: Sequence[str], *, count_root: bool = False) -> Phylogeny:
        """`from_nodes` of a tree of scikit-bio."""
        return cls.from_nodes(nodes_of(tree), feature_ids, count_root=count_root)

    @classmethod
    def from_nodes(cls, nodes: Iterable[Node], feature_ids: Sequence[str], *, count_root: bool = False) -> Phylogeny:
        """Shear a tree, its nodes children first, to `feature_ids` (unique, in table order).

        count_root: whether the branch above the root counts, which is in denominators and in Faith PD alone.

        Any shape is fine; blanks at the ends of labels do not count, as in tables. A branch without a length counts as 0, with one
        logged warning.

        Nodes that span the same tips hold the same reads in every sample, so they become one whose length is their sum: every
        metric stays exact. On the part of the tree that the table needs: InputError when no feature is a tip, when one is there
        twice, for a branch length that is negative or not a number, and where no branch that tells samples apart has a length.
        """
        columns = {feature_id: column for column, feature_id in enumerate(feature_ids)}
        tip_columns, starts, ends, lengths, given = array("q"), array("q"), array("q"), array("d"), array("b")
        labels: list[str] = []
        # First tip of each finished subtree whose parent is still to come. No recursion: trees can be deeper than the stack.
        open_starts: list[int] = []
        others: list[str] = []
        for children, name, length in nodes:
            if children:
                start = open_starts[-children]
                del open_starts[-children:]
            else:
                start = len(tip_columns)
                label = name or ""
                if (column := columns.get(label, columns.get(label.strip()))) is not None:
                    tip_columns.append(column)
                else:
                    others.append(label)
            open_starts.append(start)
            if len(tip_columns) > start:
                starts.append(start)
                ends.append(len(tip_columns))
                lengths.append(np.nan if length is None else length)
                given.append(length is not None)
                labels.append(_SUPPORT.sub("", name or "").strip() if children else "")
        missing, near = _check_tips(np.array(tip_columns), feature_ids, others)
        branch_length = _check_lengths(np.array(lengths), np.array(given, dtype=bool))
        if not count_root:
            # The root comes last.
            branch_length[-1] = 0.0
        distinct, node = np.unique(np.stack([starts, ends], axis=1), axis=0, return_inverse=True)
        branch_length = np.bincount(node.ravel(), weights=branch_length)
        _require_lengths(branch_length, distinct, len(tip_columns))
        found = dict[int, str]()
        for place, label in zip(node.ravel().tolist(), labels, strict=True):
            found[place] = found.get(place) or label
        named = tuple(found[place] for place in range(len(distinct)))
        return cls(np.array(tip_columns), distinct[:, 0].copy(), distinct[:, 1].copy(), branch_length, missing, near, named)


def _check_tips(tip_columns: np.ndarray, feature_ids: Sequence[str], others: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Feature ids that are no tip, and what they look like; `others`: the tips that are no feature."""
    found = np.bincount(tip_columns, minlength=len(feature_ids))
    missing = tuple(feature_ids[column] for column in np.flatnonzero(found == 0).tolist())
    near = near_ids(missing, others, "the tree")
    if len(missing) == len(feature_ids):
        raise InputError(
            f"no ASV of the table is a tip of the tree: the table has {first_few(feature_ids[:_SHOWN])}, the tree "
            f"{first_few(others[:_SHOWN])}{near}; are they of the same data?"
        )
    if repeated := [feature_ids[column] for column in np.flatnonzero(found > 1).tolist()]:
        raise InputError(f"the tree has several tips of one name: {first_few(repeated)}; names must be unique")
    return missing, near


def _check_lengths(lengths: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Lengths [K] of the branches that the table needs, the root's last, with 0 for those that are not `given`."""
    if wrong := [length for length in lengths[given].tolist() if not 0.0 <= length < np.inf]:
        raise InputError(
            f"the tree has {len(wrong)} branch lengths that are negative or no number: {first_few(wrong)}; correct them"
        )
    # A root needs none.
    without, total = int((~given[:-1]).sum()), len(given) - 1
    if 0 < without < total:
        share = f"{without / total:.0%}".replace("%", " %")
        which = f"{without:,} of the {total:,} branches that the table needs ({share})"
        log.warning("%s have no length in the tree; they count as 0", which)
    return np.where(given, lengths, 0.0)


def _require_lengths(branch_length: np.ndarray, nodes: np.ndarray, tips: int) -> None:
    """InputError where no branch but those above all tips has a length: all samples would be at distance 0."""
    inner = (nodes[:, 1] - nodes[:, 0] < tips) | (tips == 1)
    if not branch_length[inner].any():
        raise InputError(
            "the tree has no branch lengths above the ASVs of the table (none, or all are 0), so UniFrac would be 0 throughout; is "
            "it a taxonomy, or exported without them? Give a tree with lengths: pretrain, train and evaluate build one from the "
            "sequences where `tree` is left out"
        )
