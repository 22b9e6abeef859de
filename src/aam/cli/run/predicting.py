"""The run of ``aam predict``: load, read, predict, write."""

from __future__ import annotations

import logging

from aam.cli.config_file import inputs_of
from aam.cli.configs import PredictConfig
from aam.cli.run.results import score_table
from aam.compute import check_compute
from aam.disk.json_files import write_json
from aam.disk.places import check_output_file
from aam.parallel.collectives import meet, require_alone
from aam.parallel.ranks import by_first
from aam.saved.load import load_folder
from aam.saved.predictions import beside, files_beside, score_new, warn_of_learned, warn_of_novelty, write_predictions
from aam.saved.transformer import FittedEncoder
from aam.study.new_samples import known_truth, read_new_samples

log = logging.getLogger(__name__)


def run_predicting(config: PredictConfig) -> None:
    """Predict the samples of a table, and score the predictions where the truth is known."""
    meet(config.compute.devices, config.compute.num_nodes)
    check_compute(config.compute)
    check_output_file(config.output, config.overwrite, (".tsv",), files_beside(config.output), inputs_of(config).values())
    fitted = load_folder(config.trained.model, "model", config.compute, config.trained.batch_size)
    about = fitted.target
    fitted.require_draws(config.draws)
    if not isinstance(fitted, FittedEncoder):
        require_alone("an ensemble")
    by_id = not fitted.reads_sequences
    study, metadata = read_new_samples(config.data, fitted.info.reads, config.chosen, about.columns, by_id=by_id)
    ids = study.table.sample_ids
    truth = known_truth(metadata, ids, about.metadata_column, about.target)
    (predicted, sd), measured = fitted.predict_draws(study, config.draws), fitted.measure(study)
    certainty = fitted.certainty(predicted, measured, fitted.banded(study, predicted))
    certainty = {**({"sd": sd} if config.draws > 1 else {}), **certainty}
    warn_of_learned(fitted, study)
    warn_of_novelty(fitted, study, measured)
    true = None if truth is None else truth.column(about.target)
    write_predictions(config.output, ids, predicted, about.target, certainty, true)
    if truth is not None and len(truth.rows):
        found = score_new(fitted, study, predicted, truth)
        by_first(write_json)(beside(config.output, "scores", ".json"), found)
        kind = "which the model was trained on" if found["trained_on"] else "which the model was not trained on"
        title = f"scores of {about.metadata_column}, number of samples: {found['scored_samples']}, {kind}"
        log.info("%s", score_table(title, found["scores"]))
    log.info("wrote %d predictions of %s to %s", len(predicted), about.metadata_column, config.output)
