"""``aam predict``: apply a trained model to a table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from aam.disk.writing import write_tsv
from aam.errors import InputError
from aam.options import DEFAULT_COMPUTE, INPUT, OUTPUT, ComputeOptions, ConfigFile, TableOptions, TrainedModelOptions
from aam.parallel.ranks import by_first

if TYPE_CHECKING:
    import numpy as np

    from aam.saved.ensemble import LoadedEnsemble
    from aam.saved.folder import TargetInfo
    from aam.study.targets import ClassTarget, RegressionTarget

log = logging.getLogger(__name__)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PredictConfig(ConfigFile):
    data: TableOptions
    trained: TrainedModelOptions
    compute: ComputeOptions = DEFAULT_COMPUTE
    metadata: Annotated[Path | None, Parameter(group=INPUT)] = None
    """Sample metadata, for a model that was trained with --categorical-columns."""
    output: Annotated[Path, Parameter(group=OUTPUT)]
    """Predictions, .tsv that QIIME 2 imports; class probabilities and 90 % intervals, with a flag for strangers, go beside it."""
    overwrite: Annotated[bool, Parameter(group=OUTPUT)] = False
    """Replace an existing output."""


def predict(config: PredictConfig) -> None:
    """Predict the samples of a table with a trained model.

    The table may be new, with new ASVs: the model reads their sequences.
    """
    from aam.cli.config_file import inputs_of
    from aam.cli.run.folder import check_output_file
    from aam.compute import check_compute
    from aam.parallel.collectives import meet, require_alone
    from aam.saved.ensemble import load_ensemble

    meet(config.compute.devices, config.compute.num_nodes)
    check_compute(config.compute)
    beside = (probabilities_path(config.output), intervals_path(config.output))
    check_output_file(config.output, config.overwrite, (".tsv",), beside, inputs_of(config).values())
    several = load_ensemble(config.trained.model)
    if several is not None:
        require_alone("a model of train --auto")
    said = predict_alone(config) if several is None else predict_together(config, several)
    write_predictions(config.output, said.sample_ids, said.decoded, said.about.target)
    if said.about.interval is not None or said.familiarity is not None:
        write_intervals(config.output, said)
    log.info("wrote %d predictions of %s to %s", len(said.decoded), said.about.metadata_column, config.output)


@dataclass(frozen=True, eq=False)
class Predicted:
    """decoded: numbers in original units [N], or class probabilities [N, K]; familiarity: [N] how far a sample's ASVs
    are from those that were learned from, above 1 for a stranger, or None where the model does not know them.
    """

    sample_ids: tuple[str, ...]
    decoded: np.ndarray
    about: TargetInfo
    familiarity: np.ndarray | None


def predict_together(config: PredictConfig, loaded: LoadedEnsemble) -> Predicted:
    """By the members of train --auto."""
    import numpy as np

    from aam.study.study import SEED, drawn, read_model_input

    if config.data.stream:
        raise InputError("--stream: a model of train --auto takes the table in memory; leave it out, or split the table")
    about, ensemble = loaded.info.target, loaded.ensemble
    assert about is not None
    study = drawn(read_model_input(config.data, loaded.info.reads), loaded.info.reads, SEED)
    table = ensemble.catalogue.see(study.table.counts, study.asv_tokens)
    decoded = decode_training_units(ensemble.predict(table, np.arange(len(study.table.sample_ids))), about.target)
    familiarity = loaded.familiar.distances(table)
    strangers = int((familiarity > 1).sum())
    if strangers:
        log.warning(
            "%d of %d samples are unlike all that the model learned from: their predictions are guesses", strangers, len(decoded)
        )
    return Predicted(study.table.sample_ids, decoded, about, familiarity)


def predict_alone(config: PredictConfig) -> Predicted:
    """By one network."""
    import numpy as np

    from aam.compute import default_device
    from aam.data.dataset import SampleDataset
    from aam.data.metadata import read_metadata, reconcile
    from aam.models.inference import TableSamples, predict_samples
    from aam.saved.folder import load_model
    from aam.study.study import SEED, read_model_input

    loaded = load_model(config.trained.model, compute=config.compute)
    if loaded.predictor is None or loaded.info.target is None:
        raise InputError(f"--model {config.trained.model}: an encoder, which predicts nothing; train on it, or use aam embed")
    about = loaded.info.target
    study = read_model_input(config.data, loaded.info.reads)
    table, categoricals = study.table, None
    if about.categoricals.vocabularies:
        columns = ", ".join(about.categoricals.vocabularies)
        if config.metadata is None:
            raise InputError(f"--metadata is missing: this model was trained with the columns {columns}")
        metadata = read_metadata(config.metadata)
        usable = reconcile(table.sample_ids, metadata, ignore_missing=config.data.ignore_missing).usable
        table = table.select_samples(usable)
        categoricals = about.categoricals.encode(metadata.loc[list(usable)])
    rows = np.arange(len(table.sample_ids))
    samples = TableSamples(SampleDataset(table, loaded.info.reads, SEED), study.asv_tokens, rows, categoricals)
    outputs = predict_samples(loaded.predictor.to(default_device()), samples, config.trained.batch_size)
    return Predicted(table.sample_ids, decode(outputs, about.target), about, None)


def decode(outputs: np.ndarray, target: RegressionTarget | ClassTarget) -> np.ndarray:
    """Head outputs [N, outputs] -> numbers in original units [N], or class probabilities [N, K]."""
    from scipy.special import softmax

    from aam.study.targets import RegressionTarget

    if isinstance(target, RegressionTarget):
        return decode_training_units(outputs[:, 0].astype("float64"), target)
    return softmax(outputs.astype("float64"), axis=1)


def decode_training_units(said: np.ndarray, target: RegressionTarget | ClassTarget) -> np.ndarray:
    """Numbers in training units [N] -> in original units; class probabilities [N, K] are left as they are."""
    from aam.study.targets import RegressionTarget

    return target.inverse(said) if isinstance(target, RegressionTarget) else said


@by_first
def write_predictions(path: Path, sample_ids: Sequence[str], decoded: np.ndarray, target: RegressionTarget | ClassTarget) -> None:
    """Two columns that QIIME 2 imports as SampleData[RegressorPredictions] or [ClassifierPredictions]: sample, prediction.

    Class probabilities go to `<name>_probabilities.tsv`, which it imports as SampleData[Probabilities].
    """
    import pandas as pd

    from aam.study.targets import RegressionTarget

    index = pd.Index(sample_ids, name="SampleID")
    if isinstance(target, RegressionTarget):
        predictions = decoded
    else:
        predictions = target.decode(decoded.argmax(axis=1))
        probabilities = pd.DataFrame(decoded, index=index, columns=list(target.classes))
        write_tsv(probabilities_path(path), probabilities)
    write_tsv(path, pd.DataFrame({"prediction": predictions}, index=index))


@by_first
def write_intervals(path: Path, said: Predicted) -> None:
    """`<name>_intervals.tsv`: what holds the truth of a sample of a new group nine times in ten: lower and upper end, or a set of
    classes, likeliest first; and whether the sample is like those that were learned from.
    """
    import pandas as pd

    from aam.scoring.intervals import likely
    from aam.study.targets import RegressionTarget

    columns: dict[str, object] = {}
    limit, target, decoded = said.about.interval, said.about.target, said.decoded
    if limit is not None and isinstance(target, RegressionTarget):
        columns = {"lower": decoded - limit, "upper": decoded + limit}
    elif limit is not None:
        names = target.classes  # type: ignore[union-attr]
        columns = {"set": [";".join(names[k] for k in likely(row, limit)) for row in decoded]}
    if said.familiarity is not None:
        columns |= {"distance_to_training": said.familiarity, "out_of_distribution": said.familiarity > 1}
    write_tsv(intervals_path(path), pd.DataFrame(columns, index=pd.Index(said.sample_ids, name="SampleID")))


def intervals_path(path: Path) -> Path:
    """`predictions.tsv` -> `predictions_intervals.tsv`."""
    return path.with_name(f"{path.stem}_intervals.tsv")


def probabilities_path(path: Path) -> Path:
    """`predictions.tsv` -> `predictions_probabilities.tsv`."""
    return path.with_name(f"{path.stem}_probabilities.tsv")
