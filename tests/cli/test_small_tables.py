"""A table of the size of QIIME 2's moving pictures (34 samples, four body sites, two people), taken through the commands."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from biom import Table

from aam.data.simulate import simulate, write_simulation
from aam.data.table import read_table
from aam.learners import baselines
from tests.support.commands import SMALL, TRANSFORMER, aam

QUICK = ["--network-steps", 6, "--network-min-epochs", 1, "--forest-trees", 5, "--boosting-rounds", 5]
SITES = {"P00000": "gut", "P00001": "left palm", "P00002": "right palm", "P00003": "tongue"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Four communities, one of each site; the people and the day have no part in them."""
    folder = tmp_path_factory.mktemp("pictures")
    simulated = simulate(1, n_samples=34, n_asvs=200, n_subjects=4, n_studies=1, length=60)
    about = {
        "body-site": simulated.metadata["subject"].map(SITES),
        "subject": [f"subject-{1 + number % 2}" for number in range(34)],
        "day": np.random.default_rng(0).permutation(34),
    }
    write_simulation(replace(simulated, metadata=pd.DataFrame(about, index=simulated.metadata.index)), folder)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(baselines, "_TREES", 5)
    monkeypatch.setattr(baselines, "_TREES_TO_CHOOSE", 5)
    monkeypatch.setattr(baselines, "_BOOSTS", 20)
    monkeypatch.setattr(baselines, "_PENALTIES", (0.1, 10.0))
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    # No word of another library reaches the terminal.
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        yield


def options_of(folder, *tables):
    return ["--table", folder / "table.biom", "--metadata", folder / "metadata.tsv", *tables]


def test_evaluate_holds_out_each_of_two_people(pictures, tmp_path):
    site = [
        "evaluate",
        *options_of(pictures, "--tree", pictures / "tree.nwk"),
        "--metadata-column",
        "body-site",
        "--classifier",
        "--group-column",
        "subject",
    ]
    said = aam(*site, "--output-dir", tmp_path / "refused", code=2)
    assert "--folds 5: there are 2 groups only; take --folds 2 or hold out each group in turn (--leave-one-group-out)" in said
    out = tmp_path / "out"
    said = aam(*site, "--leave-one-group-out", "--only-baselines", "--output-dir", out)
    assert "fold that holds out subject-1: gradient boosting" in said
    found = json.loads((out / "metrics.json").read_text())
    assert any("all training samples are of one group (subject-1, subject-2)" in warning for warning in found["warnings"])
    assert found["models"]["gradient boosting"]["mean"]["auc"] > 0.9


def test_a_number_without_a_signal_is_said_to_be_no_better_than_the_median(pictures, tmp_path):
    day = [*options_of(pictures), "--metadata-column", "day", "--group-column", "subject"]
    said = aam("train", *day, *QUICK, "--output-dir", tmp_path / "refused", code=2)
    assert (
        "2 groups cannot be split into 3 parts (training, validation, test); with --test-fraction 0 no test part is needed" in said
    )
    said = aam("train", *day, *QUICK, "--test-fraction", 0, "--output-dir", tmp_path / "out")
    assert "warning: day: no better on held-out samples than always predicting the median of the training samples: MAE" in said
    said = aam(*TRANSFORMER, *day[:-2], *SMALL, "--epochs", 1, "--output-dir", tmp_path / "transformer")
    assert (
        "warning: few steps: 2 an epoch of 24 training samples, 2 at most with --epochs 1; take more or a smaller --batch-size"
        in said
    )
    assert "warning: 3 validation samples choose the best epoch" in said


def test_pretraining_says_what_it_is_worth(tmp_path):
    # Everyone's own community: nothing of it is learned in a step.
    write_simulation(simulate(2, n_samples=34, n_asvs=200, n_subjects=34, length=60), tmp_path)
    tables = ["--table", tmp_path / "table.biom", "--tree", tmp_path / "tree.nwk"]
    said = aam("pretrain", *tables, *SMALL, "--epochs", 1, "--output-dir", tmp_path / "out")
    assert "warning: few steps: 2 an epoch of 31 training samples" in said
    assert "warning: 3 validation samples (3 pairs) choose the best epoch" in said
    assert "warning: UniFrac: no better on held-out samples than always predicting their mean: MSE" in said


def test_genera_without_sequences_are_evaluated_trained_on_and_predicted(pictures, tmp_path):
    table = read_table(pictures / "table.biom")
    names = [f"g__Genus{number}" for number in range(len(table.feature_ids))]
    (tmp_path / "genera.biom").write_text(Table(table.counts.toarray().T, names, table.sample_ids).to_json("test"))
    site = ["--table", tmp_path / "genera.biom", "--metadata", pictures / "metadata.tsv", "--metadata-column", "body-site"]
    line = "known by their IDs; AAM's members that read sequences are left out, and so is UniFrac without --tree"
    said = aam("train", *site, "--classifier", *QUICK, "--output-dir", tmp_path / "trained")
    assert said.count(line) == 1 and "kernel model of sequences" not in said
    aam("predict", "--table", tmp_path / "genera.biom", "--model", tmp_path / "trained" / "model", "--output", tmp_path / "p.tsv")
    predicted = pd.read_csv(tmp_path / "p.tsv", sep="\t", index_col=0)["prediction"]
    assert (predicted == pd.read_csv(pictures / "metadata.tsv", sep="\t", index_col=0)["body-site"]).mean() > 0.9
    said = aam("evaluate", *site, "--classifier", "--folds", 2, *QUICK, "--output-dir", tmp_path / "out")
    assert said.count(line) == 1
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {"AAM ensemble", "random forest"} < found["models"].keys() and "nearest neighbours, UniFrac" not in found["models"]
    assert found["facts"]["features"] == "200"
    assert found["warnings"][0].startswith("The features have no sequences and are known by their IDs: left out are")
    # A transformer needs sequences.
    for refused in (["evaluate", *site, "--classifier", "--transformers"], [*TRANSFORMER, *site, "--classifier"]):
        assert "pass the sequences with --rep-seqs" in aam(*refused, "--output-dir", tmp_path / "refused", code=2)
    # Of some, as of hashes, sequences there are.
    for odd in ("ACGT" * 8, "0f" * 16):
        (tmp_path / "genera.biom").write_text(Table(table.counts.toarray().T, [odd, *names[1:]], table.sample_ids).to_json("test"))
        assert "pass the sequences with --rep-seqs" in aam("evaluate", *site, "--output-dir", tmp_path / "refused", code=2)
