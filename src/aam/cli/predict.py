"""``aam predict``: apply a trained model to a table."""

from __future__ import annotations

from aam.cli.config_file import inputs_of
from aam.cli.configs_of_models import PREDICTIONS, PredictConfig
from aam.disk.places import check_output_file


def predict(config: PredictConfig) -> None:
    """Predict the samples of a table, or of each of several, with a trained model.

    Tables may be new, with new ASVs: the model reads their sequences.
    """
    for one in config.each:
        allowed = config.writing.overwrite or config.writing.resume
        check_output_file(one.output, allowed, PREDICTIONS, inputs=inputs_of(config).values())
    from aam.cli.run.predicting import run_predicting

    run_predicting(config)
