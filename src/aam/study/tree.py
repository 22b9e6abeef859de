"""The distances of a study: UniFrac on a tree that is given or built, or a matrix."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from aam.data.files import read_file
from aam.data.newick import newick, nodes_of, read_nodes
from aam.data.phylogeny import Phylogeny
from aam.data.tree_building import build_tree, tree_recipe
from aam.disk.cache import Cache
from aam.disk.writing import whole
from aam.distances.files import open_distances
from aam.distances.on_tree import keep_on_tree
from aam.distances.precomputed import PrecomputedDistances
from aam.distances.sameness import by_module, require_differences
from aam.distances.unifrac import UniFrac
from aam.errors import InputError
from aam.options import TreeOptions
from aam.parallel.collectives import wait
from aam.parallel.ranks import by_first
from aam.study.given import keep_given
from aam.study.study import Study

log = logging.getLogger(__name__)


def on_given_distances(study: Study, options: TreeOptions, cache: Cache, *, ignore_missing: bool) -> Study:
    """The samples with distances by the tree or matrix that is given, and those distances; without either the study as it is.

    Samples that have none are an InputError, or left out with `ignore_missing`.
    """
    if options.unifrac_matrix is not None:
        log.info("distances from %s: they stay those of all reads, whatever is rarefied or left out", options.unifrac_matrix)
        given = open_distances(options.unifrac_matrix)
        study = study.with_samples(keep_given(study.table, given, ignore_missing))
        return _learnable(study, PrecomputedDistances(given.between(study.table.sample_ids)))
    if options.tree is not None:
        return _on_tree(study, read_phylogeny(options.tree, study.table.feature_ids, cache), options, ignore_missing)
    return study


def with_distances(study: Study, options: TreeOptions, cache: Cache, built: Path | None = None, resume: bool = False) -> Study:
    """The study with the distances that it has, or else with UniFrac on a tree that is built from its sequences.

    built: file where that tree is kept, and with `resume` taken from.
    """
    if study.distance is not None:
        return study
    feature_ids = study.table.feature_ids
    if built is None:
        phylogeny = Phylogeny.from_nodes(nodes_of(build_tree(_sequences(study), feature_ids)), feature_ids)
    else:
        if not (resume and built.is_file()):
            write_built_tree(study, built, cache)
        wait()
        phylogeny = read_phylogeny(built, feature_ids, cache)
    return _on_tree(study, phylogeny, options, ignore_missing=False)


def _on_tree(study: Study, phylogeny: Phylogeny, options: TreeOptions, ignore_missing: bool) -> Study:
    table = keep_on_tree(study.table, phylogeny, ignore_missing)
    return _learnable(study.with_samples(table), UniFrac(phylogeny, options.unifrac_metric, options.alpha))


def _learnable(study: Study, distance: nn.Module) -> Study:
    """The study with the distance. InputError where it tells no samples apart."""
    require_differences(by_module(distance, study.table.counts), len(study))
    return replace(study, distance=distance)


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
        sheared = {**vars(Phylogeny.from_nodes(read_nodes(path), feature_ids))}
        # As bytes: an array of text would take as much for each label as for the longest.
        labels = np.frombuffer("\n".join(label.replace("\n", " ") for label in sheared.pop("labels")).encode(), dtype=np.uint8)
        return {"labels": labels, **{name: np.asarray(value) for name, value in sheared.items() if name != "missing"}}

    arrays = dict(cache.arrays("sheared tree", (read_file(path), repr(feature_ids)), shear))
    missing = tuple(feature_ids[column] for column in np.setdiff1d(np.arange(len(feature_ids)), arrays["tip_columns"]))
    near, labels = str(arrays.pop("near")), tuple(arrays.pop("labels").tobytes().decode().split("\n"))
    return Phylogeny(**arrays, missing=missing, near=near, labels=labels)
