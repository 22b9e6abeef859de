"""The run of ``aam unifrac``: read, rarefy, compute, write."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aam.cli.configs import UniFracConfig
from aam.cli.run.log import LOGGER
from aam.data.newick import read_nodes
from aam.data.phylogeny import Phylogeny
from aam.data.table import drop_shallow, rarefy, read_table
from aam.distances.files import write_distances
from aam.distances.matrix import compare_all, fastest_device
from aam.distances.on_tree import keep_on_tree
from aam.distances.sameness import only_distance
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
    phylogeny = Phylogeny.from_nodes(read_nodes(config.tree), table.feature_ids, count_root=config.count_root)
    table = keep_on_tree(table, phylogeny, config.ignore_missing)
    matrix = compare_all(table.counts, phylogeny, config.metric, config.alpha, device=fastest_device())
    if (value := only_distance(lambda rows: matrix[np.ix_(rows, rows)], len(matrix))) is not None:
        LOGGER.warning("all distances between the samples are %g: do all hold the same, or is the tree of other data?", value)
    write_distances(config.output, matrix, table.sample_ids)
    LOGGER.info("%s UniFrac written to %s", config.metric, config.output)
