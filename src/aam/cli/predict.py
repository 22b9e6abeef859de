"""``aam predict``: apply a trained model to a table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from aam.config import DEFAULT_COMPUTE, INPUT, OUTPUT, ComputeOptions, ConfigFile, TableOptions, TrainedModelOptions
from aam.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from aam.artifact import TargetInfo
    from aam.data.targets import ClassTarget, RegressionTarget

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
    """Predictions, .tsv that QIIME 2 imports; class probabilities and 90 % intervals go to files beside it."""
    overwrite: Annotated[bool, Parameter(group=OUTPUT)] = False
    """Replace an existing output."""


def predict(config: PredictConfig) -> None:
    """Predict the samples of a table with a trained model.

    The table may be new, with new ASVs: the model reads their sequences.
    """
    import numpy as np

    from aam.artifact import load_model
    from aam.cli.output import check_output_file
    from aam.cli.study import SEED, read_model_input
    from aam.compute import check_compute, default_device
    from aam.data.dataset import SampleDataset
    from aam.data.metadata import read_metadata, reconcile
    from aam.inference import TableSamples, predict_samples

    check_compute(config.compute)
    beside = (probabilities_path(config.output), intervals_path(config.output))
    check_output_file(config.output, config.overwrite, (".tsv",), beside=beside)
    loaded = load_model(config.trained.model, compute=config.compute)
    if loaded.predictor is None or loaded.info.target is None:
        raise InputError(f"--model {config.trained.model}: an encoder, which predicts nothing; train on it, or use aam embed")
    target = loaded.info.target
    table, tokens = read_model_input(config.data, loaded.info.reads)
    categoricals = None
    if target.categoricals.vocabularies:
        columns = ", ".join(target.categoricals.vocabularies)
        if config.metadata is None:
            raise InputError(f"--metadata is missing: this model was trained with the columns {columns}")
        metadata = read_metadata(config.metadata)
        usable = reconcile(table.sample_ids, metadata, ignore_missing=config.data.ignore_missing).usable
        table = table.select_samples(usable)
        categoricals = target.categoricals.encode(metadata.loc[list(usable)])
    samples = TableSamples(SampleDataset(table, loaded.info.reads, SEED), tokens, np.arange(len(table.sample_ids)), categoricals)
    outputs = predict_samples(loaded.predictor.to(default_device()), samples, config.trained.batch_size)
    decoded = decode(outputs, target.target)
    write_predictions(config.output, table.sample_ids, decoded, target.target)
    if target.interval is not None:
        write_intervals(config.output, table.sample_ids, decoded, target)
    log.info("wrote %d predictions of %s to %s", len(decoded), target.metadata_column, config.output)


def decode(outputs: np.ndarray, target: RegressionTarget | ClassTarget) -> np.ndarray:
    """Head outputs [N, outputs] -> numbers in original units [N], or class probabilities [N, K]."""
    from scipy.special import softmax

    from aam.data.targets import RegressionTarget

    if isinstance(target, RegressionTarget):
        return target.inverse(outputs[:, 0].astype("float64"))
    return softmax(outputs.astype("float64"), axis=1)


def write_predictions(path: Path, sample_ids: Sequence[str], decoded: np.ndarray, target: RegressionTarget | ClassTarget) -> None:
    """Two columns that QIIME 2 imports as SampleData[RegressorPredictions] or [ClassifierPredictions]: sample, prediction.

    Class probabilities go to `<name>_probabilities.tsv`, which it imports as SampleData[Probabilities].
    """
    import pandas as pd

    from aam.data.targets import RegressionTarget

    index = pd.Index(sample_ids, name="SampleID")
    if isinstance(target, RegressionTarget):
        predictions = decoded
    else:
        predictions = target.decode(decoded.argmax(axis=1))
        probabilities = pd.DataFrame(decoded, index=index, columns=list(target.classes))
        probabilities.to_csv(probabilities_path(path), sep="\t")
    pd.DataFrame({"prediction": predictions}, index=index).to_csv(path, sep="\t")


def write_intervals(path: Path, sample_ids: Sequence[str], decoded: np.ndarray, info: TargetInfo) -> None:
    """`<name>_intervals.tsv`: what holds the truth of a sample of a new group nine times in ten: lower and upper end, or a set of
    classes, likeliest first.
    """
    import pandas as pd

    from aam.data.targets import RegressionTarget

    assert info.interval is not None
    columns: dict[str, object]
    if isinstance(info.target, RegressionTarget):
        columns = {"lower": decoded - info.interval, "upper": decoded + info.interval}
    else:
        names = info.target.classes
        columns = {"set": [";".join(names[k] for k in (-said).argsort() if 1 - said[k] <= info.interval) for said in decoded]}
    pd.DataFrame(columns, index=pd.Index(sample_ids, name="SampleID")).to_csv(intervals_path(path), sep="\t")


def intervals_path(path: Path) -> Path:
    """`predictions.tsv` -> `predictions_intervals.tsv`."""
    return path.with_name(f"{path.stem}_intervals.tsv")


def probabilities_path(path: Path) -> Path:
    """`predictions.tsv` -> `predictions_probabilities.tsv`."""
    return path.with_name(f"{path.stem}_probabilities.tsv")
