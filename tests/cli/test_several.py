"""Several targets at once from the command line: each in a folder of its own, as a run of one is."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from aam import InputError
from aam.cli import main
from aam.data.simulate import simulate, write_simulation
from aam.saved.load import load
from aam.study.reading import read_study
from tests.support.commands import SMALL, aam

QUICK = ["--network-steps", 6, "--network-min-epochs", 1, "--forest-trees", 5, "--boosting-rounds", 5]
TRANSFORMER = ["--recipe", "transformer", *SMALL, "--epochs", 2]
RECIPES = pytest.mark.parametrize("recipe", [QUICK, TRANSFORMER], ids=["ensemble", "transformer"])
BOTH = ["--class-columns", "stage"]


@pytest.fixture(scope="module")
def community(tmp_path_factory):
    """The age of each fifth sample is missing, and the stage of others."""
    folder = tmp_path_factory.mktemp("several")
    write_simulation(simulate(0, n_samples=80, n_asvs=50, length=40), folder)
    metadata = pd.read_csv(folder / "metadata.tsv", sep="\t", dtype=str)
    age = metadata["age"].astype(float)
    metadata["stage"] = np.where(age > age.median(), "late", "early")
    metadata.loc[::5, "age"] = np.nan
    metadata.loc[1::7, "stage"] = np.nan
    metadata["declared"] = metadata["stage"]
    metadata["other"] = np.arange(len(metadata))
    metadata["nearly"] = np.where(np.arange(len(metadata)) == 0, "1", "")
    types = pd.DataFrame([["#q2:types", *("categorical" if name == "declared" else "" for name in metadata.columns[1:])]])
    types.columns = metadata.columns
    pd.concat([types, metadata]).to_csv(folder / "metadata.tsv", sep="\t", index=False)
    return folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    # In this process, which has started already.
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)


def run(community, folder, *options, column="age,stage", code=0, command="train"):
    tables = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--group-column", "subject"]
    drop = ["--ignore-missing"]
    return aam(command, *tables, *drop, "--metadata-column", column, *options, "--output-dir", folder, code=code)


def written(path):
    return pd.read_csv(path, sep="\t", index_col=0)


@RECIPES
def test_a_number_and_classes_of_samples_that_may_lack_either(community, tmp_path, recipe):
    folder = tmp_path / "run"
    said = run(community, folder, *recipe, *BOTH, "--test-fraction", 0.3)
    metadata = pd.read_csv(community / "metadata.tsv", sep="\t", dtype=str).set_index("sample-id")
    held_out = (folder / "test_samples.txt").read_text().split()
    train = set((folder / "train_samples.txt").read_text().split())
    assert set(metadata.loc[held_out, "subject"]).isdisjoint(metadata.loc[list(train), "subject"])
    assert not (folder / "model").exists()
    for name in ("age", "stage"):
        place = folder / "targets" / name
        known = metadata.loc[held_out, name].dropna().index
        assert list(written(place / "predictions.tsv").index) == list(known)
        metrics = json.loads((place / "metrics.json").read_text())
        assert metrics["held_out_samples"] == len(known) < len(held_out)
        assert f"{name} of {len(known)} held-out samples" in said
        assert (place / "plots" / "predictions.png").exists()
        model = load(place)
        assert model.target.metadata_column == name
        assert dict(model.info.scores) == metrics["held_out"]
        if recipe is QUICK:
            assert set(model.info.learned_from) == set(metadata.loc[list(train), name].dropna().index)
        else:
            # One encoder has seen them all.
            assert train <= set(model.info.learned_from)
    with pytest.raises(
        InputError, match=r"holds a model for each of several targets; give one of them: .*targets/age, .*targets/stage"
    ):
        load(folder)
    table = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv"]
    aam("predict", *table, "--model", folder, "--output", tmp_path / "new.tsv")
    aam("predict", *table, "--model", folder / "targets" / "age", "--output", tmp_path / "alone.tsv")
    assert not (tmp_path / "new.tsv").exists()
    new = written(tmp_path / "new_age.tsv")
    pd.testing.assert_frame_equal(new, written(tmp_path / "alone.tsv"))
    before = written(folder / "targets" / "age" / "predictions.tsv")
    np.testing.assert_allclose(new.loc[before.index], before, rtol=1e-4)
    assert (tmp_path / "new_stage_probabilities.tsv").exists() and (tmp_path / "new_age_scores.json").exists()
    shares = load(folder / "targets" / "stage").predict(read_study(community / "table.biom"))
    np.testing.assert_allclose(written(tmp_path / "new_stage_probabilities.tsv"), shares, rtol=1e-5, atol=1e-6)
    assert "exists" in aam("predict", *table, "--model", folder, "--output", tmp_path / "new.tsv", code=2)


def test_a_transformer_is_chosen_and_resumed_by_the_loss_of_all(community, tmp_path):
    folder = tmp_path / "run"
    options = [*TRANSFORMER, *BOTH, "--target-weights", "age=2,stage=1"]
    run(community, folder, *options)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["best_metric"] == "val/loss"
    assert {"val/target_age_mae", "val/target_stage_accuracy", "train/target_age_mae"} <= set(metrics["best"])
    assert set(metrics["held_out"]) == {"age", "stage"}
    predictions = (folder / "targets" / "age" / "predictions.tsv").read_text()
    run(community, folder, *options, "--resume")
    assert (folder / "targets" / "age" / "predictions.tsv").read_text() == predictions
    run(community, folder, *options[:-2], "--overwrite", column="stage,age")
    assert json.loads((folder / "metrics.json").read_text())["best_value"] != metrics["best_value"]
    # The joint head and encoder are where a later run may start.
    start = ["--init-from", folder / "checkpoints" / "best.ckpt"]
    assert "head starts from the weights" in run(community, tmp_path / "next", *options[:-2], *start, column="stage,age")
    encoder = ["--pretrained-encoder", folder / "targets" / "age", "--freeze-base"]
    run(community, tmp_path / "frozen", *TRANSFORMER, *BOTH, *encoder)
    assert "holds a model for each" in run(
        community, tmp_path / "none", *TRANSFORMER, *BOTH, "--pretrained-encoder", folder, code=2
    )


def test_one_column_leaves_no_folder_of_targets(community, tmp_path):
    run(community, tmp_path / "run", *QUICK, column="age")
    assert (tmp_path / "run" / "model").exists() and not (tmp_path / "run" / "targets").exists()
    # What a run of several has written is replaced by one of one column.
    run(community, tmp_path / "both", *QUICK, *BOTH)
    run(community, tmp_path / "both", *QUICK, "--overwrite", column="age")
    assert not (tmp_path / "both" / "targets").exists()


@pytest.mark.parametrize(
    ("column", "options", "said"),
    [
        ("age,stage", [], "or pass --class-columns stage if the column holds classes"),
        ("age,declared", [], "pass --class-columns declared, or declare it numeric"),
        ("age,other", ["--output-range", "0,"], "--output-range is of one number"),
        ("stage,sex", ["--classifier", "--class-weights", "late=2"], "--class-weights names classes of one column"),
        ("age,none", [], "no column none"),
        ("age,age", [], "each once"),
        ("age,stage", ["--class-columns", "sex"], "sex is not in --metadata-column age,stage"),
        ("age", BOTH, "pass --classifier"),
        ("age,nearly", [], "column nearly: no sample of the"),
        ("age,stage", [*BOTH, "--target-weights", "age=2"], "--target-weights belongs to"),
        ("age,stage", [*TRANSFORMER, *BOTH, "--target-weights", "sex=2"], "sex is not predicted"),
        ("age,stage", [*TRANSFORMER, *BOTH, "--best-metric", "mae"], "not measured in this run"),
        ("age,stage", [*TRANSFORMER, *BOTH, "--augment", "mixup"], "not for several targets"),
        ("age,other", [*TRANSFORMER, "--augment", "mixup"], "not for several targets"),
        ("age,other", [*TRANSFORMER, "--augment", "auto"], "not for several targets"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_model(community, tmp_path, column, options, said):
    recipe = options if "--recipe" in options else [*QUICK, *options]
    error = run(community, tmp_path / "run", *recipe, column=column, code=2)
    assert said in error.splitlines()[-1]
    if "of one" in said or "several targets" in said:
        # What options and the names of columns tell is said before the table is read.
        assert "samples:" not in error
    left = {path.name for path in (tmp_path / "run").iterdir()} if (tmp_path / "run").exists() else set()
    assert left <= {"aam.log", "config.yaml", "inputs.json"}


def test_a_search_is_of_one_column_which_is_said_before_the_table_is_read(community, tmp_path):
    pytest.importorskip("optuna")
    for column, options in (("age,other", []), ("age,stage", BOTH)):
        error = run(community, tmp_path / "run", *QUICK, *options, "--trials", 2, column=column, code=2, command="tune")
        assert error.splitlines()[-1] == f"error: --metadata-column {column}: several columns; tune one at a time"
        assert "samples:" not in error


@pytest.mark.parametrize("options", [[], BOTH])
def test_an_evaluation_is_of_one_column(community, tmp_path, options):
    error = run(community, tmp_path / "run", *options, "--only-baselines", column="age,stage", code=2, command="evaluate")
    assert ("unknown option: --class-columns" if options else "give one") in error.splitlines()[-1].lower()
    assert "samples:" not in error and not (tmp_path / "run" / "tree.nwk").exists()


def test_the_help_of_an_evaluation_names_no_option_that_it_refuses(capsys):
    assert main(["evaluate", "--help-all"]) == 0
    said = capsys.readouterr().out
    assert "Metadata column to predict." in said
    assert "class-columns" not in said and "target-weights" not in said and "several, with commas" not in said


@RECIPES
def test_a_target_whose_model_is_missing_is_missed(community, tmp_path, recipe):
    """As in a run that was stopped: targets are listed before they are learned."""
    folder = tmp_path / "run"
    run(community, folder, *recipe, *BOTH)
    listed, within = folder / "targets.txt", folder / "targets"
    assert listed.read_text().split() == ["age", "stage"]
    assert listed.stat().st_mtime_ns < (within / "age" / "model" / "config.json").stat().st_mtime_ns
    predict = ["predict", "--model", folder, "--table", community / "table.biom", "--output", tmp_path / "new.tsv"]
    for lost in ("stage/model", "stage"):
        shutil.rmtree(within / lost)
        error = aam(*predict, code=2).splitlines()[-1]
        assert "the model of target stage is missing" in error
        assert "--resume" in error and error.endswith(f"give the folder of one target: {within / 'age'}")
        assert not list(tmp_path.glob("new*"))
        with pytest.raises(InputError, match="the model of target stage is missing"):
            load(folder)
    shutil.rmtree(within)
    assert "the model of target age, stage is missing" in aam(*predict, code=2)
    # A run of one column in its place.
    run(community, folder, *recipe, "--overwrite", column="age")
    assert not listed.exists()
    aam(*predict)


def test_a_config_that_names_no_columns_of_classes_is_taken_by_an_evaluation(community, tmp_path):
    """As evaluations recorded them."""
    (tmp_path / "config.yaml").write_text("class_columns: []\nfolds: 1\n")
    given = ["--config", tmp_path / "config.yaml", "--only-baselines"]
    assert "--folds 1: must be at least 2" in run(community, tmp_path / "run", *given, column="age", code=2, command="evaluate")
