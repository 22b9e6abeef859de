"""Covariates on the command line: train, predict, evaluate and explain with them, and what cannot be used is one line."""

import numpy as np
import pandas as pd
import pytest

import aam as library
from aam.cli import main
from aam.data.simulate import simulate, write_simulation
from aam.learners import baselines
from aam.study.reading import read_study
from tests.support.commands import aam

QUICK = ["--network-steps", 6, "--network-min-epochs", 1, "--forest-trees", 5, "--boosting-rounds", 5]


@pytest.fixture(scope="module")
def community(tmp_path_factory):
    """A community of 60 samples whose dose carries what is to be predicted."""
    folder = tmp_path_factory.mktemp("covariates")
    write_simulation(simulate(0, n_samples=60, n_asvs=60, length=40), folder)
    metadata = pd.read_csv(folder / "metadata.tsv", sep="\t", dtype=str)
    rng = np.random.default_rng(0)
    dose = rng.normal(size=60)
    response = dose + 0.1 * rng.normal(size=60)
    columns = {
        "response": response.round(3),
        "dose": np.where(rng.random(60) < 0.1, "", (50 + 10 * dose).round(2).astype(str)),
        "typo": ["1,5 mg" if row == 7 else row for row in range(60)],
        "same": 3,
    }
    metadata.assign(**columns).to_csv(folder / "metadata.tsv", sep="\t", index=False)
    metadata.assign(**columns).drop(columns="dose").to_csv(folder / "without.tsv", sep="\t", index=False)
    return folder


def data(community, metadata="metadata.tsv"):
    return ["--table", community / "table.biom", "--metadata", community / metadata]


COVARIATES = ["--numeric-columns", "dose", "--categorical-columns", "sex"]
TARGET = ["--metadata-column", "response", "--group-column", "subject"]


@pytest.fixture(scope="module")
def trained(community):
    aam("train", *data(community), *TARGET, *COVARIATES, *QUICK, "--output-dir", community / "run")
    return community / "run"


def test_an_ensemble_is_trained_saved_and_predicts_with_them(community, trained, tmp_path):
    assert "`sex`, `dose`" in (trained / "model" / "README.md").read_text()
    aam("predict", "--model", trained, *data(community), "--output", tmp_path / "p.tsv")
    said = pd.read_csv(tmp_path / "p.tsv", sep="\t", index_col=0).iloc[:, 0]
    study = read_study(community / "table.biom", metadata=community / "metadata.tsv")
    np.testing.assert_allclose(said, library.load(trained).predict(study), rtol=1e-4)


def test_their_importance_by_permutation_is_a_row_each(community, trained, tmp_path):
    options = ["--max-samples", 30, "--permutation", "--group-column", "subject"]
    aam("explain", "--model", trained, *data(community), *options, "--output-dir", tmp_path / "why")
    found = pd.read_csv(tmp_path / "why" / "permutation_covariates.tsv", sep="\t", index_col="id")
    assert list(found.index) == ["dose", "sex"]
    assert found.loc["dose", "loss"] > 5 * abs(found.loc["sex", "loss"])
    assert found.loc["dose", "low"] > 0
    assert ">covariate<" in (tmp_path / "why" / "explain.html").read_text()


def test_an_evaluation_says_what_the_microbes_add(community, tmp_path, monkeypatch):
    for name, few in {"_TREES": 5, "_TREES_TO_CHOOSE": 5, "_BOOSTS": 5, "_PENALTIES": (0.1, 10.0)}.items():
        monkeypatch.setattr(baselines, name, few)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    aam("evaluate", *data(community), *TARGET, *COVARIATES, *QUICK, "--folds", 2, "--output-dir", tmp_path / "e")
    scores = pd.read_csv(tmp_path / "e" / "summary.tsv", sep="\t", index_col="model")["mae"]
    assert scores["covariates alone"] < 0.5 * scores["median"]
    # The same covariates for the baselines: linear models learn from them here.
    assert scores["ridge, CLR"] < 0.7 * scores["median"]
    page = (tmp_path / "e" / "index.html").read_text()
    assert "Covariates (sex, dose) alone have MAE" in page
    assert "the best of linear models and a random forest on the covariates" in page


def fails(*arguments, capfd):
    assert main([str(argument) for argument in arguments]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    return lines[-1]


BAD = {
    "text among numbers": (
        ["--numeric-columns", "typo"],
        "--numeric-columns typo: 1 of 60 values are not numbers: '1,5 mg' (1 sample",
    ),
    "the target": (["--numeric-columns", "response"], "--numeric-columns response: this is the column to predict"),
    "the group column": (["--categorical-columns", "subject"], "--categorical-columns subject: this is the group column"),
    "both kinds": (["--numeric-columns", "dose", "--categorical-columns", "dose"], "--numeric-columns dose: is in --categorical"),
    "twice": (["--numeric-columns", "dose", "dose"], "--numeric-columns dose: is in --numeric-columns, too; name it once"),
    "absent": (["--numeric-columns", "weight"], "--numeric-columns: the metadata has no column weight; columns:"),
    "fusion of nothing": (["--recipe", "transformer", "--fusion", "gated"], "--fusion gated needs --categorical-columns or"),
    "fusion in an ensemble": (["--numeric-columns", "dose", "--fusion", "gated"], "--fusion belongs to --recipe transformer"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_a_covariate_is_one_line(case, community, tmp_path, capfd):
    options, expected = BAD[case]
    said = fails("train", *data(community), *TARGET, *options, "--output-dir", tmp_path / "out", capfd=capfd)
    assert expected in said
    assert not [
        path for path in tmp_path.rglob("*") if path.suffix in (".safetensors", ".json", ".txt") and path.name != "inputs.json"
    ]


def test_new_samples_without_them_are_one_line(community, trained, tmp_path, capfd):
    predict = ["predict", "--model", trained, "--output", tmp_path / "p.tsv"]
    table = ["--table", community / "table.biom"]
    assert "--metadata is missing: this model was trained with the columns sex, dose" in fails(*predict, *table, capfd=capfd)
    said = fails(*predict, *data(community, "without.tsv"), capfd=capfd)
    assert "the metadata has no column dose, which the model reads; columns:" in said
    assert not (tmp_path / "p.tsv").exists()


def test_text_in_a_number_of_new_samples_is_one_line_without_options_of_train(community, trained, tmp_path, capfd):
    metadata = pd.read_csv(community / "metadata.tsv", sep="\t", dtype=str)
    metadata.loc[3, "dose"] = "two"
    metadata.to_csv(tmp_path / "text.tsv", sep="\t", index=False)
    given = ["--table", community / "table.biom", "--metadata", tmp_path / "text.tsv"]
    said = fails("predict", "--model", trained, "--output", tmp_path / "p.tsv", *given, capfd=capfd)
    assert "column dose, which the model reads as numbers: 1 of 60 values are not numbers: 'two'" in said
    assert "categorical" not in said and "numeric-columns" not in said


def test_a_column_that_is_always_the_same_is_a_warning(community, tmp_path):
    said = aam("train", *data(community), *TARGET, *QUICK, "--numeric-columns", "same", "dose", "--output-dir", tmp_path / "run")
    assert "covariate same: the same in all training samples" in said
