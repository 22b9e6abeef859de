"""What a target can be, from the command line to the model folder and back: quantiles, ranges, losses, weights of classes."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from aam.data.simulate import simulate, write_simulation
from aam.saved.load import load
from aam.study.reading import read_study
from tests.support.commands import SMALL, aam

QUICK = ["--network-steps", 40, "--forest-trees", 10, "--boosting-rounds", 5]
QUANTILES = ["--quantiles", "0.1,0.5,0.9"]


@pytest.fixture(scope="module")
def community(tmp_path_factory):
    folder = tmp_path_factory.mktemp("targets")
    simulated = simulate(0, n_samples=80, n_asvs=50, length=40)
    write_simulation(simulated, folder)
    there = simulated.table.counts.toarray() > 0
    number = there[:, np.argsort(np.abs(there.mean(axis=0) - 0.5))[:8]].sum(axis=1)
    metadata = pd.read_csv(folder / "metadata.tsv", sep="\t", dtype=str)
    metadata["count"] = number
    metadata["stage"] = np.array(["none", "mild", "severe"])[np.digitize(number, np.quantile(number, [0.33, 0.66]))]
    # A dose that is most of a response.
    metadata["dose"] = np.random.default_rng(0).normal(size=80).round(3)
    metadata["response"] = (4 + 1.3 * metadata["dose"] + 0.1 * (number - number.mean())).clip(0, 9).round(3)
    metadata["same"] = 3
    # A level of each tenth sample is not known.
    metadata["partly"] = metadata["study"].where(np.arange(80) % 10 > 0)
    metadata.to_csv(folder / "metadata.tsv", sep="\t", index=False)
    metadata.assign(dose=-metadata["dose"]).to_csv(folder / "moved.tsv", sep="\t", index=False)
    return folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    # In this process, which has started already.
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)


def run(community, folder, *options, column="count", code=0, command=("train",)):
    tables = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--group-column", "subject"]
    return aam(*command, *tables, "--metadata-column", column, *options, "--output-dir", folder, code=code)


def transformer(*options):
    return ["--recipe", "transformer", *SMALL, "--epochs", 2, *options]


def written(folder, name="predictions_intervals.tsv"):
    return pd.read_csv(folder / name, sep="\t", index_col=0)


@pytest.mark.parametrize("recipe", [QUICK, transformer("--loss-type", "quantile")], ids=["ensemble", "transformer"])
def test_quantiles_of_a_number_that_is_never_negative(community, tmp_path, recipe):
    run(community, tmp_path / "run", *recipe, *QUANTILES, "--output-range", "0,9", "--test-fraction", 0.4)
    said, table = written(tmp_path / "run", "predictions.tsv")["prediction"], written(tmp_path / "run")
    low, high = table["q0.1"], table["q0.9"]
    assert (low >= 0).all() and (low <= said).all() and (said <= high).all() and (high <= 9).all()
    assert (low < high).any()
    assert "q0.5" not in table
    model, study = load(tmp_path / "run"), read_study(community / "table.biom")
    assert model.target.band is not None
    found = model.quantiles(study)
    np.testing.assert_array_equal(found[:, 1], model.predict(study))
    aam("predict", "--model", tmp_path / "run", "--table", community / "table.biom", "--output", tmp_path / "new.tsv")
    new = written(tmp_path, "new_intervals.tsv")
    np.testing.assert_allclose(new[["q0.1", "q0.9"]], found[:, [0, 2]], rtol=1e-5, atol=1e-6)
    assert (new["lower"] >= 0).all() and (new["upper"] <= 9).all()
    if recipe is QUICK:
        pd.testing.assert_frame_equal(new.loc[table.index, ["q0.1", "q0.9"]], table[["q0.1", "q0.9"]])
    else:
        # Those of the run are as they were learned: its test samples are what the model's are calibrated on.
        rows = [study.table.sample_ids.index(name) for name in table.index]
        raw = replace(model, info=replace(model.info, target=replace(model.target, band=None))).quantiles(study)
        np.testing.assert_allclose(raw[rows][:, [0, 2]], table[["q0.1", "q0.9"]], rtol=1e-5, atol=1e-6)


def test_counts_ordered_classes_and_weights_of_a_transformer(community, tmp_path):
    run(community, tmp_path / "poisson", *transformer("--loss-type", "poisson", "--target-transform", "none"))
    assert (written(tmp_path / "poisson", "predictions.tsv")["prediction"] > 0).all()
    order = ["--classifier", "--loss-type", "ordinal", "--class-order", "none,mild,severe", "--class-weights", "severe=3"]
    run(community, tmp_path / "stage", *transformer(*order, "--best-metric", "f1"), column="stage")
    shares = written(tmp_path / "stage", "predictions_probabilities.tsv")
    assert list(shares) == ["none", "mild", "severe"]
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    metrics = json.loads((tmp_path / "stage" / "metrics.json").read_text())
    assert metrics["best_metric"] == "val/target_f1"
    target = load(tmp_path / "stage").target.target
    assert (target.loss_type, target.given) == ("ordinal", (1.0, 1.0, 3.0))
    # The epoch's metrics of the validation samples are what the model scores there.
    assert metrics["best"]["val/target_f1"] == max(epoch["val/target_f1"] for epoch in metrics["history"])


def test_class_weights_of_an_ensemble(community, tmp_path):
    run(community, tmp_path / "run", *QUICK, "--classifier", "--class-weights", "severe=5", column="stage")
    target = load(tmp_path / "run").target.target
    assert target.weights[target.classes.index("severe")] == pytest.approx(5 * target.weights[0])


COVARIATES = ["--numeric-columns", "dose", "--categorical-columns", "sex"]


def predicted(community, run, place, metadata="metadata.tsv"):
    """What a saved model writes of all samples: predictions, and its intervals or probabilities."""
    given = ["--table", community / "table.biom", "--metadata", community / metadata]
    aam("predict", "--model", run, *given, "--output", place)
    beside = next(path for path in place.parent.glob(f"{place.stem}_*.tsv") if path.stem.endswith(("intervals", "probabilities")))
    return written(place.parent, place.name)["prediction"], written(place.parent, beside.name)


def test_quantiles_within_a_range_of_an_ensemble_that_reads_covariates(community, tmp_path):
    run(community, tmp_path / "run", *QUICK, *QUANTILES, *COVARIATES, "--output-range", "0,9", column="response")
    said, table = predicted(community, tmp_path / "run", tmp_path / "new.tsv")
    assert (table["q0.1"] <= said).all() and (said <= table["q0.9"]).all() and (table["q0.1"] < table["q0.9"]).any()
    assert table[["q0.1", "q0.9", "lower", "upper"]].min().min() >= 0 and table[["q0.9", "upper"]].max().max() <= 9
    about = load(tmp_path / "run").target
    assert (about.covariates.columns, about.target.quantiles, about.target.high) == (("sex", "dose"), (0.1, 0.5, 0.9), 9.0)
    # Quantiles follow what the dose says.
    moved, other = predicted(community, tmp_path / "run", tmp_path / "moved.tsv", "moved.tsv")
    assert np.corrcoef(said, other["q0.9"])[0, 1] < 0 < np.corrcoef(said, table["q0.9"])[0, 1]
    assert (moved <= other["q0.9"]).all()


def test_ordered_classes_of_a_transformer_that_reads_covariates(community, tmp_path):
    order = ["--classifier", "--loss-type", "ordinal", "--class-order", "none,mild,severe", "--fusion", "gated"]
    run(community, tmp_path / "run", *transformer(*order, *COVARIATES), column="stage")
    _, shares = predicted(community, tmp_path / "run", tmp_path / "new.tsv")
    assert list(shares) == ["none", "mild", "severe"]
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    head = load(tmp_path / "run").predictor.head
    assert head.shape.numbers == 1 and head.mlp[-1].steps.shape == (1,)
    _, moved = predicted(community, tmp_path / "run", tmp_path / "moved.tsv", "moved.tsv")
    assert not np.allclose(moved, shares, atol=1e-4)


def test_an_evaluation_says_how_often_quantiles_hold(community, tmp_path):
    run(community, tmp_path / "run", "--only-baselines", *QUANTILES, "--folds", 3, command=("evaluate",))
    summary = pd.read_csv(tmp_path / "run" / "summary.tsv", sep="\t")
    assert summary["quantile_coverage"].between(0.5, 1).all()
    table = pd.read_csv(tmp_path / "run" / "predictions.tsv", sep="\t")
    assert ((table["q0.1"] <= table["predicted"]) & (table["predicted"] <= table["q0.9"])).all()
    median = table[table["model"] == "median"]
    inside = median["true"].between(median["q0.1"], median["q0.9"])
    metadata = pd.read_csv(community / "metadata.tsv", sep="\t", dtype=str).set_index("sample-id")
    of_groups = inside.groupby(metadata.loc[median["sample"], "subject"].to_numpy()).mean().mean()
    assert summary.set_index("model").loc["median", "quantile_coverage"] == pytest.approx(of_groups)
    assert "share between the quantiles 0.1 and 0.9" in (tmp_path / "run" / "index.html").read_text()


@pytest.mark.parametrize(
    ("column", "options", "said"),
    [
        ("count", ["--quantiles", "0.9,0.5"], "must be in rising order"),
        ("count", ["--quantiles", "0.1,0.9"], "with the median"),
        ("count", ["--output-range", "3,"], "is outside of --output-range 3,"),
        ("count", ["--loss-type", "quantile"], "--loss-type belongs to"),
        ("count", transformer(*QUANTILES), "give --loss-type quantile, too"),
        ("count", transformer("--loss-type", "ordinal"), "--loss-type ordinal is for classes"),
        ("count", transformer("--loss-type", "poisson"), "take none"),
        ("stage", ["--classifier", "--class-weights", "bad=2"], "class bad is not there"),
        ("stage", [*transformer("--classifier", "--loss-type", "ordinal")], "needs their --class-order"),
        ("stage", ["--classifier", *QUANTILES], "--quantiles is for a number"),
        ("count", transformer("--asymmetry", 0.9), "--asymmetry belongs to --loss-type asymmetric"),
        ("stage", ["--classifier", "--target-transform", "minmax"], "--target-transform is for a number"),
        ("count", ["--output-range", "5,1"], "--output-range 5,1: must be a lower end below"),
        ("count", ["--augment", "phylomix"], "--augment phylomix needs a tree"),
        ("count", transformer("--augment", "phylomix"), "--augment phylomix needs a tree"),
        ("same", [], "the target is 3 in all"),
        ("same", transformer(), "the target is 3 in all"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_model(community, tmp_path, column, options, said):
    error = run(community, tmp_path / "run", *options, column=column, code=2)
    assert said in error.splitlines()[-1]
    left = {path.name for path in (tmp_path / "run").iterdir()} if (tmp_path / "run").exists() else set()
    assert left <= {"aam.log", "config.yaml", "inputs.json"}


@pytest.mark.parametrize("recipe", [QUICK, transformer()], ids=["ensemble", "transformer"])
def test_a_number_scaled_within_the_levels_of_a_column(community, tmp_path, recipe):
    within = ["--target-transform", "zscore-within", "--within-column", "study"]
    run(community, tmp_path / "run", *recipe, *within, *QUANTILES[: 2 * (recipe is QUICK)])
    table = ["--table", community / "table.biom", "--model", tmp_path / "run"]
    assert "metadata is missing" in aam("predict", *table, "--output", tmp_path / "a.tsv", code=2).replace("--", "")
    aam("predict", *table, "--metadata", community / "metadata.tsv", "--output", tmp_path / "new.tsv")
    before = written(tmp_path / "run", "predictions.tsv")["prediction"]
    np.testing.assert_allclose(written(tmp_path, "new.tsv").loc[before.index, "prediction"], before, rtol=1e-6)
    levels = load(tmp_path / "run").target.target.levels
    assert levels.column == "study"
    assert "metadata columns beside the microbes: `study`." in (tmp_path / "run" / "model" / "README.md").read_text()
    # The same sample in another level is predicted on that one's scale.
    metadata = pd.read_csv(community / "metadata.tsv", sep="\t", dtype=str)
    metadata["study"] = levels.names[0]
    metadata.to_csv(tmp_path / "moved.tsv", sep="\t", index=False)
    aam("predict", *table, "--metadata", tmp_path / "moved.tsv", "--output", tmp_path / "moved_new.tsv")
    moved, new = written(tmp_path, "moved_new.tsv")["prediction"], written(tmp_path, "new.tsv")["prediction"]
    own = pd.read_csv(community / "metadata.tsv", sep="\t", dtype=str).set_index("sample-id")["study"].loc[new.index].to_numpy()
    expected = levels.from_common(levels.to_common(new.to_numpy(), own), np.repeat(levels.names[0], len(new)))
    np.testing.assert_allclose(moved, expected, rtol=1e-5)
    assert run(community, tmp_path / "eval", *within, command=("evaluate",), code=2).count("do not scale within levels") == 1


def test_samples_without_a_level_are_left_out_where_that_is_asked_for(community, tmp_path):
    within = [*QUICK, "--target-transform", "zscore-within", "--within-column", "partly"]
    error = run(community, tmp_path / "run", *within, code=2).splitlines()[-1]
    assert "8 of 80 samples have no value in column partly" in error and "--ignore-missing" in error
    said = run(community, tmp_path / "run", *within, "--ignore-missing")
    assert "8 of 80 samples have no value in column partly, and are left out" in said
    metadata = pd.read_csv(community / "metadata.tsv", sep="\t", dtype=str).set_index("sample-id")
    used = [*(tmp_path / "run" / "train_samples.txt").read_text().split(), *written(tmp_path / "run", "predictions.tsv").index]
    assert len(used) == 72 and metadata.loc[used, "partly"].notna().all()


@pytest.mark.parametrize(
    ("column", "options", "said"),
    [
        ("count", ["--target-transform", "minmax"], "--target-transform is of AAM"),
        ("stage", ["--classifier", "--class-weights", "none"], "--class-weights is of AAM"),
        ("count", ["--augment", "rarefy"], "--augment is of AAM"),
    ],
)
def test_what_only_baselines_would_not_use_is_refused(community, tmp_path, column, options, said):
    assert said in run(community, tmp_path / "run", "--only-baselines", *options, column=column, command=("evaluate",), code=2)


def test_an_augmentation_that_an_evaluation_cannot_have_is_refused_before_it_begins(community, tmp_path):
    features = pd.DataFrame(np.random.default_rng(0).poisson(5, (80, 6)), columns=[f"genus {k}" for k in range(6)])
    features.index = pd.read_csv(community / "metadata.tsv", sep="\t", dtype=str)["sample-id"]
    features.T.to_csv(tmp_path / "genera.tsv", sep="\t", index_label="#OTU ID")
    tables = ["--table", tmp_path / "genera.tsv", "--metadata", community / "metadata.tsv", "--metadata-column", "count"]
    for command in ("evaluate", "train"):
        folder = tmp_path / command
        error = aam(command, *tables, "--augment", "errors", "--output-dir", folder, code=2).splitlines()[-1]
        assert "--augment errors changes sequences, and these features have none" in error
        assert {path.name for path in folder.iterdir()} <= {"aam.log", "config.yaml", "inputs.json"}


def test_phylomix_takes_the_tree_that_the_unifrac_loss_has_built(community, tmp_path):
    options = transformer("--penalty", 1, "--augment", "phylomix")
    run(community, tmp_path / "run", *options, "--no-cache")
    assert (tmp_path / "run" / "tree.nwk").exists()
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["augmentation"]["augment"] == "phylomix"
