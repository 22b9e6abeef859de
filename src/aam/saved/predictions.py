"""Predictions of samples: as files, as scores, and what is said before they are believed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aam.disk.qza import CLASSIFIER_PREDICTIONS, METADATA, PROBABILITIES, REGRESSOR_PREDICTIONS, SUFFIX, write_table
from aam.disk.writing import remove
from aam.ensemble.novelty import Measured
from aam.errors import first_few
from aam.parallel.ranks import by_first
from aam.saved.annotated import SUFFIX as ANNOTATED
from aam.saved.fitted import Fitted
from aam.study.new_samples import KnownTruth
from aam.study.study import Study
from aam.study.targets import Target

log = logging.getLogger(__name__)


def beside(path: Path, what: str, suffix: str = "") -> Path:
    """`predictions.tsv` -> `predictions_intervals.tsv`, and of .qza and .h5ad likewise; suffix: that of a file of another kind."""
    own = path.suffix if path.suffix in (SUFFIX, ANNOTATED) else ".tsv"
    return path.with_name(f"{path.stem}_{what}{suffix or own}")


@by_first
def write_predictions(
    path: Path,
    sample_ids: Sequence[str],
    predicted: np.ndarray,
    target: Target,
    certainty: Mapping[str, np.ndarray],
    true: np.ndarray | None = None,
) -> None:
    """Two columns that QIIME 2 imports as SampleData[RegressorPredictions] or [ClassifierPredictions]: sample, prediction. It takes
    no more.

    Class probabilities go to `<name>_probabilities.tsv`, which it imports as SampleData[Probabilities]; what is known of the
    certainty of predictions (`Fitted.certainty`), the truth [n] and the error of numbers (prediction - truth) to
    `<name>_intervals.tsv`. Where `path` ends in .qza they are artifacts of these types, the last one ImmutableMetadata.
    """
    index = pd.Index(sample_ids, name="SampleID")
    kind = CLASSIFIER_PREDICTIONS if target.classes else REGRESSOR_PREDICTIONS
    tables = {path: (pd.DataFrame({"prediction": target.names(predicted)}, index=index), kind)}
    if target.classes:
        tables[beside(path, "probabilities")] = pd.DataFrame(predicted, index=index, columns=list(target.classes)), PROBABILITIES
    if more := _known_of(predicted, target, certainty, true):
        tables[beside(path, "intervals")] = pd.DataFrame(more, index=index), METADATA
    forget_earlier(path)
    for place, (table, kind) in tables.items():
        write_table(place, table, kind)


def prediction_columns(
    predicted: np.ndarray, target: Target, certainty: Mapping[str, np.ndarray], true: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """All of that as columns of one table: prediction, probability_X of each class X, certainty, truth and error."""
    classes = {f"probability_{name}": predicted[:, place] for place, name in enumerate(target.classes)}
    return {"prediction": target.names(predicted), **classes, **_known_of(predicted, target, certainty, true)}


def _known_of(
    predicted: np.ndarray, target: Target, certainty: Mapping[str, np.ndarray], true: np.ndarray | None
) -> dict[str, np.ndarray]:
    if true is None:
        return dict(certainty)
    return {**certainty, "true": true, **({} if target.classes else {"error": predicted - true})}


def files_beside(path: Path) -> tuple[Path, ...]:
    """What may be written with predictions."""
    scores = beside(path, "scores", ".json")
    return (scores,) if path.suffix == ANNOTATED else (beside(path, "probabilities"), beside(path, "intervals"), scores)


@by_first
def forget_earlier(path: Path) -> None:
    """Remove what an earlier run wrote with predictions: what it knew is not of these."""
    for earlier in files_beside(path):
        remove(earlier)


@by_first
def write_novelty(path: Path, sample_ids: Sequence[str], measured: Measured) -> None:
    """The novelty of samples (`Measured.columns`)."""
    write_table(path, pd.DataFrame(measured.columns(), index=pd.Index(sample_ids, name="SampleID")), METADATA)


def score_new(fitted: Fitted, study: Study, predicted: np.ndarray, truth: KnownTruth) -> dict[str, Any]:
    """Scores of the samples whose truth is known, beside the trivial prediction; of those that the model was not trained on, where
    there are any.
    """
    known = set(fitted.info.learned_from)
    learned = np.array([study.table.sample_ids[row] in known for row in truth.rows], dtype=bool)
    new = ~learned if not learned.all() else learned
    about = {"column": fitted.target.metadata_column, "scored_samples": int(new.sum()), "trained_on": bool(learned.all())}
    if not new.any():
        return {**about, "scores": {}}
    return {**about, "scores": fitted.target.scores(truth.values[new], predicted[truth.rows[new]])}


def summary_of(column: str, predicted: np.ndarray, target: Target) -> dict[str, float]:
    """Predictions of a table in a few numbers, by name: mean and range, or how many samples of each class."""
    if not target.classes:
        found = {"mean": predicted.mean(), "lowest": predicted.min(), "highest": predicted.max()}
        return {f"{column}_{name}": float(f"{value:.6g}") for name, value in found.items()}
    number = np.bincount(predicted.argmax(axis=1), minlength=len(target.classes))
    return {f"{column}={name}": int(count) for name, count in zip(target.classes, number, strict=True)}


def warn_of_learned(fitted: Fitted, study: Study) -> None:
    """Warn of samples that the model was trained on."""
    if learned := set(fitted.info.learned_from).intersection(study.table.sample_ids):
        log.warning(
            "%d of %d samples are, by their IDs, ones that the model was trained on: predictions of these are too good",
            len(learned),
            len(study),
        )


def warn_of_novelty(fitted: Fitted, study: Study, measured: Measured | None) -> None:
    """Warn of samples that are out of distribution, and why, and of sequences of another region. InputError for reverse
    complements.
    """
    fitted.look_at(study)
    if measured is None or not measured.out_of_distribution.any():
        return
    known, ids = measured.known, np.array(study.table.sample_ids, dtype=object)
    said = {
        "unlike ASVs": "with ASVs unlike those of the training samples",
        "few reads": f"with fewer reads than training samples had ({known.least_reads} or more)",
        "few ASVs": f"with fewer ASVs than training samples had ({known.least_asvs} or more)",
    }
    why = "; ".join(
        f"{wrong.sum()} {said[reason]}: {first_few(ids[wrong], 3)}" for reason, wrong in measured.reasons.items() if wrong.any()
    )
    log.warning("%d of %d samples are out of distribution: %s", measured.out_of_distribution.sum(), len(study), why)
