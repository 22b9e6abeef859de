"""The distances of a study: UniFrac on a tree that is given or built, or a matrix."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from torch import nn

from aam.data.files import read_file
from aam.data.newick import newick, nodes_of, read_nodes
from aam.data.phylogeny import Phylogeny, build_tree, tree_recipe
from aam.disk.cache import Cache
from aam.disk.writing import whole
from aam.distances.matrix import require_reads_on_tree
from aam.distances.precomputed import PrecomputedDistances, read_distances
from aam.distances.unifrac import UniFrac
from aam.errors import InputError
from aam.options import TreeOptions
from aam.parallel.collectives import wait
from aam.parallel.ranks import by_first
from aam.study.study import Study

log = logging.getLogger(__name__)


def read_distance(study: Study, options: TreeOptions, cache: Cache, built: Path | None = None, resume: bool = False) -> nn.Module:
    """The batch distance: a given matrix, or UniFrac on the given tree, or on one built from the sequences.

    built: file where a tree that is built is kept, and with `resume` taken from.
    """
    if options.unifrac_matrix is not None:
        log.info("distances from %s: they stay those of all reads, whatever is rarefied or left out", options.unifrac_matrix)
        return PrecomputedDistances(read_distances(options.unifrac_matrix, study.table.sample_ids))
    if options.tree is None and built is None:
        phylogeny = Phylogeny.from_nodes(nodes_of(build_tree(_sequences(study), study.table.feature_ids)), study.table.feature_ids)
    else:
        if options.tree is None and built is not None:
            if not (resume and built.is_file()):
                write_built_tree(study, built, cache)
            wait()
        phylogeny = read_phylogeny(options.tree or built, study.table.feature_ids, cache)  # type: ignore[arg-type]
    require_reads_on_tree(study.table.counts, phylogeny, study.table.sample_ids)
    return UniFrac(phylogeny, options.unifrac_metric, options.alpha)


def _sequences(study: Study) -> tuple[str, ...]:
    if study.sequences is None:
        raise InputError("a tree is built from sequences, and these features have none; give `tree` or `sequences`")
    return study.sequences


@by_first
def write_built_tree(study: Study, path: Path, cache: Cache) -> None:
    """Write the tree of the study's sequences, which takes long to build, to `path`."""
    sequences = _sequences(study)

    def build() -> dict[str, np.ndarray]:
        text = newick(build_tree(sequences, study.table.feature_ids))
        return {"newick": np.frombuffer(text.encode(), dtype=np.uint8)}

    parts = (tree_recipe(), repr(sequences), repr(study.table.feature_ids))
    text = cache.arrays("tree", parts, build)["newick"].tobytes()
    with whole(path) as new:
        new.write_bytes(text)


def read_phylogeny(path: Path, feature_ids: tuple[str, ...], cache: Cache) -> Phylogeny:
    """Read a tree and shear it to the ASVs of a table."""

    def shear() -> dict[str, np.ndarray]:
        sheared = vars(Phylogeny.from_nodes(read_nodes(path), feature_ids))
        return {name: value for name, value in sheared.items() if name != "missing"}

    arrays = cache.arrays("sheared tree", (read_file(path), repr(feature_ids)), shear)
    missing = np.setdiff1d(np.arange(len(feature_ids)), arrays["tip_columns"])
    return Phylogeny(**arrays, missing=tuple(feature_ids[column] for column in missing))
