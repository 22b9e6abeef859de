"""``aam explain``: it writes what it says, says what Python says, and leaves nothing half-written."""

import numpy as np
import pandas as pd
import pytest

import aam as library
from aam.data.simulate import simulate, write_simulation
from aam.explain.files import WRITTEN
from aam.learners.ensemble import EnsembleLearner
from aam.learners.pretraining import PretrainingLearner
from aam.learners.transformer import TransformerLearner
from aam.options import FitOptions, ModelOptions, TargetOptions, TrainFitOptions
from aam.study.problem import pose
from aam.study.reading import read_study
from tests.support.commands import aam
from tests.support.studies import QUICK

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
LEARNED = np.arange(30)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A community of 40 samples in a folder, with a taxonomy, and three models that learned from the first 30."""
    folder = tmp_path_factory.mktemp("study")
    write_simulation(simulate(0, n_samples=40, n_asvs=30, length=40), folder)
    read = read_study(folder / "table.biom", metadata=folder / "metadata.tsv", tree=folder / "tree.nwk")
    EnsembleLearner(QUICK, jobs=1).fit(pose(read, TargetOptions(metadata_column="age")), LEARNED).save(folder / "age")
    learner = TransformerLearner(SHAPE, options=TrainFitOptions(epochs=1, batch_size=8))
    learner.fit(pose(read, TargetOptions(metadata_column="disease", classifier=True)), LEARNED).save(folder / "disease")
    PretrainingLearner(SHAPE, options=FitOptions(epochs=1, batch_size=8)).fit(read, LEARNED).save(folder / "encoder")
    ids = read.table.feature_ids
    taxa = [f"{name}\tk__Bacteria; g__Genus{k % 4}" for k, name in enumerate(ids)]
    (folder / "taxonomy.tsv").write_text("\n".join(["Feature ID\tTaxon", *taxa]) + "\n")
    (folder / "some.tsv").write_text("\n".join(["Feature ID\tTaxon", *taxa[:-2]]) + "\n")
    (folder / "unknown.txt").write_text("nobody\n")
    return folder


def command(study, model, output, *more):
    tables = ["--table", study / "table.biom", "--metadata", study / "metadata.tsv"]
    return ["explain", "--model", study / model, *tables, *more, "--output-dir", output]


GROUPS = ("--group-column", "subject", "--confounder-column", "study")


def test_it_writes_a_page_and_tables_with_the_numbers_of_python(study, tmp_path):
    output = tmp_path / "why"
    known = ("--tree", study / "tree.nwk", "--taxonomy", study / "taxonomy.tsv")
    said = aam(*command(study, "age", output, *known, *GROUPS, "--max-samples", 20))
    explanation = library.load(study / "age").explain(
        read_study(study / "table.biom", metadata=study / "metadata.tsv"),
        max_samples=20,
        tree=study / "tree.nwk",
        taxonomy=study / "taxonomy.tsv",
        group_column="subject",
        confounder_column="study",
    )
    assert explanation.verdict in said
    assert explanation.verdict.split(":")[0] in (output / "explain.html").read_text()
    assert [one.features.kind for one in explanation.importances] == ["asv", "clade", "taxon"]
    for attributions, suffix in zip(explanation.attributions, ("", "_clades", "_taxa"), strict=True):
        with np.load(output / f"attributions{suffix}.npz", allow_pickle=False) as arrays:
            np.testing.assert_array_equal(arrays["value"], attributions.value)
            assert tuple(arrays["samples"]) == explanation.sample_ids
    explanation.write(tmp_path / "python")
    for path in (tmp_path / "python").iterdir():
        if path.suffix == ".tsv":
            assert path.read_text() == (output / path.name).read_text()
    table = pd.read_csv(output / "importance.tsv", sep="\t", index_col="id")
    assert len(table) == (explanation.importances[0].samples > 0).sum()


def test_a_transformer_of_classes_is_explained_in_log_odds(study, tmp_path):
    aam(*command(study, "disease", tmp_path / "why"))
    assert "log-odds" in (tmp_path / "why" / "explain.html").read_text()


def test_permutations_are_written_when_asked_for(study, tmp_path):
    aam(*command(study, "age", tmp_path / "why", *GROUPS, "--permutation", "--max-samples", 12))
    losses = pd.read_csv(tmp_path / "why" / "permutation.tsv", sep="\t", index_col="id")
    assert list(losses["loss"]) == sorted(losses["loss"], reverse=True)
    assert "What the score owes to them" in (tmp_path / "why" / "explain.html").read_text()


def test_gradients_are_written_when_asked_for(study, tmp_path):
    pytest.importorskip("captum")
    aam(*command(study, "age", tmp_path / "why", "--method", "gradients", "--max-samples", 8))
    found = pd.read_csv(tmp_path / "why" / "attributions.tsv", sep="\t")
    assert set(found["method"]) == {"gradients"}
    average = ("--baseline", "average", "--method", "gradients", "--max-samples", 8)
    aam(*command(study, "age", tmp_path / "average", *average))
    other = pd.read_csv(tmp_path / "average" / "attributions.tsv", sep="\t")
    assert not np.allclose(other["value"], found["value"])
    assert "--baseline average" in aam(*command(study, "age", tmp_path / "not", *average[:2]), code=2)
    assert "gradients and taking ASVs out" in (tmp_path / "why" / "explain.html").read_text()


def test_attention_of_a_transformer_is_written_when_asked_for(study, tmp_path):
    aam(*command(study, "disease", tmp_path / "why", "--method", "attention", "--max-samples", 8))
    page = (tmp_path / "why" / "explain.html").read_text()
    assert "What the model attends to" in page
    assert "ranks ASVs as deletion does with Spearman" in page
    attention = pd.read_csv(tmp_path / "why" / "attributions_attention.tsv", sep="\t", dtype={"sample": str})
    assert set(attention["method"]) == {"attention"}
    np.testing.assert_allclose(attention.groupby("sample")["value"].sum(), 1, atol=1e-4)
    deletion = pd.read_csv(tmp_path / "why" / "attributions.tsv", sep="\t", dtype={"sample": str})
    assert list(deletion["feature"]) == list(attention["feature"])
    assert {"importance_attention.tsv", "attention.npz"} <= {path.name for path in (tmp_path / "why").iterdir()}


def test_permutations_need_the_truth(study, tmp_path):
    aam("explain", "--model", study / "age", "--table", study / "table.biom", "--permutation", "--output-dir", tmp_path, code=2)
    with pytest.raises(library.InputError, match="no column age"):
        library.load(study / "age").explain(read_study(study / "table.biom"), permutation=True)


def test_samples_are_those_that_are_named(study, tmp_path):
    ids = read_study(study / "table.biom").table.sample_ids[3:8]
    (tmp_path / "five.txt").write_text("\n".join(ids))
    aam(*command(study, "age", tmp_path / "why", "--samples", tmp_path / "five.txt"))
    found = pd.read_csv(tmp_path / "why" / "attributions.tsv", sep="\t", dtype={"sample": str})
    assert set(found["sample"]) == set(ids)
    explained = library.load(study / "age").explain(read_study(study / "table.biom"), samples=ids)
    np.testing.assert_allclose(found["value"], explained.attributions[0].value[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "more", "what"),
    [
        ("encoder", (), "predicts nothing"),
        ("age", ("--taxonomy", "some.tsv"), "2 of 30 ASVs are not in it"),
        ("age", ("--taxonomy", "metadata.tsv"), "no taxonomy"),
        ("age", ("--samples", "unknown.txt"), "nobody"),
        ("age", ("--group-column", "nothing"), "nothing"),
        ("age", ("--tree", "metadata.tsv"), "newick"),
        ("age", ("--max-samples", "0"), "at least 1"),
        ("age", ("--method", "tea"), "--method"),
        ("age", ("--method", "attention"), "--method attention: an ensemble has no attention"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_bad_input_is_one_line_and_leaves_no_explanation(study, tmp_path, model, more, what):
    files = [study / word if "." in word else word for word in more]
    said = aam(*command(study, model, tmp_path / "why", *files), code=2)
    errors = [line for line in said.splitlines() if line.startswith("error")]
    assert len(errors) == 1
    assert what in errors[0]
    left = {path.name for path in (tmp_path / "why").iterdir()} if (tmp_path / "why").exists() else set()
    assert not left & set(WRITTEN)


def test_groups_need_metadata(study, tmp_path):
    table = ["--table", study / "table.biom", "--model", study / "age"]
    said = aam("explain", *table, "--group-column", "subject", "--output-dir", tmp_path / "why", code=2)
    assert "--group-column needs --metadata" in said


def test_an_explanation_is_replaced_only_when_asked_for(study, tmp_path):
    few = ("--max-samples", 3)
    aam(*command(study, "age", tmp_path / "why", *few))
    assert "is not empty" in aam(*command(study, "age", tmp_path / "why", *few), code=2)
    (tmp_path / "why" / "mine.txt").write_text("kept")
    aam(*command(study, "age", tmp_path / "why", "--taxonomy", study / "taxonomy.tsv", *few, "--overwrite"))
    assert (tmp_path / "why" / "mine.txt").read_text() == "kept"


def test_it_resumes_the_same_explanation_and_no_other(study, tmp_path):
    few = ("--max-samples", 6)
    aam(*command(study, "age", tmp_path / "why", *few))
    first = (tmp_path / "why" / "importance.tsv").read_text()
    (tmp_path / "why" / "importance.tsv").unlink()
    said = aam(*command(study, "age", tmp_path / "why", *few, "--resume"))
    assert "deletion-asv: kept from the run before" in said
    assert (tmp_path / "why" / "importance.tsv").read_text() == first
    assert "--resume with another --seed" in aam(*command(study, "age", tmp_path / "why", *few, "--seed", 3, "--resume"), code=2)
    aam(*command(study, "age", tmp_path / "why", *few, "--seed", 3, "--overwrite"))


def test_samples_of_another_region_are_said_to_be_novel(study, tmp_path):
    write_simulation(simulate(7, n_samples=8, n_asvs=30, length=40), tmp_path / "other")
    table = ["--table", tmp_path / "other" / "table.biom"]
    said = aam("explain", "--model", study / "age", *table, "--output-dir", tmp_path / "why", code=2)
    assert "8 of 8 samples are out of distribution" in said
    # The members that count know none of these ASVs.
    assert "error: the model says the same of age whichever ASVs are taken out" in said
    assert not (tmp_path / "why" / "kept").exists()
    assert not (tmp_path / "why" / "explain.html").exists()


def test_samples_that_the_model_learned_from_are_said_to_be_so(study, tmp_path):
    ids = read_study(study / "table.biom").table.sample_ids
    (tmp_path / "mixed.txt").write_text("\n".join(ids[27:35]))
    said = aam(*command(study, "age", tmp_path / "why", "--samples", tmp_path / "mixed.txt"))
    assert "3 of 8 samples are, by their IDs, ones that the model was trained on" in said
    assert "By their IDs, the model learned from 3 of 8 samples" in (tmp_path / "why" / "explain.html").read_text()
    model, read = library.load(study / "age"), read_study(study / "table.biom")
    assert [model.explain(read, samples=some).learned for some in (ids[27:35], ids[30:])] == [3, 0]


def test_python_refuses_samples_that_are_not_there(study):
    model, read = library.load(study / "age"), read_study(study / "table.biom")
    with pytest.raises(library.InputError, match="`samples`: not in the study: nobody"):
        model.explain(read, samples=["nobody"])
