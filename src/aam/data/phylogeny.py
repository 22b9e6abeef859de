"""Trees as the arrays that distances are computed from, and building one where none is given."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

from aam.data.newick import Node, nodes_of
from aam.errors import InputError, first_few

if TYPE_CHECKING:
    from skbio import TreeNode

log = logging.getLogger(__name__)

_BUILDERS = ("pyfamsa", "veryfasttree", "scikit-bio")
# Ids that an error shows of each side.
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Phylogeny:
    """A rooted tree sheared to the ASVs of a table, as arrays: with tips in depth-first order every node is an interval of tips.

    tip_columns: int64 [T], table column of each tip, depth first. node_start, node_end: int64 [K], node k spans the tips
    ``node_start[k]:node_end[k]``; no two nodes span the same. branch_length: float64 [K], above each node, in the tree's unit.
    missing: feature ids that the tree lacks, in table order.

    The node of all tips carries everything between it and the root of the whole tree, a stem of the root included, because
    scikit-bio counts that path too.
    """

    tip_columns: np.ndarray
    node_start: np.ndarray
    node_end: np.ndarray
    branch_length: np.ndarray
    missing: tuple[str, ...]

    @classmethod
    def from_tree(cls, tree: TreeNode, feature_ids: Sequence[str]) -> Phylogeny:
        """`from_nodes` of a tree of scikit-bio."""
        return cls.from_nodes(nodes_of(tree), feature_ids)

    @classmethod
    def from_nodes(cls, nodes: Iterable[Node], feature_ids: Sequence[str]) -> Phylogeny:
        """Shear a tree, its nodes children first, to `feature_ids` (unique, in table order).

        Any shape is fine, and a missing branch length is 0.

        Nodes that span the same tips hold the same reads in every sample, so they become one whose length is their sum: every
        metric stays exact. Missing features are one logged warning. InputError when no feature is a tip, when one is there twice,
        and for a branch length that is negative or not a number, on the part of the tree that the table needs.
        """
        columns = {feature_id: column for column, feature_id in enumerate(feature_ids)}
        tip_columns, starts, ends, lengths = array("q"), array("q"), array("q"), array("d")
        # First tip of each finished subtree whose parent is still to come. No recursion: trees can be deeper than the stack.
        open_starts: list[int] = []
        others: list[str] = []
        for children, name, length in nodes:
            if children:
                start = open_starts[-children]
                del open_starts[-children:]
            else:
                start = len(tip_columns)
                if (column := columns.get(name or "")) is not None:
                    tip_columns.append(column)
                elif len(others) < _SHOWN:
                    others.append(str(name))
            open_starts.append(start)
            if len(tip_columns) > start:
                starts.append(start)
                ends.append(len(tip_columns))
                lengths.append(0.0 if length is None else length)
        missing = _check_tips(np.array(tip_columns), feature_ids, others)
        if wrong := [length for length in lengths if not 0.0 <= length < np.inf]:
            raise InputError(
                f"the tree has {len(wrong)} branch lengths that are negative or no number: {first_few(wrong)}; correct them"
            )
        distinct, node = np.unique(np.stack([starts, ends], axis=1), axis=0, return_inverse=True)
        branch_length = np.bincount(node.ravel(), weights=lengths)
        return cls(np.array(tip_columns), distinct[:, 0].copy(), distinct[:, 1].copy(), branch_length, missing)


def _check_tips(tip_columns: np.ndarray, feature_ids: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """Feature ids that are no tip; `others`: some tips that are no feature."""
    found = np.bincount(tip_columns, minlength=len(feature_ids))
    if not found.any():
        raise InputError(
            f"no ASV of the table is a tip of the tree: the table has {', '.join(feature_ids[:_SHOWN])}, the tree "
            f"{', '.join(others)}; are they of the same data?"
        )
    if repeated := [feature_ids[column] for column in np.flatnonzero(found > 1).tolist()]:
        raise InputError(f"the tree has several tips of one name: {first_few(repeated)}; names must be unique")
    missing = tuple(feature_ids[column] for column in np.flatnonzero(found == 0).tolist())
    if missing:
        log.warning(
            "%d of %d ASVs are not in the tree and count in no distance: %s", len(missing), len(feature_ids), first_few(missing)
        )
    return missing


def tree_recipe() -> str:
    """What decides the tree of `build_tree` besides the sequences: the tools, and the number of threads that share the work."""
    return f"{[_version(package) for package in _BUILDERS]}, {os.cpu_count()} threads"


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"no {package}"


def build_tree(sequences: Sequence[str], feature_ids: Sequence[str], threads: int | None = None) -> TreeNode:
    """Align M sequences (FAMSA), infer a tree (VeryFastTree, GTR + CAT) and root it at the midpoint.

    Letters other than A, C, G and T count as unknown; equal sequences are tips of length 0 below one node. `threads`: default all
    cores. Sources: Deorowicz et al. 2016, Sci. Rep. 6:33964; Piñeiro et al. 2020, Bioinformatics 36:4658.
    InputError when the packages of the extra ``tree`` are not installed, or when the inference fails.
    """
    from skbio import TreeNode

    tips_of: dict[str, list[str]] = {}
    for feature_id, sequence in zip(feature_ids, sequences, strict=True):
        tips_of.setdefault(re.sub("[^ACGT]", "N", sequence.upper().replace("U", "T")), []).append(feature_id)
    if len(tips_of) > 1:
        # Known to the tools by number: ids can hold anything.
        inferred = _infer(list(tips_of), threads or os.cpu_count() or 1)
        tree = _root_at_midpoint(TreeNode.read(io.StringIO(inferred), format="newick", verify=False))
    else:
        tree = TreeNode(children=[TreeNode(name="0", length=0.0)])
    groups = list(tips_of.values())
    for node in list(tree.traverse(include_self=True)):
        if node.children:
            # VeryFastTree labels inner nodes with their support.
            node.name = None
            continue
        group = groups[int(node.name)]
        node.name = group[0] if len(group) == 1 else None
        if len(group) > 1:
            node.extend([TreeNode(name=feature_id, length=0.0) for feature_id in group])
    return tree


def _infer(sequences: list[str], threads: int) -> str:
    """Newick of at least two distinct sequences; tips are named by their index."""
    try:
        import pyfamsa
        import veryfasttree
    except ImportError as error:
        raise InputError(
            "no tree given and none can be built: pip install 'attention-all-microbes[tree]' or give `tree`"
        ) from error
    log.info("Building a tree of %d ASVs (about 20 s for 5,000)", len(sequences))
    entries = [pyfamsa.Sequence(str(index).encode(), sequence.encode()) for index, sequence in enumerate(sequences)]
    aligned = pyfamsa.Aligner(threads=threads).align(entries)
    fasta = "".join(f">{row.id.decode()}\n{row.sequence.decode()}\n" for row in aligned)
    # The program rather than veryfasttree.run(), which lets its report through to the terminal.
    command = [str(veryfasttree.VFT_BINARY), "-nt", "-gtr", "-nosupport", "-nopr", "-threads", str(threads)]
    done = subprocess.run(command, input=fasta, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InputError(f"VeryFastTree failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}; give `tree`")
    log.debug("%s", done.stderr)
    return done.stdout


def _root_at_midpoint(tree: TreeNode) -> TreeNode:
    """Root halfway between the two tips that are farthest apart (Farris 1972).

    Not scikit-bio's root_at_midpoint: where the halves differ by rounding alone it climbs past the root and fails.
    """
    longest, ends = tree.maxdist()
    if longest == 0.0:
        return tree
    ancestor = tree.lca(ends)
    # From the farther end the midpoint is on the way up to the common ancestor, whatever the rounding.
    node = max(ends, key=lambda tip: tip.depth(ancestor, missing_as_zero=True))
    left = longest / 2
    while left > (node.length or 0.0) and node.parent is not ancestor:
        left -= node.length or 0.0
        node = node.parent
    return tree.root_at(node, above=min(left, node.length or 0.0), reset=False)
