"""``aam unifrac``: the distances of a whole table."""

from __future__ import annotations

from aam.cli.config_file import inputs_of
from aam.cli.configs import UniFracConfig
from aam.cli.distances import SUFFIXES
from aam.disk.places import check_output_file


def unifrac(config: UniFracConfig) -> None:
    """Compute the UniFrac distances between all samples of a table."""
    check_output_file(config.output, config.overwrite, SUFFIXES, inputs=inputs_of(config).values())
    from aam.cli.run.distances import run_distances

    run_distances(config)
