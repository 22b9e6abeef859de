"""Trees: reading, building and writing them, and the arrays that distances are computed from."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aam.data.table import ZIP_SIGNATURE, one_line, read_file, read_qza
from aam.errors import InputError, first_few

if TYPE_CHECKING:
    from skbio import TreeNode

log = logging.getLogger(__name__)

_BUILDERS = ("pyfamsa", "veryfasttree", "scikit-bio")
NEEDS_QUOTES = re.compile(r"[\s()\[\]':;,]")


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
        """Shear `tree` to `feature_ids` (unique, in table order); any shape is fine, and a missing branch length is 0.

        Nodes that span the same tips hold the same reads in every sample, so they become one whose length is their sum: every
        metric stays exact. Missing features are one logged warning. InputError when no feature is a tip, when one is there twice,
        and for a branch length that is negative or not a number, on the part of the tree that the table needs.
        """
        columns = {feature_id: column for column, feature_id in enumerate(feature_ids)}
        tip_columns: list[int] = []
        spans: list[tuple[int, int]] = []
        lengths: list[float] = []
        # First tip of each finished subtree whose parent is still to come. No recursion: trees can be deeper than the stack.
        open_starts: list[int] = []
        for node in tree.postorder(include_self=True):
            if node.children:
                start = open_starts[-len(node.children)]
                del open_starts[-len(node.children) :]
            else:
                start = len(tip_columns)
                if node.name in columns:
                    tip_columns.append(columns[node.name])
            open_starts.append(start)
            if len(tip_columns) > start:
                spans.append((start, len(tip_columns)))
                lengths.append(0.0 if node.length is None else float(node.length))
        missing = _check_tips(tree, tip_columns, feature_ids)
        if wrong := [length for length in lengths if not 0.0 <= length < np.inf]:
            raise InputError(
                f"the tree has {len(wrong)} branch lengths that are negative or no number: {first_few(wrong)}; correct them"
            )
        distinct, node = np.unique(np.array(spans, dtype=np.int64), axis=0, return_inverse=True)
        branch_length = np.bincount(node.ravel(), weights=lengths)
        return cls(np.array(tip_columns, dtype=np.int64), distinct[:, 0].copy(), distinct[:, 1].copy(), branch_length, missing)


def _check_tips(tree: TreeNode, tip_columns: list[int], feature_ids: Sequence[str]) -> tuple[str, ...]:
    """Feature ids that are no tip."""
    found = np.bincount(np.array(tip_columns, dtype=np.int64), minlength=len(feature_ids))
    if not found.any():
        tips = [str(tip.name) for tip in islice(tree.tips(include_self=True), 3)]
        raise InputError(
            f"no ASV of the table is a tip of the tree: the table has {', '.join(feature_ids[:3])}, the tree {', '.join(tips)}; "
            "are they of the same data?"
        )
    if repeated := [feature_ids[column] for column in np.flatnonzero(found > 1).tolist()]:
        raise InputError(f"the tree has several tips of one name: {first_few(repeated)}; names must be unique")
    missing = tuple(feature_ids[column] for column in np.flatnonzero(found == 0).tolist())
    if missing:
        log.warning(
            "%d of %d ASVs are not in the tree and count in no distance: %s", len(missing), len(feature_ids), first_few(missing)
        )
    return missing


def read_tree(path: Path) -> TreeNode:
    """Read newick or a QIIME 2 .qza of a phylogeny, told apart by content. Labels are kept as written: ``_`` is no space.

    InputError for a file that is missing, broken or no tree. A root with more than two children is used as it is, with a warning.
    """
    # Takes seconds to import, and only trees need it.
    from skbio import TreeNode
    from skbio.io import NewickFormatError

    content = read_file(path)
    if content.startswith(ZIP_SIGNATURE):
        content = read_qza(content, path, "Phylogeny[", "tree.nwk")
    try:
        text = io.StringIO(content.decode("utf-8-sig"))
        # scikit-bio lets an IndexError out for some unbalanced parentheses.
        tree = TreeNode.read(text, format="newick", convert_underscores=False, verify=False)
    except (NewickFormatError, UnicodeDecodeError, IndexError) as error:
        raise InputError(f"{path}: not a newick tree ({one_line(error)})") from error
    if len(tree.children) > 2:
        log.warning("%s: the root has %d children, so the tree may be unrooted; used as it is", path, len(tree.children))
    return tree


def write_tree(tree: TreeNode, path: Path) -> None:
    """Write the `newick` of a tree; `path` appears when it is complete."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(newick(tree), encoding="utf-8")
    partial.replace(path)


def newick(tree: TreeNode) -> str:
    """Text that `read_tree` reads back with the same labels and lengths.

    Not scikit-bio's writer: it turns a space in a label into ``_`` and leaves a quote bare.
    """
    parts: list[str] = []
    pending: list[tuple[TreeNode, bool]] = [(tree, False)]
    while pending:
        node, children_done = pending.pop()
        if node.children and not children_done:
            parts.append("(")
            pending.append((node, True))
            pending.extend((child, False) for child in reversed(node.children))
            continue
        parts.append((")" if node.children else "") + _label(node.name))
        if node.length is not None:
            parts.append(f":{float(node.length)!r}")
        if node is not tree and node is not node.parent.children[-1]:
            parts.append(",")
    return "".join(parts) + ";\n"


def _label(name: str | None) -> str:
    if not name:
        return ""
    return "'" + name.replace("'", "''") + "'" if NEEDS_QUOTES.search(name) else name


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
            "no tree given and none can be built: pip install 'attention-all-microbes[tree]' or give --tree"
        ) from error
    log.info("Building a tree of %d ASVs (about 20 s for 5,000)", len(sequences))
    entries = [pyfamsa.Sequence(str(index).encode(), sequence.encode()) for index, sequence in enumerate(sequences)]
    aligned = pyfamsa.Aligner(threads=threads).align(entries)
    fasta = "".join(f">{row.id.decode()}\n{row.sequence.decode()}\n" for row in aligned)
    # The program rather than veryfasttree.run(), which lets its report through to the terminal.
    command = [str(veryfasttree.VFT_BINARY), "-nt", "-gtr", "-nosupport", "-nopr", "-threads", str(threads)]
    done = subprocess.run(command, input=fasta, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InputError(f"VeryFastTree failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}; give --tree")
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
