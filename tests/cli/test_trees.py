"""Commands with trees and distances that cannot be used, or not for all samples: what a user sees."""

import re

import numpy as np
import pytest

from aam.disk.cache import Cache
from aam.distances.files import read_distances
from aam.evaluation.questions import read_question
from aam.options import FoldOptions, GroupOptions, Question, TableOptions, TargetOptions, TreeOptions
from tests.odd_files import ASVS, SAMPLES, community, put, table_text, tree_text
from tests.odd_files.trees import SOUND, lengths, lsmat, unifrac
from tests.support.commands import SMALL, aam


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return community(tmp_path_factory.mktemp("sound"))


def last_line(said):
    return said.splitlines()[-1]


def commands(files, folder, *options):
    """Every command that makes UniFrac, with its output in `folder`."""
    table, target = ["--table", files["table"]], ["--metadata", files["metadata"], "--metadata-column", "age"]
    study = [*table, "--rep-seqs", files["rep_seqs"], "--output-dir", folder / "out"]
    transformer = ["train", "--recipe", "transformer", "--penalty", 1]
    return {
        "unifrac": ["unifrac", *table, "--output", folder / "d.tsv", *options],
        "pretrain": ["pretrain", *study, *SMALL, "--epochs", 1, *options],
        "train": [*transformer, *study, *target, *SMALL, "--epochs", 1, *options],
        "evaluate": ["evaluate", *study, *target, "--only-baselines", *options],
    }


@pytest.mark.parametrize("length", ["", ":0.0"])
@pytest.mark.parametrize("command", ["unifrac", "pretrain", "train", "evaluate"])
def test_a_tree_without_lengths(files, tmp_path, command, length):
    tree = put(tmp_path, "taxonomy.nwk", lengths(lambda _: length))
    said = aam(*commands(files, tmp_path, "--tree", tree)[command], code=2)
    assert last_line(said).startswith("error: the tree has no branch lengths above the ASVs of the table")
    assert last_line(said).endswith("where --tree is left out")
    assert not (tmp_path / "d.tsv").exists()
    assert not (tmp_path / "out" / "model").exists()


@pytest.mark.parametrize("command", ["pretrain", "train", "evaluate"])
def test_a_matrix_that_tells_nothing(files, tmp_path, command):
    matrix = put(tmp_path, "same.tsv", lsmat(0.25 * (1 - np.eye(len(SAMPLES)))))
    said = aam(*commands(files, tmp_path, "--unifrac-matrix", matrix)[command], code=2)
    assert "error: all distances between the samples are 0.25: nothing can be learned from them" in last_line(said)


def test_unifrac_says_that_all_distances_are_the_same(files, tmp_path):
    table = put(tmp_path, "one.tsv", "".join(line + "\n" for line in table_text().splitlines()[:3]))
    options = ["unifrac", "--table", table, "--tree", files["tree"], "--output", tmp_path / "d.tsv", "--ignore-missing"]
    assert "warning: all distances between the samples are 0: " in aam(*options)
    assert (tmp_path / "d.tsv").exists()


def test_blanks_at_the_ends_of_ids_change_nothing(files, tmp_path):
    """As TSV, BIOM or in the tree: the same distances."""
    from biom import Table, load_table

    spaced = [name + " " * (number % 3 == 0) for number, name in enumerate(ASVS)]
    sound = load_table(str(files["table"]))
    biom = Table(sound.matrix_data, spaced, sound.ids())
    tables = [put(tmp_path, "t.tsv", table_text(spaced)), put(tmp_path, "t.json", biom.to_json("test"))]
    trees = [files["tree"], put(tmp_path, "tree.nwk", tree_text([f"'{name}'" for name in spaced]))]
    for table in tables:
        for tree in trees:
            said = aam("unifrac", "--table", table, "--tree", tree, "--output", tmp_path / "d.tsv", "--overwrite")
            assert "not in the tree" not in said
            np.testing.assert_allclose(read_distances(tmp_path / "d.tsv", SAMPLES), unifrac(), rtol=0, atol=1e-9)


def test_asvs_off_the_tree_stop_the_run_with_their_share_and_a_hint(files, tmp_path):
    tree = put(tmp_path, "tree.nwk", re.sub(r"ASV_0\d", lambda found: found[0].lower(), SOUND))
    options = ["unifrac", "--table", files["table"], "--tree", tree, "--output", tmp_path / "d.tsv"]
    line = last_line(aam(*options, code=2))
    assert re.match(r"error: 9 of 20 ASVs, which hold [1-9]\d\.\d % of the reads, are not in the tree: ASV_01, ", line)
    assert "(9 look like ids of the tree but for upper and lower case: 'ASV_01' is 'asv_01' there)" in line
    assert line.endswith("or pass --ignore-missing to compute distances from the rest of the reads")
    assert "warning: 9 of 20 ASVs, which hold" in aam(*options, "--ignore-missing")


@pytest.fixture(scope="module")
def off_the_tree(tmp_path_factory):
    """S03 has reads of one ASV alone, which the tree lacks."""
    folder = tmp_path_factory.mktemp("off")
    files = community(folder)
    rows = [line.split("\t") for line in table_text().splitlines()]
    for row in rows[2:]:
        row[3] = "9" if row[0] == ASVS[4] else "0"
    files["table"] = put(folder, "off.tsv", "".join("\t".join(row) + "\n" for row in rows))
    files["tree"] = put(folder, "off.nwk", tree_text().replace(f"{ASVS[4]}:", "other:"))
    return files


@pytest.mark.parametrize("command", ["unifrac", "pretrain", "train"])
def test_samples_off_the_tree_are_left_out_if_asked(off_the_tree, tmp_path, command):
    run = commands(off_the_tree, tmp_path, "--tree", off_the_tree["tree"])[command]
    line = last_line(aam(*run, code=2))
    assert line.startswith("error: 1 of 30 samples has no ASV in the tree: S03; ")
    assert "--ignore-missing" in line
    said = aam(*run, "--ignore-missing")
    assert "warning: 1 of 30 samples has no ASV in the tree: S03; left out" in said
    assert "warning: 1 of 20 ASVs, which holds " in said
    if command != "unifrac":
        parts = ((tmp_path / "out" / f"{part}_samples.txt").read_text() for part in ("train", "val", "test"))
        assert sorted("\n".join(parts).split()) == sorted(set(SAMPLES) - {"S03"})


def test_evaluate_leaves_them_out_of_both_tables(off_the_tree, tmp_path):
    others = [f"T{name[1:]}" for name in SAMPLES]
    of_others = [put(tmp_path, name, re.sub("S(?=[0-9])", "T", off_the_tree[name].read_text())) for name in ("table", "metadata")]
    question = Question(
        data=TableOptions(table=off_the_tree["table"], rep_seqs=off_the_tree["rep_seqs"], ignore_missing=True),
        distances=TreeOptions(tree=off_the_tree["tree"]),
        samples=GroupOptions(metadata=off_the_tree["metadata"]),
        target=TargetOptions(metadata_column="age"),
        folding=FoldOptions(test_table=of_others[0], test_metadata=of_others[1], test_rep_seqs=off_the_tree["rep_seqs"]),
    )
    problem, learned = read_question(question, 0, Cache(None), tree=tmp_path / "tree.nwk")
    assert learned == 29
    kept = [name for name in [*SAMPLES, *others] if name[1:] != "03"]
    assert list(problem.study.table.sample_ids) == kept
    np.testing.assert_array_equal(problem.truth[:learned], problem.truth[learned:])
    assert problem.study.distances.shape == (58, 58)
