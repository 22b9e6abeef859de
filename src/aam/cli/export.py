"""``aam export``: write a trained model as an ONNX graph."""

from __future__ import annotations

from aam.cli.configs import ExportConfig


def export(config: ExportConfig) -> None:
    """Write a trained model as an ONNX graph, which programs without AAM run.

    An ensemble is one graph, too. Beside it are .json (what the graph expects and gives) and .md (how to use it, with the code).
    """
    from aam.cli.run.exporting import run_exporting

    run_exporting(config)
