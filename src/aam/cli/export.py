"""``aam export``: write a trained model as an ONNX graph."""

from __future__ import annotations

from aam.cli.config_file import inputs_of
from aam.cli.configs import ExportConfig
from aam.exporting.place import check_export


def export(config: ExportConfig) -> None:
    """Write a trained model as an ONNX graph, which programs without AAM run.

    An ensemble is one graph, too. Beside it are .json (what the graph expects and gives) and .md (how to use it, with the code).
    """
    check_export(config.output, overwrite=config.overwrite, inputs=inputs_of(config).values())
    from aam.cli.run.exporting import run_exporting

    run_exporting(config)
