"""The run of ``aam predict``: load, read, predict, write."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from aam.cli.configs_of_models import PREDICTIONS, PredictConfig
from aam.cli.run.batch import Batch, Output
from aam.cli.run.results import score_table
from aam.compute import check_compute
from aam.data.metadata import Metadata
from aam.disk.json_files import write_json
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
    summary_of,
    warn_of_learned,
    warn_of_novelty,
    write_predictions,
)
from aam.saved.transformer import FittedEncoder
from aam.study.new_samples import known_truth, read_new_samples
from aam.study.study import Study

log = logging.getLogger(__name__)


def run_predicting(config: PredictConfig) -> None:
    """Predict the samples of each table, and score the predictions where the truth is known."""
    meet(config.compute.devices, config.compute.num_nodes)
    check_compute(config.compute)
    several = folders_of(config.trained.model, "model")

    def outputs(one: PredictConfig) -> list[Output]:
        """By target, in the order of the models."""
        names = [beside(one.output, name) for name in several] or [one.output]
        return [Output(name, PREDICTIONS, files_beside(name)) for name in names]

    batch = Batch(config, outputs)
    places = [*several.values()] or [config.trained.model]
    models = [load_folder(place, "model", config.compute, config.trained.batch_size) for place in places]
    for fitted in models:
        fitted.require_draws(config.draws)
    first = models[0]
    if not isinstance(first, FittedEncoder):
        require_alone("an ensemble")
    # Targets of one run read the same of a sample.
    needed = tuple(dict.fromkeys(column for fitted in models for column in fitted.target.columns))

    def predict(one: PredictConfig) -> dict[str, Any]:
        new = read_new_samples(one.data.one, first.info.reads, one.chosen, needed, by_id=not first.reads_sequences)
        facts: dict[str, Any] = {"samples": len(new[0])}
        for output, fitted, place in zip(outputs(one), models, places, strict=True):
            facts |= _predict(one, fitted, new, output.path, place)
        return facts

    batch.run(predict)


def _predict(
    config: PredictConfig, fitted: Fitted, new: tuple[Study, Metadata | None], output: Path, place: Path
) -> dict[str, Any]:
    """Predict one target of a table, and write that; what a list of tables says of it."""
    study, metadata = new
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
    novel = {} if measured is None else {"out_of_distribution": int(measured.out_of_distribution.sum())}
    return {**novel, **summary_of(about.metadata_column, predicted, about.target)}
