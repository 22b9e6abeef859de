"""``aam distances``: the distances, or the diversity, of the samples of a whole table."""

from __future__ import annotations

from aam.cli.config_file import inputs_of
from aam.cli.configs import DistancesConfig
from aam.disk.places import check_output_file
from aam.distances.registry import measure_of

SUFFIXES = (".h5", ".npy", ".tsv", ".qza")


def distances(config: DistancesConfig) -> None:
    """Compute the distances between all samples of a table, or the diversity of each."""
    suffixes = SUFFIXES if measure_of(config.metric).pairs else (".tsv", ".qza")
    check_output_file(config.output, config.overwrite, suffixes, inputs=inputs_of(config).values())
    from aam.cli.run.distances import run_distances

    run_distances(config)
