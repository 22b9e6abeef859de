"""Every kind of input that cannot be used ends with one line, `error: what, where, what to do`, and exit code 2."""

import gzip
import hashlib
import json

import numpy as np
import pytest

from aam.cli import main
from aam.data.simulate import simulate, write_simulation


@pytest.fixture(scope="module")
def community(tmp_path_factory):
    folder = tmp_path_factory.mktemp("community")
    write_simulation(simulate(0, n_samples=24, n_asvs=30, length=30), folder)
    return folder


@pytest.fixture
def fails(community, tmp_path, capfd, monkeypatch):
    """`fails(command, *arguments)`: the one line that the command ends with; it must have written nothing but its log."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        assert main([str(argument) for argument in arguments]) == 2
        lines = capfd.readouterr().err.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert errors == lines[-1:]
        assert not any("Traceback" in line for line in lines)
        assert not list(tmp_path.glob("**/*.safetensors"))
        return errors[0]

    return run


@pytest.fixture
def pretrain(fails, community):
    def run(*arguments, table=community / "table.biom", tree=community / "tree.nwk"):
        return fails("pretrain", "--table", table, "--tree", tree, "--output-dir", "out", *arguments)

    return run


@pytest.fixture
def train(fails, community):
    def run(*arguments, metadata=community / "metadata.tsv", column="age", table=community / "table.biom"):
        data = ["--table", table, "--metadata", metadata, "--metadata-column", column]
        return fails("train", *data, "--output-dir", "out", *arguments)

    return run


def tsv(path, rows):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


def small_table(path, value=5, first="ACGTACGT", second="ACGTTTTT"):
    rows = [["#OTU ID", *(f"s{i}" for i in range(12))], [first, value, *[3] * 11], [second, *[4] * 12]]
    return tsv(path, rows)


@pytest.mark.parametrize(("value", "said"), [("-1", "negative"), ("0.25", "counts"), ("nan", "nan"), ("many", "many")])
def test_values_of_a_table(pretrain, tmp_path, value, said):
    error = pretrain(table=small_table(tmp_path / "table.tsv", value))
    assert said in error.lower()


def test_tables(pretrain, tmp_path):
    assert "nowhere.biom" in pretrain(table=tmp_path / "nowhere.biom")
    (tmp_path / "text.biom").write_text("not a table at all")
    assert "not a feature table" in pretrain(table=tmp_path / "text.biom")
    (tmp_path / "cut.biom").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "cut.biom" in pretrain(table=tmp_path / "cut.biom")
    empty = tsv(tmp_path / "empty.tsv", [["#OTU ID", "s1", "s2"], ["ACGTACGT", 0, 3]])
    assert "s1" in pretrain(table=empty)


def test_sequences(pretrain, tmp_path):
    hashed = hashlib.md5(b"ACGTACGT").hexdigest()
    table = small_table(tmp_path / "table.tsv", first=hashed, second=hashlib.md5(b"ACGTTTTT").hexdigest())
    assert "--rep-seqs" in pretrain(table=table)
    fasta = tmp_path / "seqs.fasta"
    fasta.write_text(f">{hashed}\nACGTACGA\n")
    assert hashlib.md5(b"ACGTTTTT").hexdigest() in pretrain("--rep-seqs", fasta, table=table)
    fasta.write_text(f">{hashed}\nACGTACGA\n>{hashlib.md5(b'ACGTTTTT').hexdigest()}\nACGTTTTT\n")
    assert hashed in pretrain("--rep-seqs", fasta, table=table)
    assert "ACGT-CGT" in pretrain(table=small_table(tmp_path / "dash.tsv", first="ACGT-CGT"))


def test_trees(pretrain, tmp_path):
    for text in ("((a,b)", "hello", ""):
        (tmp_path / "bad.nwk").write_text(text)
        assert "bad.nwk: not a newick tree" in pretrain(tree=tmp_path / "bad.nwk")
    (tmp_path / "other.nwk").write_text("((a:1,b:1):1,c:1);")
    assert "no ASV of the table is a tip" in pretrain(tree=tmp_path / "other.nwk")


def test_metadata(train, tmp_path, community):
    lines = (community / "metadata.tsv").read_text().splitlines()
    metadata = tmp_path / "metadata.tsv"
    assert "no column height" in train(column="height")
    assert "--where" in train("--where", "[sex] = = 'F'")
    assert "--where" in train("--where", "[sex]='unheard of'")
    assert "column sex: 24 of 24 values are not numbers: 'male' (15 samples), 'female' (9 samples); " in train(column="sex")

    metadata.write_text("\n".join([lines[0], *lines[3:]]) + "\n")
    missing = train(metadata=metadata)
    assert "2 samples of the table are not in the metadata" in missing
    assert "--ignore-missing" in missing
    metadata.write_text("\n".join([lines[0], *(f"x{line}" for line in lines[1:])]) + "\n")
    assert "no sample of the table is in the metadata" in train(metadata=metadata)
    metadata.write_text("\n".join([lines[0], *(line.lower() for line in lines[1:])]) + "\n")
    assert "(24 look like ids of the metadata but for upper and lower case: 'S00000' is 's00000' there)" in train(metadata=metadata)
    (tmp_path / "m.tsv.gz").write_bytes(gzip.compress(metadata.read_bytes())[:-20])
    assert "m.tsv.gz: broken gzip file" in train(metadata=tmp_path / "m.tsv.gz")
    metadata.write_text("\n".join([lines[0].replace("sample-id", "sample"), *lines[1:]]) + "\n")
    assert "metadata.tsv" in train(metadata=metadata)
    metadata.write_text("\n".join([*lines, lines[1]]) + "\n")
    assert f"'{lines[1].split()[0]}' is there twice (lines 2 and {len(lines) + 1})" in train(metadata=metadata)


@pytest.mark.parametrize(
    ("values", "arguments", "said"),
    [
        (["1"] * 24, [], "nothing to learn"),
        (["a"] * 24, ["--classifier"], "nothing to learn"),
        (["a"] * 23 + ["b"], ["--classifier"], "one sample"),
        ([""] + ["1", "2"] * 11 + ["3"], [], "has no value"),
        (["1", "2"] * 11 + ["3", "inf"], [], "finite"),
        (["-1", "2"] * 12, ["--target-transform", "log-zscore"], "negative"),
        (["1e-320", "2e-320"] * 12, [], "beyond what can be squared"),
        (["1e300", "2e300"] * 12, [], "beyond what can be squared"),
        (["1e300", "2e300"] * 12, ["--recipe", "transformer"], "beyond what can be squared"),
    ],
)
def test_targets(train, community, tmp_path, values, arguments, said):
    ids = [line.split("\t")[0] for line in (community / "metadata.tsv").read_text().splitlines()[1:]]
    metadata = tsv(tmp_path / "m.tsv", [["sample-id", "target"], *zip(ids, values, strict=True)])
    assert said in train(*arguments, metadata=metadata, column="target")


def test_groups_and_depths(train):
    assert "groups" in train("--where", "[subject]='P00001'", "--group-column", "subject")
    assert "no sample is left" in train("--sampling-depth", 10_000_000)
    assert "--ignore-missing" in train("--sampling-depth", 5_000)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--val-fraction", 2], "--val-fraction"),
        (["--embedding-dim", 10], "--embedding-dim"),
        (["--epochs", 0], "--epochs"),
        (["--epochs", "many"], "--epochs"),
        (["--nuc-mask-ratio", 0], "--nuc-mask-ratio"),
        (["--freeze-base"], "--pretrained-encoder"),
        (["--rarefy-each-epoch"], "--sampling-depth"),
        (["--best-metric", "auc"], "auc"),
        (["--loss-type", "l7"], "--loss-type"),
        (["--tree", "t", "--unifrac-matrix", "m"], "--unifrac-matrix"),
        (["--overwrite", "--resume"], "choose one"),
        (["--mixed-precision", "fp16"], "fp16"),
        (["--pretrained-encoder", "nowhere"], "nowhere"),
        (["--nuc-penaltyy", 1], "--nuc-penalty"),
    ],
)
def test_options(train, arguments, said):
    assert said in train("--recipe", "transformer", *arguments)


def test_output_folders(train, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").write_text("mine")
    assert "not empty" in train()
    assert "thesis.doc" in train("--overwrite")
    assert (tmp_path / "out" / "thesis.doc").read_text() == "mine"


def test_matrices(fails, community, tmp_path):
    table = ["pretrain", "--table", community / "table.biom", "--output-dir", "out", "--unifrac-matrix"]
    np.save(tmp_path / "d.npy", np.zeros((2, 2)))
    assert "ids" in fails(*table, tmp_path / "d.npy")
    tsv(tmp_path / "d.tsv", [["", "a", "b"], ["a", 0, 1], ["b", 1, 0]])
    assert "have no distances" in fails(*table, tmp_path / "d.tsv")
    inputs = ["unifrac", "--table", community / "table.biom", "--tree", community / "tree.nwk"]
    assert ".h5" in fails(*inputs, "--output", "d.xlsx")
    (tmp_path / "d.h5").write_text("mine")
    assert "--overwrite" in fails(*inputs, "--output", "d.h5")


def test_models(fails, community, tmp_path):
    predict = ["predict", "--table", community / "table.biom", "--output", "p.tsv", "--model"]
    assert "config.json is missing" in fails(*predict, tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "not JSON" in fails(*predict, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"format_version": 99}))
    assert "format version 99" in fails(*predict, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"format_version": 1}))
    assert "not a complete model folder" in fails(*predict, tmp_path)


def test_a_run_that_learns_nothing_ends_with_an_error(pretrain):
    assert "--batch-size 1" in pretrain("--batch-size", 1)
    assert "--val-fraction" in pretrain("--val-fraction", 0.01, "--overwrite")
    assert "all 0" in pretrain("--penalty", 0, "--nuc-penalty", 0)
    small = ["--embedding-dim", 8, "--attention-heads", 1, "--attention-layers", 1, "--epochs", 2, "--gradient-clip", 1e30]
    assert "never finite" in pretrain(*small, "--lr", 1e30, "--overwrite")


def test_options_that_would_leak_or_overflow(train):
    assert "the column to predict" in train("--recipe", "transformer", "--categorical-columns", "age")
    assert "--seed" in train("--seed", 2**32)
    assert "--penalty" in train("--recipe", "transformer", "--pretrained-encoder", "x", "--freeze-base", "--penalty", 1)
