"""``aam unifrac``: the distances of a whole table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from aam.cli.config_file import inputs_of
from aam.cli.run.folder import check_output_file
from aam.cli.run.log import LOGGER
from aam.options import DISTANCES, INPUT, OUTPUT, ConfigFile, UniFracMetric, check

SUFFIXES = (".h5", ".npy", ".tsv")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class UniFracConfig(ConfigFile):
    table: Annotated[Path, Parameter(group=INPUT)]
    """Feature table, samples x ASVs: BIOM 2.1 (HDF5), BIOM 1 (JSON), QIIME 2 .qza, or TSV."""
    tree: Annotated[Path, Parameter(group=INPUT)]
    """Phylogeny of the ASVs (newick or .qza)."""
    ignore_missing: Annotated[bool, Parameter(group=INPUT)] = False
    """Leave out samples that cannot be used (too few reads) instead of stopping."""
    metric: Annotated[UniFracMetric, Parameter(group=DISTANCES)] = "unweighted"
    """UniFrac variant."""
    alpha: Annotated[float, Parameter(group=DISTANCES)] = 0.5
    """Exponent of generalized UniFrac: 0 weighs branches alike, 1 by abundance."""
    sampling_depth: Annotated[int | None, Parameter(group=DISTANCES)] = None
    """Rarefy every sample to this many reads. Default: all reads."""
    seed: Annotated[int, Parameter(group=DISTANCES)] = 0
    """Seed of the rarefaction."""
    output: Annotated[Path, Parameter(group=OUTPUT)]
    """Distances: .h5 (as unifrac-binaries writes it), .npy (ids in .ids.txt beside it) or .tsv (LSMat)."""
    overwrite: Annotated[bool, Parameter(group=OUTPUT)] = False
    """Replace an existing output."""

    def __post_init__(self) -> None:
        check(0.0 <= self.alpha <= 1.0, "alpha", self.alpha, "between 0 and 1")
        check(self.sampling_depth is None or self.sampling_depth >= 1, "sampling_depth", self.sampling_depth, "at least 1")
        check(0 <= self.seed < 2**32, "seed", self.seed, "from 0 to 4294967295")


def unifrac(config: UniFracConfig) -> None:
    """Compute the UniFrac distances between all samples of a table."""
    check_output_file(config.output, config.overwrite, SUFFIXES, inputs=inputs_of(config).values())
    import numpy as np

    from aam.compute import default_device
    from aam.data.newick import read_nodes
    from aam.data.phylogeny import Phylogeny
    from aam.data.table import drop_shallow, rarefy, read_table
    from aam.distances.matrix import unifrac_matrix
    from aam.distances.precomputed import write_distances

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
