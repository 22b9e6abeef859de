"""The run of ``aam export``: load, build the graph, write."""

from __future__ import annotations

import logging

from aam.cli.configs import ExportConfig
from aam.exporting.export import export
from aam.exporting.place import files_beside
from aam.saved.load import load_folder

log = logging.getLogger(__name__)


def run_exporting(config: ExportConfig) -> None:
    """Write a model as a graph, and what it is beside it."""
    fitted = load_folder(config.model, "model")
    export(fitted, config.output, weights=config.exporting.weights, overwrite=config.overwrite)
    about, page = files_beside(config.output)
    size = config.output.stat().st_size / 1e6
    log.info(
        "wrote the graph to %s (%.1f MB), what it expects and gives to %s, how to use it to %s", config.output, size, about, page
    )
