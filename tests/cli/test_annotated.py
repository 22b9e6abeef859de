"""AnnData files through commands: one file as table, metadata and sequences in, predictions and embeddings beside it out."""

import h5py
import numpy as np
import pandas as pd
import pytest

from aam.data.metadata import read_metadata
from aam.data.simulate import simulate, write_simulation
from aam.data.table import read_table
from aam.learners.ensemble import EnsembleLearner
from aam.learners.pretraining import PretrainingLearner
from aam.options import FitOptions, ModelOptions, TargetOptions
from aam.saved.annotated import write_annotated
from aam.study.problem import pose
from aam.study.reading import read_study
from tests.support.commands import aam
from tests.support.studies import QUICK

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
LEARNED = np.arange(30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A community of 40 samples, as BIOM with metadata and as one .h5ad, and models that learned from 30."""
    folder = tmp_path_factory.mktemp("annotated")
    write_simulation(simulate(0, n_samples=40, n_asvs=50, length=40), folder)
    read = read_study(folder / "table.biom", metadata=folder / "metadata.tsv", tree=folder / "tree.nwk")
    write_annotated(folder / "x.h5ad", read, read.full_metadata)
    for name, classifier in (("age", False), ("disease", True)):
        problem = pose(read, TargetOptions(metadata_column=name, classifier=classifier))
        EnsembleLearner(QUICK, jobs=1).fit(problem, LEARNED).save(folder / name)
    PretrainingLearner(SHAPE, options=FitOptions(epochs=1, batch_size=8)).fit(read, LEARNED).save(folder / "encoder")
    return folder


def tsv(path):
    return pd.read_csv(path, sep="\t", index_col=0, keep_default_na=False)


@pytest.mark.parametrize("model", ["age", "disease"])
def test_predictions_are_those_of_the_table(folder, tmp_path, model):
    both = ["--table", folder / "x.h5ad", "--metadata", folder / "x.h5ad"]
    aam("predict", "--model", folder / model, *both, "--output", tmp_path / "p.h5ad")
    plain = ["--table", folder / "table.biom", "--metadata", folder / "metadata.tsv"]
    aam("predict", "--model", folder / model, *plain, "--output", tmp_path / "p.tsv", "--overwrite")
    found, table = read_metadata(tmp_path / "p.h5ad"), read_table(tmp_path / "p.h5ad")
    wanted = tsv(tmp_path / "p.tsv")["prediction"]
    assert list(found.typed.index) == list(wanted.index)
    if model == "age":
        np.testing.assert_allclose(found.typed["aam_prediction"], wanted)
        error = found.typed["aam_prediction"] - found.typed["age"]
        np.testing.assert_allclose(found.typed["aam_error"], error)
        assert {"aam_lower", "aam_upper"} <= set(found.typed.columns) or "aam_distance_to_training" in found.typed.columns
    else:
        assert found.texts("aam_prediction").tolist() == wanted.tolist()
        probabilities = tsv(tmp_path / "p_probabilities.tsv")
        for name in probabilities.columns:
            np.testing.assert_allclose(found.typed[f"aam_probability_{name}"], probabilities[name])
    before = read_table(folder / "table.biom")
    assert (table.sample_ids, table.feature_ids) == (before.sample_ids, before.feature_ids)
    assert (table.counts != before.counts).nnz == 0
    assert (tmp_path / "p_scores.json").exists()
    # Of samples whose truth is not known there are no scores, also no earlier ones.
    aam("predict", "--model", folder / model, *both[:2], "--output", tmp_path / "p.h5ad", "--overwrite")
    assert not (tmp_path / "p_scores.json").exists()
    assert "aam_true" not in read_metadata(tmp_path / "p.h5ad").typed


def test_embeddings_and_their_distances_go_into_one_file(folder, tmp_path):
    embed = ["embed", "--model", folder / "encoder", "--table", folder / "x.h5ad"]
    aam(*embed, "--output", tmp_path / "e.h5ad", "--distances", tmp_path / "e.h5ad", "--metadata", folder / "x.h5ad")
    aam(*embed, "--output", tmp_path / "e.npy", "--distances", tmp_path / "d.npy")
    assert not (tmp_path / "e_novelty.h5ad").exists()
    with h5py.File(tmp_path / "e.h5ad") as handle:
        np.testing.assert_array_equal(handle["obsm/X_aam"], np.load(tmp_path / "e.npy"))
        np.testing.assert_allclose(handle["obsp/aam_distances"], np.load(tmp_path / "d.npy"), rtol=1e-6)
        assert handle["uns/aam/model"][()] == b"encoder"
    columns = read_metadata(tmp_path / "e.h5ad").typed.columns
    assert {"age", "aam_distance_to_training", "aam_out_of_distribution"} <= set(columns)
    aam(*embed, "--level", "asv", "--output", tmp_path / "a.h5ad")
    aam(*embed, "--level", "asv", "--output", tmp_path / "a.npy")
    with h5py.File(tmp_path / "a.h5ad") as handle:
        np.testing.assert_array_equal(handle["varm/X_aam"], np.load(tmp_path / "a.npy"))


def test_a_model_is_trained_on_one_file(folder, tmp_path):
    one = ["--table", folder / "x.h5ad", "--metadata", folder / "x.h5ad", "--metadata-column", "age"]
    small = ["--recipe", "transformer", "--embedding-dim", 16, "--attention-heads", 2, "--attention-layers", 1, "--epochs", 1]
    aam("train", *one, *small, "--penalty", 0, "--batch-size", 16, "--output-dir", tmp_path / "run")
    assert (tmp_path / "run" / "metrics.json").exists()


def test_a_table_on_disk_is_not_written_into_a_file(folder, tmp_path):
    options = ["--table", folder / "table.biom", "--stream", "--output", tmp_path / "p.h5ad"]
    assert "with --stream: it would hold the table" in aam("predict", "--model", folder / "age", *options, code=2)
    assert "with --stream: it would hold the table" in aam("embed", "--model", folder / "encoder", *options, code=2)
