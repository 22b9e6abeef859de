"""Every command as a user runs it, on a small simulated community."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from skbio import DistanceMatrix

from aam.data.simulate import simulate, write_simulation
from aam.learners.baselines import FittedBaseline
from aam.options import ModelOptions, ReadOptions
from aam.saved.info import ModelInfo, TargetInfo
from aam.saved.predictions import write_predictions
from aam.study.targets import RegressionTarget
from tests.support.commands import SMALL, TRANSFORMER, aam


def ids(path):
    return path.read_text().splitlines()


def test_pretrain_writes_what_it_promises(pretrained):
    for name in ("config.yaml", "aam.log", "plots/unifrac.png", "plots/loss.png", "checkpoints/last.ckpt", "tensorboard/train"):
        assert (pretrained / name).exists(), name
    for name in ("config.json", "model.safetensors", "README.md", "samples.txt"):
        assert (pretrained / "model" / name).stat().st_size > 0
    metrics = json.loads((pretrained / "metrics.json").read_text())
    assert metrics["held_out_samples"] == len(ids(pretrained / "test_samples.txt"))
    assert len(metrics["history"]) == metrics["epochs"] == 4
    assert metrics["best"]["val/unifrac_mse"] == min(epoch["val/unifrac_mse"] for epoch in metrics["history"])
    for name in ("unifrac_loss", "nucleotide_loss", "count_loss", "nucleotide_accuracy", "nucleotide_majority_accuracy"):
        assert {f"train/{name}", f"val/{name}"} <= metrics["best"].keys(), name
    assert metrics["best"]["val/train_eval_gap"] == pytest.approx(1, abs=1e-3)
    assert set(metrics["held_out"]) == {"spearman", "r2", "stress", "mse", "mean_mse"}


def test_the_same_groups_are_held_out_in_pretrain_and_train(community, pretrained, regressor):
    metadata = pd.read_csv(community / "metadata.tsv", sep="\t", index_col=0, dtype=str)
    subjects = {name: set(metadata.loc[ids(regressor / f"{name}_samples.txt"), "subject"]) for name in ("train", "val", "test")}
    assert not subjects["train"] & subjects["val"]
    assert not (subjects["train"] | subjects["val"]) & subjects["test"]
    assert len(set().union(*subjects.values())) == metadata["subject"].nunique()


def test_train_scores_are_those_of_its_predictions(community, regressor):
    metrics = json.loads((regressor / "metrics.json").read_text())
    metadata = pd.read_csv(community / "metadata.tsv", sep="\t", index_col=0)
    predictions = pd.read_csv(regressor / "predictions.tsv", sep="\t", index_col=0)["prediction"]
    assert list(predictions.index) == ids(regressor / "test_samples.txt")
    true = metadata.loc[predictions.index, "age"]
    assert metrics["held_out"]["mae"] == pytest.approx((predictions - true).abs().mean(), rel=1e-5)
    median = metadata.loc[ids(regressor / "train_samples.txt"), "age"].median()
    assert metrics["held_out"]["median_mae"] == pytest.approx((true - median).abs().mean(), rel=1e-5)
    assert (regressor / "plots" / "predictions.png").stat().st_size > 5_000


def test_predict_needs_the_model_folder_alone(community, regressor, tmp_path):
    """Same table, other order of samples, model folder moved: the same predictions as train wrote."""
    (regressor / "model").rename(tmp_path / "moved")
    try:
        arguments = ["--model", tmp_path / "moved", "--table", community / "table.biom", "--output", tmp_path / "p.tsv"]
        missing = aam("predict", *arguments, code=2)
        assert missing.splitlines()[-1].startswith("error: --metadata is missing")
        aam("predict", *arguments, "--metadata", community / "metadata.tsv")
    finally:
        (tmp_path / "moved").rename(regressor / "model")
    predicted = pd.read_csv(tmp_path / "p.tsv", sep="\t", index_col=0)
    assert predicted.index.name == "SampleID"
    assert list(predicted.columns) == ["prediction"]
    assert len(predicted) == 60
    before = pd.read_csv(regressor / "predictions.tsv", sep="\t", index_col=0)
    np.testing.assert_allclose(predicted.loc[before.index, "prediction"], before["prediction"], rtol=1e-4)


def test_predict_on_a_new_table_with_new_asvs(community, regressor, tmp_path):
    write_simulation(simulate(1, n_samples=12, n_asvs=40, length=60), tmp_path)
    tables = ["--table", tmp_path / "table.biom", "--metadata", tmp_path / "metadata.tsv"]
    aam("predict", "--model", regressor, *tables, "--output", tmp_path / "p.tsv")
    predicted = pd.read_csv(tmp_path / "p.tsv", sep="\t", index_col=0)["prediction"]
    assert predicted.notna().all()
    assert predicted.nunique() > 1
    again = aam("predict", "--model", regressor, *tables, "--output", tmp_path / "p.tsv", code=2)
    assert "--overwrite" in again


@pytest.fixture(scope="module")
def classifier(community, pretrained):
    """On a frozen base."""
    folder = community / "disease"
    data = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--metadata-column", "disease"]
    frozen = ["--pretrained-encoder", pretrained, "--freeze-base"]
    aam(*TRANSFORMER, *data, "--classifier", *frozen, "--epochs", 8, *SMALL, "--output-dir", folder)
    return folder


def test_a_frozen_base_stays_as_it_was(pretrained, classifier):
    from safetensors.numpy import load_file

    base, trained = (load_file(folder / "model" / "model.safetensors") for folder in (pretrained, classifier))
    for name, weights in base.items():
        np.testing.assert_array_equal(trained[f"base_model.{name}"], weights)


def test_what_is_promised_of_a_prediction_is_what_held_out_samples_kept(community, regressor, classifier, tmp_path):
    target = json.loads((classifier / "model" / "config.json").read_text())["target"]
    held_out = pd.read_csv(classifier / "predictions_probabilities.tsv", sep="\t", index_col=0)
    truth = pd.read_csv(community / "metadata.tsv", sep="\t", index_col=0).loc[held_out.index, "disease"]
    wrong = np.sort([1 - held_out.loc[sample, name] for sample, name in truth.items()])
    assert target["intervals"]["90"] == pytest.approx(wrong[int(np.ceil(0.9 * (len(wrong) + 1))) - 1])
    aam("predict", "--model", classifier, "--table", community / "table.biom", "--output", tmp_path / "p.tsv")
    sets = pd.read_csv(tmp_path / "p_intervals.tsv", sep="\t", index_col=0, keep_default_na=False)["set"]
    probabilities = pd.read_csv(tmp_path / "p_probabilities.tsv", sep="\t", index_col=0)
    for sample, named in sets.items():
        within = 1 - probabilities.loc[sample] <= target["intervals"]["90"] + 1e-9
        assert set(filter(None, named.split(";"))) == set(within.index[within])
    # Three held-out subjects are too few.
    assert "90" not in json.loads((regressor / "model" / "config.json").read_text())["target"]["intervals"]
    assert "too few held-out groups" in (regressor / "model" / "README.md").read_text()
    assert "no 90 % prediction intervals" in (regressor / "aam.log").read_text()


def test_intervals_of_a_number(tmp_path):
    target, predicted = RegressionTarget("none"), np.array([10.0, 20.0])
    fitted = FittedBaseline(
        ModelInfo(ModelOptions(), ReadOptions(), target=TargetInfo("age", target, intervals={"90": 2.5})),
        lambda study, rows: predicted,
    )
    write_predictions(tmp_path / "p.tsv", ("a", "b"), predicted, target, fitted.certainty(predicted, None))
    assert (tmp_path / "p_intervals.tsv").read_text() == "SampleID\tlower\tupper\na\t7.5\t12.5\nb\t17.5\t22.5\n"


def test_classes_and_their_probabilities(classifier):
    predictions = pd.read_csv(classifier / "predictions.tsv", sep="\t", index_col=0)["prediction"]
    probabilities = pd.read_csv(classifier / "predictions_probabilities.tsv", sep="\t", index_col=0)
    assert list(probabilities.columns) == ["case", "control"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.idxmax(axis=1) == predictions).all()
    scores = json.loads((classifier / "metrics.json").read_text())["held_out"]
    main = ["accuracy", "balanced_accuracy", "auc", "log_loss"]
    assert list(scores) == [*main, "precision", "recall", "f1", "pr_auc", "brier", "ece", "majority_accuracy"]


def test_embed_samples_and_asvs(community, pretrained, tmp_path):
    shared = ["--model", pretrained, "--table", community / "table.biom"]
    aam("embed", *shared, "--output", tmp_path / "samples.tsv")
    samples = pd.read_csv(tmp_path / "samples.tsv", sep="\t", index_col="id")
    assert samples.shape == (60, 16)
    aam("embed", *shared, "--level", "asv", "--output", tmp_path / "asvs.npy")
    asvs = np.load(tmp_path / "asvs.npy")
    assert asvs.shape == (len(ids(tmp_path / "asvs.ids.txt")), 16)
    aam("embed", *shared, "--output", tmp_path / "other.npy")
    np.testing.assert_allclose(np.load(tmp_path / "other.npy"), samples, rtol=1e-5, atol=1e-6)
    assert ids(tmp_path / "other.ids.txt") == list(samples.index)


def test_unifrac_and_pretraining_on_its_matrix(community, tmp_path):
    inputs = ["--table", community / "table.biom", "--tree", community / "tree.nwk"]
    for suffix in (".h5", ".npy", ".tsv"):
        aam("unifrac", *inputs, "--metric", "weighted_normalized", "--output", tmp_path / f"d{suffix}")
    hdf5 = DistanceMatrix.read(str(tmp_path / "d.h5"), format="binary_dm")
    text = DistanceMatrix.read(str(tmp_path / "d.tsv"), format="lsmat")
    np.testing.assert_allclose(hdf5.data, text.data, atol=1e-12)
    np.testing.assert_allclose(hdf5.data, np.load(tmp_path / "d.npy"), atol=1e-12)
    matrix = ["--unifrac-matrix", tmp_path / "d.tsv", "--epochs", 1, *SMALL]
    aam("pretrain", "--table", community / "table.biom", *matrix, "--output-dir", tmp_path / "on_matrix")
    on_tree = ["--tree", community / "tree.nwk", "--unifrac-metric", "weighted_normalized", "--epochs", 1, *SMALL]
    aam("pretrain", "--table", community / "table.biom", *on_tree, "--output-dir", tmp_path / "on_tree")
    losses = [json.loads((tmp_path / name / "metrics.json").read_text())["best"]["val/loss"] for name in ("on_matrix", "on_tree")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_without_a_tree_one_is_built_and_kept(community, tmp_path):
    pytest.importorskip("pyfamsa")
    pytest.importorskip("veryfasttree")
    aam("pretrain", "--table", community / "table.biom", "--epochs", 1, *SMALL, "--output-dir", tmp_path / "run")
    assert (tmp_path / "run" / "tree.nwk").stat().st_size > 0


def test_same_seed_same_result_and_resume_goes_on(community, tmp_path):
    data = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--metadata-column", "age"]
    options = [*data, *SMALL, "--sampling-depth", 500, "--ignore-missing", "--rarefy-each-epoch"]
    for name in ("first", "second"):
        aam(*TRANSFORMER, *options, "--epochs", 2, "--output-dir", tmp_path / name)
    first, second = ((tmp_path / name / "predictions.tsv").read_text() for name in ("first", "second"))
    assert first == second
    before = json.loads((tmp_path / "first" / "metrics.json").read_text())["history"]
    resumed = ["--output-dir", tmp_path / "first", "--resume"]
    changed = aam(*TRANSFORMER, *options, "--epochs", 4, "--seed", 5, *resumed, code=2)
    assert "--resume with another --seed" in changed
    aam(*TRANSFORMER, *options, "--epochs", 4, *resumed)
    history = json.loads((tmp_path / "first" / "metrics.json").read_text())["history"]
    assert len(history) == 4
    assert history[:2] == before
    assert history[2]["train/loss"] < history[0]["train/loss"]


def test_config_file_repeats_the_run(community, regressor, pretrained, tmp_path):
    aam("train", "--config", regressor / "config.yaml", "--output-dir", tmp_path / "again")
    assert (tmp_path / "again" / "predictions.tsv").read_text() == (regressor / "predictions.tsv").read_text()


@pytest.mark.slow
def test_a_run_starts_from_the_weights_of_another(community, regressor, tmp_path):
    given = ["--table", community / "table.biom", "--tree", community / "tree.nwk", "--epochs", 1, *SMALL]
    aam("pretrain", *given, "--init-from", regressor / "checkpoints" / "best.ckpt", "--output-dir", tmp_path / "new")
    config = (tmp_path / "new" / "config.yaml").read_text()
    assert f"init_from: {regressor}" in config
    said = aam("pretrain", *given, "--init-from", regressor, "--ffn-ratio", 2, "--output-dir", tmp_path / "no", code=2)
    assert "--ffn-ratio 4.0" in said and said.count("\n") == 1
    assert not (tmp_path / "no").exists()


def test_demo(tmp_path):
    command = [sys.executable, "-m", "aam", "demo", "--output-dir", str(tmp_path / "demo")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "UniFrac, held-out subjects" in run.stdout
    # Of each target one of the simulator's own clades is among the first two.
    ranks = [re.findall(r"clade_[A-D] (\d+|not found)", line) for line in run.stdout.splitlines() if "clade_" in line]
    assert [len(found) for found in ranks] == [2, 2]
    assert all({"1", "2"}.intersection(found) for found in ranks)
    pages = ("explain_age/explain.html", "explain_disease/importance_clades.tsv")
    for name in (*pages, "new_age.tsv", "new_disease.tsv", "age/plots/predictions.png", "disease/plots/predictions.png"):
        assert str(tmp_path / "demo" / name.split("/")[0]) in run.stdout
        assert (tmp_path / "demo" / name).is_file()


def test_ctrl_c_keeps_the_last_epoch_for_resume(community, tmp_path, own_signals):
    data = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--metadata-column", "age"]
    arguments = [*TRANSFORMER, *data, *SMALL, "--output-dir", tmp_path / "run"]
    command = [sys.executable, "-m", "aam", *map(str, arguments), "--epochs", "10000", "--patience", "10000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        for line in run.stderr:
            if line.startswith("epoch 3/"):
                break
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=60)[1]
    assert run.returncode == 130
    assert "Traceback" not in said
    aam(*arguments, "--patience", "10000", "--resume", "--epochs", "5")
    # It went on: a run from scratch would have logged its first epoch again.
    assert (tmp_path / "run" / "aam.log").read_text().count(" epoch 1/") == 1


def test_a_run_within_its_memory_reads_every_sample_and_says_what_it_took(community, tmp_path):
    run = ["pretrain", "--table", community / "table.biom", "--tree", community / "tree.nwk", *SMALL, "--epochs", 1]
    said = aam(*run, "--max-memory-gb", 8, "--output-dir", tmp_path / "fits")
    assert re.search(r"memory: \d\.\d\d GB at the most, \d\.\d\d GB planned", said)
    said = aam(*run, "--max-memory-gb", 0.01, "--output-dir", tmp_path / "not", code=2)
    assert re.search(r"^error: --max-memory-gb 0.01: the program takes \d\.\d\d GB before its first step", said, re.MULTILINE)
    said = aam(*run, "--auto-batch-size", "--output-dir", tmp_path / "auto")
    assert "--auto-batch-size: --batch-size 16 --accumulate 1" in said


def test_a_learning_rate_is_found_plotted_and_used(community, tmp_path):
    run = ["pretrain", "--table", community / "table.biom", "--tree", community / "tree.nwk", *SMALL, "--epochs", 2]
    said = aam(*run, "--find-lr", "--output-dir", tmp_path / "run")
    chosen = float(re.search(r"--find-lr: --lr (\S+)", said)[1])
    assert 1e-5 < chosen < 0.3
    assert (tmp_path / "run/plots/learning_rate.png").stat().st_size > 5_000
    checkpoint = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["lr_schedulers"][0]["base_lrs"][0] == pytest.approx(chosen, rel=0.06)
    assert not list((tmp_path / "run").glob(".lr_find*"))


@pytest.mark.parametrize("dials", [["--mixed-precision", "bf16"], ["--asv-chunk-size", 7, "--attn-implementation", "math"]])
def test_predictions_hardly_depend_on_how_they_are_computed(community, regressor, tmp_path, dials):
    run = ["predict", "--model", regressor, "--table", community / "table.biom", "--metadata", community / "metadata.tsv"]
    aam(*run, "--output", tmp_path / "plain.tsv")
    aam(*run, *dials, "--output", tmp_path / "dials.tsv")
    plain, other = (pd.read_csv(tmp_path / name, sep="\t")["prediction"] for name in ("plain.tsv", "dials.tsv"))
    assert (plain - other).abs().max() < (0.1 * plain.std() if "bf16" in dials else 1e-3)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_deterministic_runs_are_the_same_bits_whatever_makes_the_batches(community, tmp_path, workers):
    tables = ["--table", community / "table.biom", "--tree", community / "tree.nwk", "--sampling-depth", 200, "--rarefy-each-epoch"]
    run = ["pretrain", *tables, *SMALL, "--epochs", 2, "--deterministic", "--no-cache", "--num-workers", workers]
    aam(*run, "--output-dir", tmp_path / "run")
    written = {name: (tmp_path / "run" / name).read_bytes() for name in ("model/model.safetensors", "metrics.json")}
    first = community / "deterministic"
    if not first.exists():
        first.mkdir()
        aam(*run, "--output-dir", tmp_path / "again")
        assert {name: (tmp_path / "again" / name).read_bytes() for name in written} == written
        (first / "weights").write_bytes(written["model/model.safetensors"])
        (first / "metrics").write_bytes(written["metrics.json"])
    assert (first / "weights").read_bytes() == written["model/model.safetensors"]
    assert (first / "metrics").read_bytes() == written["metrics.json"]
