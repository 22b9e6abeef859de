"""The run of ``aam unifrac``: read, rarefy, compute, write."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aam.cli.configs import UniFracConfig
from aam.cli.run.log import LOGGER
from aam.compute import default_device
from aam.data.newick import read_nodes
from aam.data.phylogeny import Phylogeny
from aam.data.table import drop_shallow, rarefy, read_table
from aam.distances.matrix import compare_all
from aam.distances.on_tree import keep_on_tree
from aam.distances.precomputed import PrecomputedDistances, write_distances
from aam.distances.sameness import only_distance
from aam.distances.unifrac import comparison_of
from aam.errors import counted
from aam.parallel.threads import use_allotted_threads


def run_unifrac(config: UniFracConfig) -> None:
    """Compute the distances between all samples of a table."""
    use_allotted_threads()
    table = read_table(config.table, config.ignore_missing)
    if config.sampling_depth is not None:
        table = drop_shallow(table, config.sampling_depth, config.ignore_missing)
        counts = rarefy(table.counts, config.sampling_depth, np.random.default_rng(config.seed))
        table = replace(table, counts=counts)
    LOGGER.info("%s: %s, %s", config.table, counted(len(table.sample_ids), "sample"), counted(len(table.feature_ids), "ASV"))
    phylogeny = Phylogeny.from_nodes(read_nodes(config.tree), table.feature_ids)
    table = keep_on_tree(table, phylogeny, config.ignore_missing)
    comparison = comparison_of(config.metric, config.alpha)
    matrix = compare_all(table.counts, phylogeny, comparison, device=str(default_device()))
    if (value := only_distance(PrecomputedDistances(matrix), table.counts)) is not None:
        LOGGER.warning("all distances between the samples are %g: do all hold the same, or is the tree of other data?", value)
    write_distances(config.output, matrix, table.sample_ids)
    LOGGER.info("%s UniFrac written to %s", config.metric, config.output)
