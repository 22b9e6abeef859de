"""The run of ``aam distances`` and ``aam unifrac``: read, rarefy, compute, write."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aam.cli.configs import DistancesConfig, UniFracConfig
from aam.cli.run.log import LOGGER
from aam.data.newick import read_nodes
from aam.data.phylogeny import Phylogeny
from aam.data.table import FeatureTable, drop_shallow, rarefy, read_table
from aam.distances.files import write_distances
from aam.distances.registry import measure_of
from aam.distances.sameness import only_distance
from aam.distances.sample_values import write_sample_values
from aam.distances.whole import measure_table
from aam.errors import counted
from aam.parallel.threads import use_allotted_threads


def run_distances(config: DistancesConfig | UniFracConfig) -> None:
    """Compute the distances between all samples of a table, or a quantity of each."""
    use_allotted_threads()
    measure, table = measure_of(config.metric), _table(config)
    LOGGER.info("%s: %s, %s", config.table, counted(len(table.sample_ids), "sample"), counted(len(table.feature_ids), "ASV"))
    phylogeny = None
    if config.tree is not None:
        phylogeny = Phylogeny.from_nodes(read_nodes(config.tree), table.feature_ids, count_root=config.count_root)
    table, found = measure_table(table, config.metric, phylogeny, config.alpha, ignore_missing=config.ignore_missing)
    if not measure.pairs:
        write_sample_values(config.output, config.metric, found, table.sample_ids)
    else:
        if (value := only_distance(lambda rows: found[np.ix_(rows, rows)], len(found))) is not None:
            cause = ", or is the tree of other data" if measure.on_tree else ""
            LOGGER.warning("all distances between the samples are %g: do all hold the same%s?", value, cause)
        write_distances(config.output, found, table.sample_ids)
    LOGGER.info("%s written to %s", measure.title, config.output)


def _table(config: DistancesConfig | UniFracConfig) -> FeatureTable:
    """The table, rarefied where that is asked for."""
    table = read_table(config.table, config.ignore_missing)
    if config.sampling_depth is None:
        return table
    table = drop_shallow(table, config.sampling_depth, config.ignore_missing)
    return replace(table, counts=rarefy(table.counts, config.sampling_depth, np.random.default_rng(config.seed)))
