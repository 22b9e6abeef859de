"""Commands whose output ends in .qza: QIIME 2, where it is installed, loads, validates and views all that they write."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from aam.data.simulate import simulate, write_simulation
from aam.distances.files import read_distances
from aam.learners.ensemble import EnsembleLearner
from aam.learners.pretraining import PretrainingLearner
from aam.options import FitOptions, ModelOptions, TargetOptions
from aam.study.problem import pose
from aam.study.reading import read_study
from tests.support.commands import aam
from tests.support.qiime import load_in_qiime, needs_qiime
from tests.support.studies import QUICK

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
LEARNED = np.arange(30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A community of 40 samples, models that learned from 30, and what commands made of them."""
    folder = tmp_path_factory.mktemp("qiime")
    write_simulation(simulate(0, n_samples=40, n_asvs=50, length=40), folder)
    read = read_study(folder / "table.biom", metadata=folder / "metadata.tsv", tree=folder / "tree.nwk")
    for name, classifier in (("age", False), ("disease", True)):
        problem = pose(read, TargetOptions(metadata_column=name, classifier=classifier))
        EnsembleLearner(QUICK, jobs=1).fit(problem, LEARNED).save(folder / name)
    PretrainingLearner(SHAPE, options=FitOptions(epochs=1, batch_size=8)).fit(read, LEARNED).save(folder / "encoder")
    table = ["--table", folder / "table.biom"]
    for name in ("age", "disease"):
        for start, ending in (("q", ".qza"), ("p", ".tsv")):
            aam(
                "predict",
                "--model",
                folder / name,
                *table,
                "--metadata",
                folder / "metadata.tsv",
                "--output",
                folder / f"{start}_{name}{ending}",
            )
    distances = ["--distances", folder / "e_distances.qza", "--ordination", folder / "pcoa.qza"]
    aam("embed", "--model", folder / "encoder", *table, "--output", folder / "e.qza", *distances)
    aam("distances", *table, "--metric", "bray_curtis", "--output", folder / "bray.qza")
    aam("distances", *table, "--metric", "bray_curtis", "--output", folder / "bray.tsv")
    aam("distances", *table, "--metric", "shannon", "--output", folder / "shannon.qza")
    aam("unifrac", *table, "--tree", folder / "tree.nwk", "--output", folder / "unifrac.qza")
    aam("explain", "--model", folder / "age", *table, "--max-samples", 20, "--output-dir", folder / "why")
    return folder


def inside(path, member):
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(f"/data/{member}"))
        return pd.read_csv(archive.open(name), sep="\t", index_col=0, keep_default_na=False)


def test_an_artifact_holds_what_the_table_would(folder):
    members = {"": "predictions.tsv", "_intervals": "metadata.tsv", "_probabilities": "class_probabilities.tsv"}
    for name, what in (("age", ("", "_intervals")), ("disease", ("", "_intervals", "_probabilities"))):
        for one in what:
            table = pd.read_csv(folder / f"p_{name}{one}.tsv", sep="\t", index_col=0, keep_default_na=False)
            pd.testing.assert_frame_equal(inside(folder / f"q_{name}{one}.qza", members[one]), table)
        assert (folder / f"q_{name}_scores.json").exists()
    matrix = pd.read_csv(folder / "bray.tsv", sep="\t", index_col=0)
    np.testing.assert_array_equal(read_distances(folder / "bray.qza", list(matrix.index)), matrix)
    assert inside(folder / "e.qza", "metadata.tsv").shape == (40, 16)
    assert "out_of_distribution" in inside(folder / "e_novelty.qza", "metadata.tsv")
    importance = pd.read_csv(folder / "why" / "importance.tsv", sep="\t", index_col=0)
    pd.testing.assert_frame_equal(inside(folder / "why" / "importance.qza", "importance.tsv"), importance)


def test_a_matrix_of_an_artifact_is_learned_from(folder, tmp_path):
    options = ["--epochs", 1, "--embedding-dim", 16, "--attention-heads", 2, "--attention-layers", 1, "--batch-size", 8]
    matrix = ["--unifrac-matrix", folder / "unifrac.qza"]
    aam("pretrain", "--table", folder / "table.biom", *matrix, *options, "--output-dir", tmp_path / "run")
    assert (tmp_path / "run" / "model" / "config.json").exists()


def test_another_ending_is_one_line(folder, tmp_path):
    said = aam("predict", "--model", folder / "age", "--table", folder / "table.biom", "--output", tmp_path / "p.qzv", code=2)
    assert said.strip().endswith("must end in .tsv or .qza or .h5ad")


@needs_qiime
def test_qiime_2_loads_and_validates_all_that_commands_write(folder):
    found = load_in_qiime(
        {
            folder / "q_age.qza": "SampleData[RegressorPredictions]",
            folder / "q_disease.qza": "SampleData[ClassifierPredictions]",
            folder / "q_disease_probabilities.qza": "SampleData[Probabilities]",
            folder / "bray.qza": "DistanceMatrix",
            folder / "e_distances.qza": "DistanceMatrix",
            folder / "unifrac.qza": "DistanceMatrix",
            folder / "pcoa.qza": "PCoAResults",
            folder / "shannon.qza": "SampleData[AlphaDiversity]",
            folder / "why" / "importance.qza": "FeatureData[Importance]",
            folder / "why" / "ordination.qza": "PCoAResults % Properties('biplot')",
        }
    )
    assert found.pop(folder / "why" / "importance.qza") > 10
    assert found.pop(folder / "why" / "ordination.qza") == 20
    assert set(found.values()) == {40}
