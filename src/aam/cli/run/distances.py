"""The run of ``aam unifrac``: read, rarefy, compute, write."""

from __future__ import annotations

import numpy as np

from aam.cli.configs import UniFracConfig
from aam.cli.run.log import LOGGER
from aam.compute import default_device
from aam.data.newick import read_nodes
from aam.data.phylogeny import Phylogeny
from aam.data.table import drop_shallow, rarefy, read_table
from aam.distances.matrix import unifrac_matrix
from aam.distances.precomputed import write_distances


def run_unifrac(config: UniFracConfig) -> None:
    """Compute the distances between all samples of a table."""
    table = read_table(config.table, config.ignore_missing)
    counts = table.counts
    if config.sampling_depth is not None:
        table = drop_shallow(table, config.sampling_depth, config.ignore_missing)
        counts = rarefy(table.counts, config.sampling_depth, np.random.default_rng(config.seed))
    LOGGER.info("%s: %d samples, %d ASVs", config.table, len(table.sample_ids), len(table.feature_ids))
    phylogeny = Phylogeny.from_nodes(read_nodes(config.tree), table.feature_ids)
    device = str(default_device())
    matrix = unifrac_matrix(counts, phylogeny, config.metric, config.alpha, sample_ids=table.sample_ids, device=device)
    write_distances(config.output, matrix, table.sample_ids)
    LOGGER.info("%s UniFrac written to %s", config.metric, config.output)
