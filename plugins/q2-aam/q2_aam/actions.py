"""What the plugin does: commands of AAM on the files of artifacts."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import qiime2
from q2_sample_classifier import PredictionsFormat, ProbabilitiesFormat
from q2_types.distance_matrix import LSMatFormat
from q2_types.feature_data import DNAFASTAFormat
from q2_types.feature_table import BIOMV210Format
from q2_types.ordination import OrdinationFormat
from q2_types.tree import NewickFormat

from q2_aam.models import AAMModelDirFmt

# The encoder that comes with AAM.
_SHIPPED = "aam-16s-v4"


def pretrain(
    table: BIOMV210Format, sequences: DNAFASTAFormat, phylogeny: NewickFormat, epochs: int = None, seed: int = 0
) -> AAMModelDirFmt:
    """An encoder, without labels."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"tree": phylogeny, "epochs": epochs, "seed": seed, "output-dir": f"{folder}/run"}
        _aam("pretrain", table, sequences, options)
        return _model(folder)


def train_regressor(
    table: BIOMV210Format,
    sequences: DNAFASTAFormat,
    metadata: qiime2.Metadata,
    column: str,
    group_column: str = None,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> (AAMModelDirFmt, PredictionsFormat):
    """A model of a number, and its predictions of test samples."""
    return _train(table, sequences, metadata, column, group_column, test_fraction, seed)


def train_classifier(
    table: BIOMV210Format,
    sequences: DNAFASTAFormat,
    metadata: qiime2.Metadata,
    column: str,
    group_column: str = None,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> (AAMModelDirFmt, PredictionsFormat):
    """A model of classes, and its predictions of test samples."""
    return _train(table, sequences, metadata, column, group_column, test_fraction, seed, "--classifier")


def predict_regression(
    table: BIOMV210Format, sequences: DNAFASTAFormat, model: AAMModelDirFmt, metadata: qiime2.Metadata = None
) -> PredictionsFormat:
    """Numbers of new samples."""
    return _predict(table, sequences, model, metadata)[0]


def predict_classification(
    table: BIOMV210Format, sequences: DNAFASTAFormat, model: AAMModelDirFmt, metadata: qiime2.Metadata = None
) -> (PredictionsFormat, ProbabilitiesFormat):
    """Classes of new samples, and their probabilities."""
    return _predict(table, sequences, model, metadata)


def embed(table: BIOMV210Format, sequences: DNAFASTAFormat, encoder: AAMModelDirFmt = None) -> (OrdinationFormat, LSMatFormat):
    """Principal coordinates of embeddings, and the distances between these."""
    model = _SHIPPED if encoder is None else encoder
    with tempfile.TemporaryDirectory() as folder:
        written = {"ordination": f"{folder}/pcoa.txt", "distances": f"{folder}/distances.tsv"}
        _aam("embed", table, sequences, {"model": model, "output": f"{folder}/embeddings.tsv", **written})
        return _as(OrdinationFormat, written["ordination"]), _as(LSMatFormat, written["distances"])


def evaluate(
    output_dir: str,
    table: BIOMV210Format,
    sequences: DNAFASTAFormat,
    metadata: qiime2.Metadata,
    column: str,
    classifier: bool = False,
    group_column: str = None,
    phylogeny: NewickFormat = None,
    folds: int = 5,
    only_baselines: bool = False,
    seed: int = 0,
) -> None:
    """The report of an evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        options = _supervised(folder, metadata, column, group_column, seed)
        options |= {"tree": phylogeny, "folds": folds, "output-dir": f"{folder}/report"}
        flags = [flag for flag, given in (("--classifier", classifier), ("--only-baselines", only_baselines)) if given]
        _aam("evaluate", table, sequences, options, *flags)
        shutil.copytree(f"{folder}/report", output_dir, dirs_exist_ok=True)


def _train(table, sequences, metadata, column, group_column, test_fraction, seed, *flags):
    with tempfile.TemporaryDirectory() as folder:
        options = _supervised(folder, metadata, column, group_column, seed)
        _aam("train", table, sequences, {**options, "test-fraction": test_fraction, "output-dir": f"{folder}/run"}, *flags)
        return _model(folder), _as(PredictionsFormat, f"{folder}/run/predictions.tsv")


def _predict(table, sequences, model, metadata):
    with tempfile.TemporaryDirectory() as folder:
        output, probabilities = f"{folder}/p.tsv", Path(folder, "p_probabilities.tsv")
        _aam("predict", table, sequences, {"model": model, "metadata": _saved(folder, metadata), "output": output})
        classes = _as(ProbabilitiesFormat, probabilities) if probabilities.exists() else None
        return _as(PredictionsFormat, output), classes


def _supervised(folder, metadata, column, group_column, seed):
    return {"metadata": _saved(folder, metadata), "metadata-column": column, "group-column": group_column, "seed": seed}


def _saved(folder, metadata):
    if metadata is None:
        return None
    metadata.save(f"{folder}/metadata.tsv")
    return f"{folder}/metadata.tsv"


def _aam(command, table, sequences, options, *flags):
    """Run a command of AAM. ValueError with its one line for input that it refuses."""
    given = os.environ.get("AAM_COMMAND")
    words = shlex.split(given) if given else [shutil.which("aam")]
    if words == [None]:
        raise ValueError("there is no command aam on the path: set AAM_COMMAND to it (/path/to/AAM/.venv/bin/aam)")
    words += [command, "--table", str(table), "--rep-seqs", str(sequences), "--ignore-missing", *flags]
    for name, value in options.items():
        # With its sign, so that a name that begins with a dash is no option.
        words += [] if value is None else [f"--{name}={value}"]
    # What this Python is told of its own packages is not for another.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    run = subprocess.run(words, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    # QIIME 2 shows it with --verbose.
    print(run.stderr)  # noqa: T201
    if run.returncode != 0:
        raise ValueError(next((line for line in run.stderr.splitlines()[::-1] if line.strip()), f"aam ended with {run.returncode}"))


def _model(folder):
    made = AAMModelDirFmt()
    shutil.copytree(f"{folder}/run/model", str(made), dirs_exist_ok=True)
    return made


def _as(file_format, path):
    made = file_format()
    shutil.copy(str(path), str(made))
    return made
