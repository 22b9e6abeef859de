"""Numbers at the edge, in whole runs: what cannot be learned from is said, and nothing broken is kept."""

import json
import re

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from biom import Table
from scipy import sparse

from tests.support.commands import aam

SMALL = ["--embedding-dim", 16, "--attention-heads", 2, "--attention-layers", 1, "--batch-size", 8, "--no-cache"]


def write(folder, counts, length=30):
    """A table of counts [N, M] of random ASVs, with a tree and a number for each sample; options to read them."""
    rng = np.random.default_rng(0)
    asvs = ["".join(letters) for letters in np.unique(rng.choice(list("ACGT"), (2 * counts.shape[1], length)), axis=0)]
    asvs = list(rng.permutation(asvs)[: counts.shape[1]])
    ids = [f"s{number:02d}" for number in range(len(counts))]
    with h5py.File(folder / "table.biom", "w") as handle:
        Table(sparse.csr_matrix(counts.T), asvs, ids).to_hdf5(handle, "test")
    deep = "(" * (len(asvs) - 1) + f"{asvs[0]}:0.1" + "".join(f",{asv}:0.1):0.1" for asv in asvs[1:])
    (folder / "tree.nwk").write_text(f"{deep};\n")
    pd.DataFrame({"number": rng.normal(size=len(ids))}, index=pd.Index(ids, name="sample-id")).to_csv(folder / "m.tsv", sep="\t")
    tables = ["--table", folder / "table.biom", *SMALL]
    return ["pretrain", *tables, "--tree", folder / "tree.nwk"], ["train", *tables, "--metadata", folder / "m.tsv"]


def counts_of(samples, asvs, share=0.5):
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 50, (samples, asvs)) * (rng.random((samples, asvs)) < share)
    counts[:, 0] += 1
    return counts


@pytest.fixture
def held_out(tmp_path):
    def read():
        return json.loads((tmp_path / "run" / "metrics.json").read_text())["held_out"]

    return read


def test_a_loss_that_is_not_finite_stops_the_run_with_its_samples_and_keeps_what_was_good(tmp_path):
    """Through a number that float32 does not hold."""
    counts = counts_of(40, 20)
    pretrain, _ = write(tmp_path, counts)
    run = [*pretrain, "--checkpoint-minutes", 1e-4, "--output-dir", tmp_path / "run"]
    said = aam(*run, "--lr", 1e12, "--warmup-fraction", 0.9, code=2)
    assert "error: the loss is not finite in step" in said
    samples = (tmp_path / "run" / "bad_batch.txt").read_text().split()
    assert samples
    assert set(samples) <= set((tmp_path / "run" / "train_samples.txt").read_text().split())
    for checkpoint in (tmp_path / "run" / "checkpoints").glob("*.ckpt"):
        state = torch.load(checkpoint, weights_only=True)["state_dict"]
        assert all(weights.isfinite().all() for weights in state.values())
    assert not (tmp_path / "run" / "model").exists()


def test_samples_that_are_all_the_same(tmp_path, held_out):
    pretrain, train = write(tmp_path, np.tile(np.arange(1, 13), (30, 1)))
    said = aam(*pretrain, "--epochs", 2, "--output-dir", tmp_path / "run", code=2)
    assert "error: all distances between the samples are 0: nothing can be learned from them" in said
    # Their nucleotides can, and take no tree.
    aam(*pretrain[:-2], "--epochs", 2, "--penalty", 0, "--output-dir", tmp_path / "run")
    assert held_out() == {}
    aam(*train, "--epochs", 2, "--metadata-column", "number", "--recipe", "transformer", "--output-dir", tmp_path / "train")


def test_samples_of_one_asv_each(tmp_path, held_out):
    pretrain, train = write(tmp_path, np.eye(24, dtype=int) * 7)
    aam(*pretrain, "--epochs", 2, "--count-penalty", 0.1, "--output-dir", tmp_path / "run")
    assert np.isfinite(held_out()["mse"])
    aam(*train, "--epochs", 2, "--metadata-column", "number", "--recipe", "transformer", "--output-dir", tmp_path / "train")


def test_batches_of_one_sample(tmp_path):
    pretrain, train = write(tmp_path, counts_of(20, 10))
    one = [word if word != 8 else 1 for word in train]
    aam(*one, "--epochs", 2, "--metadata-column", "number", "--recipe", "transformer", "--output-dir", tmp_path / "train")
    said = aam(*[word if word != 8 else 1 for word in pretrain], "--output-dir", tmp_path / "run", code=2)
    assert "error: --batch-size 1: distances are between samples" in said


@pytest.mark.parametrize("strategy", ["span", "hybrid"])
def test_asvs_shorter_than_a_span_that_is_masked(tmp_path, held_out, strategy):
    pretrain, _ = write(tmp_path, counts_of(20, 10), length=2)
    aam(*pretrain, "--epochs", 2, "--nuc-mask-strategy", strategy, "--nuc-mask-ratio", 0.5, "--output-dir", tmp_path / "run")
    assert np.isfinite(held_out()["mse"])


@pytest.mark.slow
def test_a_sample_of_50000_asvs_within_its_memory(tmp_path, held_out):
    """On a tree that is as deep as it has tips."""
    counts = (np.random.default_rng(0).random((12, 50_000)) < 0.0008).astype(int)
    counts[3] = 1
    pretrain, _ = write(tmp_path, counts)
    memory = ["--max-memory-gb", 3, "--val-fraction", 0.3, "--max-bp", 12]
    said = aam(*pretrain, "--epochs", 1, *memory, "--output-dir", tmp_path / "run")
    assert np.isfinite(held_out()["mse"])
    assert float(re.search(r"memory: (\S+) GB at the most", said)[1]) < 3
