"""``aam train`` with the default recipe, ``aam predict`` with what it saved, and what that folder promises."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from biom import Table
from safetensors.numpy import load_file, save_file

from aam.data.simulate import simulate, write_simulation
from aam.data.table import read_table
from aam.ensemble import members
from aam.learners.ensemble import EnsembleLearner
from aam.options import EnsembleOptions, TargetOptions
from aam.saved.ensemble import FittedEnsemble
from aam.saved.load import load
from aam.study.problem import pose
from aam.study.reading import read_study
from tests.support.commands import SMALL, aam

QUICK = ["--network-steps", 60, "--forest-trees", 20, "--boosting-rounds", 10]


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patch:
        # In this process, which has started already.
        patch.setattr("torch.get_num_threads", lambda: 1)
        yield


@pytest.fixture(scope="module")
def community(tmp_path_factory):
    folder = tmp_path_factory.mktemp("auto")
    simulated = simulate(0, n_samples=90, n_asvs=60, length=40)
    write_simulation(simulated, folder)
    # A target that is in the microbes.
    there = simulated.table.counts.toarray() > 0
    informative = there[:, np.argsort(np.abs(there.mean(axis=0) - 0.5))[:8]].sum(axis=1)
    metadata = pd.read_csv(folder / "metadata.tsv", sep="\t", dtype=str)
    metadata["load"] = informative + np.random.default_rng(0).normal(size=90).round(2)
    metadata["rich"] = np.where(informative > np.median(informative), "yes", "no")
    metadata.to_csv(folder / "metadata.tsv", sep="\t", index=False)
    return folder


def options_for(community, column, folder):
    tables = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--group-column", "subject"]
    return ["train", *tables, *QUICK, "--metadata-column", column, "--output-dir", folder]


@pytest.fixture(scope="module")
def of_load(community):
    aam(*options_for(community, "load", community / "load"))
    return community / "load"


def test_a_number(community, of_load):
    metrics = json.loads((of_load / "metrics.json").read_text())
    assert metrics["held_out_part"] == "test"
    assert metrics["held_out"]["mae"] < metrics["held_out"]["median_mae"]
    assert metrics["weights"].keys() == set(members.MEMBERS)
    assert sum(metrics["weights"].values()) == pytest.approx(1)
    predictions = pd.read_csv(of_load / "predictions.tsv", sep="\t", index_col=0, dtype={"SampleID": str})
    held_out = (of_load / "test_samples.txt").read_text().split()
    learned = (of_load / "train_samples.txt").read_text().split()
    subjects = pd.read_csv(community / "metadata.tsv", sep="\t", index_col=0, dtype=str)["subject"]
    assert not set(subjects[held_out]) & set(subjects[learned])
    assert (of_load / "model" / "samples.txt").read_text().split() == learned
    assert (of_load / "plots" / "predictions.png").stat().st_size > 0
    assert "An ensemble: the weighted mean of set networks (" in (of_load / "model" / "README.md").read_text()

    aam("predict", "--model", of_load, "--table", community / "table.biom", "--output", community / "p.tsv")
    again = pd.read_csv(community / "p.tsv", sep="\t", index_col=0, dtype={"SampleID": str})
    np.testing.assert_allclose(again.loc[predictions.index, "prediction"], predictions["prediction"], rtol=1e-5)
    beside = pd.read_csv(community / "p_intervals.tsv", sep="\t", index_col=0)
    assert (beside["lower"] < beside["upper"]).all()
    assert not beside["out_of_distribution"].any()


def test_the_split_of_a_run_gives_the_run_again(community, of_load, tmp_path):
    given = [flag for part in ("train", "test") for flag in (f"--{part}-samples", of_load / f"{part}_samples.txt")]
    aam(*options_for(community, "load", tmp_path / "again"), *given)
    for name in ("train_samples.txt", "val_samples.txt", "test_samples.txt", "predictions.tsv", "metrics.json"):
        assert (tmp_path / "again" / name).read_bytes() == (of_load / name).read_bytes()
    stranger = tmp_path / "stranger.txt"
    stranger.write_text("nobody\n")
    said = aam(*options_for(community, "load", tmp_path / "no"), "--test-samples", stranger, code=2)
    assert "error: --test-samples" in said and "1 of 1 sample is not among the samples of this run" in said
    assert not (tmp_path / "no" / "test_samples.txt").exists()


def test_augmented_copies_are_in_the_config_and_in_the_metrics(community, tmp_path):
    aam(*options_for(community, "rich", tmp_path / "mixed"), "--classifier", "--augment", "mixup=0.3,errors")
    metrics = json.loads((tmp_path / "mixed" / "metrics.json").read_text())
    assert metrics["augmentation"] == {"augment": "mixup=0.3,errors", "gain_low_high": {}}
    assert "augment: mixup=0.3,errors" in (tmp_path / "mixed" / "config.yaml").read_text()
    said = aam(*options_for(community, "rich", tmp_path / "no"), "--augment", "noise", code=2)
    assert said.startswith("error: --augment noise: noise is not one of") and not (tmp_path / "no").exists()
    assert "needs a tree" in aam(*options_for(community, "load", tmp_path / "no"), "--augment", "phylomix", code=2)


def test_classes_without_trees_or_a_test_part(community):
    folder = community / "disease"
    said = aam(*options_for(community, "rich", folder), "--classifier", "--no-trees", "--test-fraction", 0)
    assert "cross-fitted" in said
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["weights"].keys() == set(members.WITHOUT_TREES)
    assert metrics["held_out_samples"] == 90
    aam("predict", "--model", folder / "model", "--table", community / "table.biom", "--output", community / "d.tsv")
    probabilities = pd.read_csv(community / "d_probabilities.tsv", sep="\t", index_col=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert "set" in pd.read_csv(community / "d_intervals.tsv", sep="\t").columns


def test_predictions_are_of_the_set_and_of_each_sample_alone(community, of_load, tmp_path):
    """Another order of samples and ASVs, and fewer samples, change nothing."""
    table = read_table(community / "table.biom")
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(len(table.sample_ids))[:20], rng.permutation(len(table.feature_ids))
    counts = table.counts[rows][:, columns].toarray()
    names = [table.feature_ids[column] for column in columns]
    part = Table(counts.T, names, [table.sample_ids[row] for row in rows])
    (tmp_path / "part.biom").write_text(part.to_json("test"))
    for name, path in (("all", community / "table.biom"), ("part", tmp_path / "part.biom")):
        aam("predict", "--model", of_load, "--table", path, "--output", tmp_path / f"{name}.tsv")
    whole, few = (pd.read_csv(tmp_path / f"{name}.tsv", sep="\t", index_col=0)["prediction"] for name in ("all", "part"))
    np.testing.assert_allclose(few, whole[few.index], rtol=1e-4)


def test_another_community_is_flagged(of_load, tmp_path):
    write_simulation(simulate(7, n_samples=20, n_asvs=60, length=40), tmp_path)
    said = aam("predict", "--model", of_load, "--table", tmp_path / "table.biom", "--output", tmp_path / "p.tsv")
    assert "20 of 20 samples are out of distribution" in said
    assert pd.read_csv(tmp_path / "p_intervals.tsv", sep="\t")["out_of_distribution"].all()


def test_the_folder_holds_no_code_and_damage_is_said(of_load, community, tmp_path):
    folder = of_load / "model"
    files = {"config.json", "model.safetensors", "novelty.safetensors", "README.md", "samples.txt", "asvs.txt"}
    assert {path.name for path in folder.iterdir()} == files
    for path in folder.iterdir():
        with pytest.raises((pickle.UnpicklingError, ValueError, EOFError, IndexError, KeyError, AttributeError, ImportError)):
            pickle.loads(path.read_bytes())
    assert isinstance(load(folder), FittedEnsemble)
    broken = tmp_path / "model"
    broken.mkdir()
    for path in folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "asvs.txt").write_text("ACGT\n")
    predict = ["predict", "--model", broken, "--table", community / "table.biom", "--output", tmp_path / "p.tsv"]
    assert "not a complete model folder" in aam(*predict, code=2)
    (broken / "asvs.txt").write_bytes((folder / "asvs.txt").read_bytes())
    config = json.loads((folder / "config.json").read_text())
    for change in (
        {"members": {**config["ensemble"]["members"], "network": 10**9}},
        {"members": []},
        {"weights": {**config["ensemble"]["weights"], "network": float("nan")}},
        {"weights": {"network": 1.0}},
        {"overall": {"power": "x"}},
        {"overall": {"power": 10**400, "biases": [0.0]}},
    ):
        (broken / "config.json").write_text(json.dumps({**config, "ensemble": {**config["ensemble"], **change}}))
        assert "not a complete model folder" in aam(*predict, code=2), change
    (broken / "config.json").write_bytes((folder / "config.json").read_bytes())
    arrays = load_file(folder / "model.safetensors")
    changes = {
        "forest.0.left": np.zeros_like(arrays["forest.0.left"]),  # a walk without end
        "forest.0.kept": arrays["forest.0.kept"] + 10_000,
        "forest.0.value": arrays["forest.0.value"][:-1],
        "forest.0.link": np.array(9),
        "forest.0.outputs": np.array(10**12),
        "wide.0.place_spread": np.zeros_like(arrays["wide.0.place_spread"]),
        "wide.0.shift": np.array([np.nan]),
        "network.0.project.weight": np.zeros((3, 3), dtype=np.float32),
        "words.shift": np.zeros(3, dtype=np.float32),
    }
    for name, value in changes.items():
        save_file({**arrays, name: value}, broken / "model.safetensors")
        assert "not a complete model folder" in aam(*predict, code=2), name
    (broken / "asvs.txt").unlink()
    assert "not a complete model folder" in aam(*predict, code=2)
    said = aam("embed", "--model", of_load, "--table", community / "table.biom", "--output", tmp_path / "e.tsv", code=2)
    assert "give the output folder of pretrain, or of train with --recipe transformer" in said


def test_options_of_the_other_recipe_are_refused(community, tmp_path):
    train = options_for(community, "age", tmp_path / "x")
    said = aam(*train, *SMALL, code=2)
    names = "--embedding-dim, --attention-heads, --attention-layers, --batch-size, --lr"
    assert f"{names} belong to --recipe transformer: leave them out, or ask for that" in said
    said = aam(*train, "--recipe", "transformer", code=2)
    assert "--network-steps, --forest-trees, --boosting-rounds belong to --recipe ensemble" in said
    assert not (tmp_path / "x").exists()


def test_the_log_says_first_what_is_fitted(of_load):
    first = (of_load / "aam.log").read_text().splitlines()[0]
    assert first.endswith("fitting an ensemble, the default recipe (--recipe transformer trains a transformer)")
    recorded = (of_load / "config.yaml").read_text()
    assert "recipe: ensemble" in recorded
    assert "network_steps: 60" in recorded
    assert "\nepochs:" not in recorded


def test_a_config_file_sets_the_hyper_parameters(community, of_load, tmp_path):
    aam("train", "--config", of_load / "config.yaml", "--output-dir", tmp_path / "again")
    assert (tmp_path / "again" / "predictions.tsv").read_text() == (of_load / "predictions.tsv").read_text()


def test_features_without_sequences_are_predicted_from_the_command_line_too(community, tmp_path):
    """Fitted in Python, saved, and applied by the command: the same to the bit."""
    table = read_table(community / "table.biom")
    names = [f"genus {number}" for number in range(len(table.feature_ids))]
    (tmp_path / "genera.biom").write_text(Table(table.counts.toarray().T, names, table.sample_ids).to_json("test"))
    study = read_study(tmp_path / "genera.biom", metadata=community / "metadata.tsv", by_id=True)
    options = EnsembleOptions(forest_trees=20, boosting_rounds=10)
    fitted = EnsembleLearner(options, jobs=1).fit(pose(study, TargetOptions(metadata_column="load"), "subject"), study.rows)
    fitted.save(tmp_path / "model")
    predict = ["predict", "--model", tmp_path / "model", "--table", tmp_path / "genera.biom", "--output", tmp_path / "p.tsv"]
    aam(*predict)
    written = pd.read_csv(tmp_path / "p.tsv", sep="\t", index_col=0, float_precision="round_trip")["prediction"]
    np.testing.assert_array_equal(written, fitted.predict(study))
    predict[4] = community / "table.biom"
    assert "none of them is in the table" in aam(*predict, "--overwrite", code=2)
