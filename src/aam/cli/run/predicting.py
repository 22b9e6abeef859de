"""The run of ``aam predict``: load, read, predict, write."""

from __future__ import annotations

import logging
from pathlib import Path

from aam.cli.config_file import inputs_of
from aam.cli.configs_of_models import PREDICTIONS, PredictConfig
from aam.cli.run.results import score_table
from aam.compute import check_compute
from aam.data.metadata import Metadata
from aam.disk.json_files import write_json
from aam.disk.places import check_output_file
from aam.parallel.collectives import meet, require_alone
from aam.parallel.ranks import by_first
from aam.saved.annotated import SUFFIX, write_annotated
from aam.saved.fitted import Fitted
from aam.saved.folder import folders_of
from aam.saved.load import load_folder
from aam.saved.predictions import (
    beside,
    files_beside,
    forget_earlier,
    prediction_columns,
    score_new,
    warn_of_learned,
    warn_of_novelty,
    write_predictions,
)
from aam.saved.transformer import FittedEncoder
from aam.study.new_samples import known_truth, read_new_samples
from aam.study.study import Study

log = logging.getLogger(__name__)


def run_predicting(config: PredictConfig) -> None:
    """Predict the samples of a table, and score the predictions where the truth is known."""
    meet(config.compute.devices, config.compute.num_nodes)
    check_compute(config.compute)
    several = folders_of(config.trained.model, "model")
    places = {beside(config.output, name): place for name, place in several.items()} or {config.output: config.trained.model}
    models = {}
    for output, place in places.items():
        check_output_file(output, config.overwrite, PREDICTIONS, files_beside(output), inputs_of(config).values())
        models[output] = load_folder(place, "model", config.compute, config.trained.batch_size)
        models[output].require_draws(config.draws)
    first = next(iter(models.values()))
    if not isinstance(first, FittedEncoder):
        require_alone("an ensemble")
    # Targets of one run read the same of a sample.
    needed = tuple(dict.fromkeys(column for fitted in models.values() for column in fitted.target.columns))
    study, metadata = read_new_samples(config.data, first.info.reads, config.chosen, needed, by_id=not first.reads_sequences)
    for output, fitted in models.items():
        _predict(config, fitted, study, metadata, output, places[output])


def _predict(config: PredictConfig, fitted: Fitted, study: Study, metadata: Metadata | None, output: Path, place: Path) -> None:
    about, ids = fitted.target, study.table.sample_ids
    truth = known_truth(metadata, ids, about.metadata_column, about.target)
    (predicted, sd), measured = fitted.predict_draws(study, config.draws), fitted.measure(study)
    certainty = fitted.certainty(predicted, measured, fitted.banded(study, predicted))
    certainty = {**({"sd": sd} if config.draws > 1 else {}), **certainty}
    warn_of_learned(fitted, study)
    warn_of_novelty(fitted, study, measured)
    true = None if truth is None else truth.column(about.target)
    if output.suffix == SUFFIX:
        forget_earlier(output)
        columns = prediction_columns(predicted, about.target, certainty, true)
        write_annotated(output, study, metadata, columns=columns, facts={"model": place.name, "predicted": about.metadata_column})
    else:
        write_predictions(output, ids, predicted, about.target, certainty, true)
    if truth is not None and len(truth.rows):
        found = score_new(fitted, study, predicted, truth)
        by_first(write_json)(beside(output, "scores", ".json"), found)
        kind = "which the model was trained on" if found["trained_on"] else "which the model was not trained on"
        title = f"scores of {about.metadata_column}, number of samples: {found['scored_samples']}, {kind}"
        log.info("%s", score_table(title, found["scores"]))
    log.info("wrote %d predictions of %s to %s", len(predicted), about.metadata_column, output)
