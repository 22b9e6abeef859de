"""``aam explain``: what the predictions of a trained model come from."""

from __future__ import annotations

from aam.cli.configs import ExplainConfig


def explain(config: ExplainConfig) -> None:
    """Explain what a trained model's predictions come from: ASVs, clades, taxa, and how far that is true of the model.

    The output folder holds a page, explain.html, and tables that QIIME 2, EMPress and iTOL read.
    """
    from aam.cli.run.explaining import run_explaining

    run_explaining(config)
