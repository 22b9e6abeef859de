"""The run of ``aam predict``: load, read, predict, write."""

from __future__ import annotations

import logging

import numpy as np

from aam.cli.config_file import inputs_of
from aam.cli.configs import PredictConfig
from aam.cli.run.output_file import check_output_file
from aam.cli.run.results import beside, write_predictions
from aam.compute import check_compute
from aam.errors import InputError
from aam.options import GroupOptions
from aam.parallel.collectives import meet, require_alone
from aam.saved.load import load_folder
from aam.saved.transformer import FittedEncoder
from aam.study.reading import read_samples

log = logging.getLogger(__name__)


def run_predicting(config: PredictConfig) -> None:
    """Predict the samples of a table."""
    meet(config.compute.devices, config.compute.num_nodes)
    check_compute(config.compute)
    others = (beside(config.output, "probabilities"), beside(config.output, "intervals"))
    check_output_file(config.output, config.overwrite, (".tsv",), others, inputs_of(config).values())
    fitted = load_folder(config.trained.model, "model", config.compute, config.trained.batch_size)
    about = fitted.target
    if not isinstance(fitted, FittedEncoder):
        require_alone("an ensemble")
    takes_metadata = bool(about.categoricals.vocabularies)
    if takes_metadata and config.metadata is None:
        raise InputError(
            f"`metadata` is missing: this model was trained with the columns {', '.join(about.categoricals.vocabularies)}"
        )
    samples = GroupOptions(metadata=config.metadata if takes_metadata else None)
    study = read_samples(config.data, fitted.info.reads, samples, by_id=not fitted.reads_sequences)
    predicted = fitted.predict(study)
    certainty = fitted.certainty(study, predicted)
    if strange := int(np.sum(certainty.get("out_of_distribution", np.zeros(1)))):
        log.warning("%d of %d samples are out of distribution: their ASVs are unlike the training samples'", strange, len(study))
    write_predictions(config.output, study.table.sample_ids, predicted, about.target, certainty)
    log.info("wrote %d predictions of %s to %s", len(predicted), about.metadata_column, config.output)
