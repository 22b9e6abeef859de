"""What is taken out of samples at a time: an ASV, the ASVs of a clade, the ASVs of a taxon."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse

from aam.data.phylogeny import Phylogeny
from aam.explain.attributions import Features, Kind


def asvs(feature_ids: Sequence[str]) -> Features:
    """Each ASV of a table, in table order."""
    return Features("asv", tuple(feature_ids), sparse.eye_array(len(feature_ids), dtype=bool, format="csr"))


def clades(phylogeny: Phylogeny, feature_ids: Sequence[str]) -> Features:
    """The inner nodes of a tree that hold two ASVs of the table or more and at most half of them.

    A clade is called what its node is labelled; one without a label, or with one that others have too, by
    a number that comes from its ASVs alone.
    """
    sizes = phylogeny.node_end - phylogeny.node_start
    nodes = np.flatnonzero((sizes >= 2) & (sizes <= len(feature_ids) / 2))
    members = [np.sort(phylogeny.tip_columns[phylogeny.node_start[node] : phylogeny.node_end[node]]) for node in nodes]
    labels = [phylogeny.labels[node] if phylogeny.labels else "" for node in nodes]
    often = Counter(labels)
    names = [
        _called(label if often[label] == 1 else "", columns, feature_ids) for label, columns in zip(labels, members, strict=True)
    ]
    return _features("clade", names, members, len(feature_ids))


def taxa(ranks: Sequence[tuple[str, ...]]) -> Features:
    """The taxa of every rank, of the ranks of each ASV (`read_taxonomy`): ``d__Bacteria; p__Firmicutes`` holds what is below
    it too.

    Of taxa with the same ASVs the finest is kept; those that hold all ASVs of the table are left out.
    """
    found: dict[tuple[str, ...], list[int]] = {}
    for column, path in enumerate(ranks):
        for depth in range(1, len(path) + 1):
            found.setdefault(path[:depth], []).append(column)
    # A taxon has the ASVs of one below it where it has no more of them.
    same = {path[:-1] for path, columns in found.items() if len(path) > 1 and len(found[path[:-1]]) == len(columns)}
    kept = {path: columns for path, columns in found.items() if path not in same and len(columns) < len(ranks)}
    return _features("taxon", ["; ".join(path) for path in kept], [np.array(columns) for columns in kept.values()], len(ranks))


def _features(kind: Kind, names: Iterable[str], members: Sequence[np.ndarray], width: int) -> Features:
    """Of the columns, sorted, of each feature."""
    ends = np.cumsum([0, *(len(columns) for columns in members)])
    columns = np.concatenate([np.zeros(0, dtype=np.int64), *members])
    matrix = sparse.csr_array((np.ones(len(columns), dtype=bool), columns, ends), shape=(len(members), width))
    return Features(kind, tuple(names), matrix)


def _called(label: str, columns: np.ndarray, feature_ids: Sequence[str]) -> str:
    if label:
        return label
    ids = "\n".join(sorted(feature_ids[column] for column in columns))
    return f"clade_{hashlib.md5(ids.encode(), usedforsecurity=False).hexdigest()[:10]}"
