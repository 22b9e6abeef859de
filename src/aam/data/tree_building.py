"""Building a tree where none is given: alignment (FAMSA), inference (VeryFastTree), a root at the midpoint."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from aam.data import alignment
from aam.data.programs import run_program
from aam.errors import InputError

if TYPE_CHECKING:
    from skbio import TreeNode

log = logging.getLogger(__name__)

_BUILDERS = ("pyfamsa", "veryfasttree", "scikit-bio")
_ADVICE = "give `tree`, built elsewhere"
# How long a program may take: so many times what it takes on a core of its own, and some minutes.
_PATIENCE, _LEAST_SECONDS = 30, 600


def tree_recipe() -> str:
    """What decides the tree of `build_tree` besides the sequences: the tools."""
    return f"{[_version(package) for package in _BUILDERS]}"


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"no {package}"


def build_tree(sequences: Sequence[str], feature_ids: Sequence[str]) -> TreeNode:
    """Align M sequences (FAMSA), infer a tree (VeryFastTree, GTR + CAT) and root it at the midpoint.

    Letters other than A, C, G and T count as unknown; equal sequences are tips of length 0 below one node. The tree does not depend
    on how many cores there are. Sources: Deorowicz et al. 2016, Sci. Rep. 6:33964; Piñeiro et al. 2020, Bioinformatics 36:4658.
    InputError when the packages of the extra ``tree`` are not installed, when the inference fails or does not end, and for
    sequences that are all the same.
    """
    from skbio import TreeNode

    tips_of: dict[str, list[str]] = {}
    for feature_id, sequence in zip(feature_ids, sequences, strict=True):
        tips_of.setdefault(re.sub("[^ACGT]", "N", sequence.upper().replace("U", "T")), []).append(feature_id)
    if len(tips_of) < 2:
        which = "the table has one ASV" if len(sequences) == 1 else f"all {len(sequences)} ASVs have one sequence"
        raise InputError(f"{which}: all distances between the samples are 0, and nothing can be learned from them")
    # Known to the tools by number: ids can hold anything.
    inferred = _infer(list(tips_of))
    tree = _root_at_midpoint(TreeNode.read(io.StringIO(inferred), format="newick", verify=False))
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


def _infer(sequences: list[str]) -> str:
    """Newick of at least two distinct sequences; tips are named by their index."""
    try:
        import pyfamsa  # noqa: F401
        import veryfasttree
    except ImportError as error:
        raise InputError(
            "no tree given and none can be built: pip install 'attention-all-microbes[tree]' or give `tree`"
        ) from error
    number = len(sequences)
    log.info("Building a tree of %s ASVs (about %s)", f"{number:,}", _about(_expected_seconds(number)))
    fasta = "".join(f">{index}\n{sequence}\n" for index, sequence in enumerate(sequences))
    seconds = _PATIENCE * _expected_seconds(number) + _LEAST_SECONDS
    # Without the folder of the file in the path: names of modules there are not meant.
    align = [sys.executable, "-P", str(alignment.__file__)]
    aligned = run_program(align, fasta, f"Aligning {number:,} ASVs", seconds, _ADVICE)
    # The program rather than veryfasttree.run(), which lets its report through to the terminal.
    #
    # One thread, however many there are: the tree would depend on their number (with 1, 2 and 4 it is a different one of the oral
    # table), so that the same run on another machine would have other distances. And threads bring little: 1,500 ASVs of the oral
    # table took 5.5 s with one and 8 s with two on two cores that others use too, where threads that wait for each other may never
    # end; all 5,574 take 30 s with one.
    infer = [str(veryfasttree.VFT_BINARY), "-nt", "-gtr", "-nosupport", "-nopr", "-threads", "1"]
    return run_program(infer, aligned, f"Building a tree of {number:,} ASVs", seconds, _ADVICE)


def _expected_seconds(number: int) -> float:
    """On one core; FastTree's cost grows with N^1.5."""
    return 30 * (number / 5_574) ** 1.5


def _about(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} minutes"


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
