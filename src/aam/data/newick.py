"""Trees as text: read node by node, without an object for each, and written.

A node is its number of children, its label and the length of its branch; nodes come children first. That is all that `Phylogeny`
needs, and a tree of a million nodes is read in seconds.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aam.data.files import ZIP_SIGNATURE, decode, read_file, read_qza
from aam.data.kinds import kind_of
from aam.disk.writing import write_text
from aam.errors import InputError

if TYPE_CHECKING:
    from skbio import TreeNode

log = logging.getLogger(__name__)

# Children, label, branch length.
Node = tuple[int, str | None, float | None]

NEEDS_QUOTES = re.compile(r"[\s()\[\]':;,]")
# A sign, a quoted label, a comment, a bare label or number.
_TOKEN = re.compile(r"\s*(?:([(),:;])|'((?:[^']|'')*)'|\[([^\]]*)\]|([^\s(),:;'\[\]]+))")
_SIGN, _QUOTED, _COMMENT, _BARE = 1, 2, 3, 4


def read_nodes(path: Path) -> Iterator[Node]:
    """The nodes of a newick file or a QIIME 2 .qza of a phylogeny, told apart by content. Labels are kept as written: ``_`` is no
    space.

    InputError for a file that is missing, broken or no tree. A root with more than two children is used as it is, with a warning.
    """
    content = read_file(path)
    if content.startswith(ZIP_SIGNATURE):
        content = read_qza(content, path, "Phylogeny[", "tree.nwk")
    children = 0
    try:
        for node in parse_newick(decode(content)):
            children = node[0]
            yield node
    except (UnicodeDecodeError, ValueError) as error:
        kind = kind_of(content)
        found = f"{kind}, " if kind and "newick" not in kind else ""
        raise InputError(f"{path}: {found}not a newick tree ({error})") from error
    # The last one is the root.
    if children > 2:
        log.warning("%s: the root has %d children, so the tree may be unrooted; used as it is", path, children)


def parse_newick(text: str) -> Iterator[Node]:
    """The nodes of one tree, children first. ValueError, which says where, for what is no newick."""
    reader = _Reader()
    scanner = _TOKEN.scanner(text)  # type: ignore[attr-defined]
    end = 0
    while token := scanner.match():
        end = token.end()
        if token.lastindex == _COMMENT:
            continue
        try:
            node = reader.take(token)
        except ValueError as error:
            raise ValueError(f"character {token.start(token.lastindex) + 1}: {error}") from error
        if node is not None:
            yield node
    if text[end:].strip():
        raise ValueError(f"character {end + 1}: a quote or bracket that is never closed")
    if not reader.complete:
        raise ValueError("ends before its last ;" if end else "empty")


class _Reader:
    """What has been read of a tree so far: the children of the nodes that are still open, and the node that is being read."""

    def __init__(self) -> None:
        self.open: list[int] = []
        self.complete = False
        self.begin()

    def begin(self, children: int = 0) -> None:
        """A tip, or an inner node whose children are there."""
        self.children = children
        self.name: str | None = None
        self.length: float | None = None
        self.wants_length = False

    def take(self, token: re.Match[str]) -> Node | None:
        """Go on by a token; a node when it is complete."""
        if self.complete:
            raise ValueError("text after the end of the tree")
        if token.lastindex == _SIGN:
            return self._sign(token[_SIGN])
        if self.wants_length:
            if token.lastindex == _QUOTED:
                raise ValueError("a label where a branch length should be")
            if "_" in token[_BARE]:
                raise ValueError(f"{token[_BARE]!r} is no number")
            self.length, self.wants_length = float(token[_BARE]), False
        elif self.name is not None or self.length is not None:
            raise ValueError("two labels for one node; quote a label with a space")
        else:
            self.name = token[_BARE] if token.lastindex == _BARE else token[_QUOTED].replace("''", "'")
        return None

    def _sign(self, sign: str) -> Node | None:
        if self.wants_length:
            raise ValueError("a branch length is missing")
        if sign == ":":
            if self.length is not None:
                raise ValueError("two branch lengths for one node")
            self.wants_length = True
            return None
        if sign == "(":
            if self.children or self.name is not None or self.length is not None:
                raise ValueError("( after a node")
            self.open.append(0)
            return None
        return self._end(sign)

    def _end(self, sign: str) -> Node:
        """The node that a comma, a bracket or a semicolon ends."""
        node = (self.children, self.name, self.length)
        if (sign == ";") == bool(self.open):
            raise ValueError("more ( than )" if self.open else f"{sign} outside of the tree")
        if sign == ";":
            self.complete = True
            if node == (0, None, None):
                raise ValueError("empty")
        else:
            self.open[-1] += 1
            self.begin(self.open.pop() if sign == ")" else 0)
        return node


def nodes_of(tree: TreeNode) -> Iterator[Node]:
    """The nodes of a tree of scikit-bio, children first."""
    for node in tree.postorder(include_self=True):
        yield len(node.children), node.name, None if node.length is None else float(node.length)


def write_tree(tree: TreeNode, path: Path) -> None:
    """Write the `newick` of a tree; `path` appears when it is complete."""
    write_text(path, newick(tree))


def newick(tree: TreeNode) -> str:
    """Text that `parse_newick` reads back with the same labels and lengths.

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
