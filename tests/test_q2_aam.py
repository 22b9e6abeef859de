"""The QIIME 2 plugin (plugins/q2-aam), in the QIIME 2 that is installed: it registers, and its actions run AAM."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aam.data.simulate import simulate, write_simulation
from aam.learners.ensemble import EnsembleLearner
from aam.learners.pretraining import PretrainingLearner
from aam.options import FitOptions, ModelOptions, TargetOptions
from aam.study.problem import pose
from aam.study.reading import read_study
from tests.support.qiime import needs_qiime, python_of_qiime
from tests.support.studies import QUICK

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)

ROOT = Path(__file__).parents[1]
# An installed package, by hand: QIIME 2 finds plugins by their entry points.
ENTRY = "[qiime2.plugins]\nq2-aam = q2_aam.plugin_setup:plugin\n"
_REGISTERS = """
import sys, json, qiime2.sdk
plugin = qiime2.sdk.PluginManager().plugins["aam"]
print(json.dumps([sorted(plugin.methods), sorted(plugin.visualizers), sorted({"torch", "aam"} & set(sys.modules))]))
"""
_RUNS = """
import sys, json, pathlib, qiime2
from qiime2 import Artifact, Metadata
from qiime2.plugins import aam
folder = pathlib.Path(sys.argv[1])
table = Artifact.import_data("FeatureTable[Frequency]", str(folder / "table.biom"), "BIOMV210Format")
sequences = Artifact.import_data("FeatureData[Sequence]", str(folder / "seqs.fasta"))
metadata = Metadata.load(str(folder / "metadata.tsv"))
data = {"table": table, "sequences": sequences}
found = {}
encoder = Artifact.import_data("AAMModel[AAMEncoder]", str(folder / "encoder"))
coordinates, distances = aam.methods.embed(**data, encoder=encoder)
found["embedded"] = [str(coordinates.type), coordinates.view(Metadata).id_count, str(distances.type)]
coordinates, distances = aam.methods.embed(**data)
found["embedded as it comes"] = [coordinates.view(Metadata).id_count, str(distances.type)]
model = Artifact.import_data("AAMModel[AAMClassifier]", str(folder / "disease"))
model.save(str(folder / "model.qza"))
again = Artifact.load(str(folder / "model.qza"))
again.validate("max")
predictions, probabilities = aam.methods.predict_classification(**data, model=again)
found["classes"] = [str(predictions.type), predictions.view(Metadata).id_count, probabilities.view(Metadata).id_count]
try:
    aam.methods.train_regressor(**data, metadata=metadata, column="nothing")
except Exception as error:
    found["refused"] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    place = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "plugins" / "q2-aam" / "q2_aam", place / "q2_aam")
    about = place / "q2_aam-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: q2-aam\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text(ENTRY)
    return place


def run(installed, program, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONPATH": str(installed), "AAM_COMMAND": f"env PYTHONPATH={ROOT / 'src'} {sys.executable} -m aam"}
    words = [python_of_qiime(), "-c", program, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=550, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@needs_qiime
def test_it_registers_and_imports_no_torch(installed):
    methods, visualizers, heavy = run(installed, _REGISTERS)
    assert methods == ["embed", "predict_classification", "predict_regression", "pretrain", "train_classifier", "train_regressor"]
    assert visualizers == ["evaluate"]
    assert heavy == []


@needs_qiime
@pytest.mark.slow
def test_its_actions_run_aam(installed, tmp_path):
    """Those that fit models take minutes: they were run by hand, on models that are fitted here otherwise."""
    community = simulate(0, n_samples=40, n_asvs=40, length=40)
    write_simulation(community, tmp_path)
    (tmp_path / "seqs.fasta").write_text("".join(f">{name}\n{name}\n" for name in community.table.feature_ids))
    study = read_study(tmp_path / "table.biom", metadata=tmp_path / "metadata.tsv", tree=tmp_path / "tree.nwk")
    problem = pose(study, TargetOptions(metadata_column="disease", classifier=True))
    EnsembleLearner(QUICK, jobs=1).fit(problem, np.arange(40)).save(tmp_path / "disease")
    PretrainingLearner(SHAPE, options=FitOptions(epochs=1, batch_size=8)).fit(study, np.arange(40)).save(tmp_path / "encoder")
    found = run(installed, _RUNS, tmp_path)
    assert found["embedded"] == ["PCoAResults", 40, "DistanceMatrix"]
    assert found["embedded as it comes"] == [40, "DistanceMatrix"]
    assert found["classes"] == ["SampleData[ClassifierPredictions]", 40, 40]
    assert found["refused"].startswith("error: the metadata has no column nothing")
