"""``aam predict``: apply a trained model to a table."""

from __future__ import annotations

from aam.cli.configs import PredictConfig


def predict(config: PredictConfig) -> None:
    """Predict the samples of a table with a trained model.

    The table may be new, with new ASVs: the model reads their sequences.
    """
    from aam.cli.run.predicting import run_predicting

    run_predicting(config)
