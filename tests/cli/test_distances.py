"""`aam distances`: what it writes, and what it refuses before anything is written."""

from pathlib import Path

import numpy as np
import pytest
from skbio import DistanceMatrix

from aam.data.table import read_table
from aam.distances.files import read_distances
from aam.distances.registry import MEASURES, Setting
from aam.distances.sample_values import read_sample_values
from tests.support.commands import aam

TABLE = "#OTU ID\ta\tb\tc\nACGT\t3\t0\t1\nACGA\t2\t5\t0\nTTTT\t0\t4\t9\n"
TREE = "((ACGT:1,ACGA:2):1,TTTT:4);"


@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("table.tsv").write_text(TABLE)
    Path("tree.nwk").write_text(TREE)
    return ["distances", "--table", "table.tsv"]


@pytest.mark.parametrize("metric", [name for name, measure in MEASURES.items() if measure.pairs])
def test_distances_are_written_in_each_format(words, metric):
    tree = ["--tree", "tree.nwk"] if MEASURES[metric].on_tree else []
    found = []
    for suffix in (".h5", ".npy", ".tsv"):
        aam(*words, *tree, "--metric", metric, "--output", f"d{suffix}")
        found.append(read_distances(Path(f"d{suffix}"), ["a", "b", "c"]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert (found[0] > 0).sum() == 6
    assert DistanceMatrix.read("d.h5", format="binary_dm").ids == ("a", "b", "c")
    if metric in ("unweighted", "generalized"):
        aam("unifrac", *words[1:], *tree, "--metric", metric, "--output", "u.tsv")
        assert Path("u.tsv").read_text() == Path("d.tsv").read_text()


def test_values_by_hand(words):
    aam(*words, "--metric", "bray_curtis", "--output", "d.tsv")
    assert read_distances(Path("d.tsv"), ["a", "b"])[0, 1] == pytest.approx((3 + 3 + 4) / 14)
    aam(*words, "--metric", "faith_pd", "--tree", "tree.nwk", "--output", "f.tsv")
    assert Path("f.tsv").read_text() == "sample-id\tfaith_pd\na\t4\nb\t7\nc\t6\n"
    said = aam(*words, "--metric", "shannon", "--output", "s.tsv")
    assert "Shannon diversity written to s.tsv" in said
    assert read_sample_values(Path("s.tsv"), ["a"])[0] == pytest.approx(-0.6 * np.log(0.6) - 0.4 * np.log(0.4))
    aam(*words, "--metric", "richness", "--sampling-depth", 5, "--output", "r.tsv")
    assert read_sample_values(Path("r.tsv"), ["a", "b", "c"]).max() <= 2


def test_real_tables(real_table, tmp_path):
    """Whole, and as those of the library."""
    data = ["distances", "--table", real_table / "table.biom", "--metric"]
    table = read_table(real_table / "table.biom")
    aam(*data, "aitchison", "--output", tmp_path / "d.h5")
    rows = np.arange(20)
    expected = MEASURES["aitchison"].code.of_table(table.counts[rows], Setting("aitchison", table.counts.shape[1]))
    np.testing.assert_allclose(read_distances(tmp_path / "d.h5", table.sample_ids[:20]), expected, rtol=0, atol=1e-10)
    aam(*data, "faith_pd", "--tree", real_table / "tree.nwk", "--output", tmp_path / "f.tsv")
    assert (read_sample_values(tmp_path / "f.tsv", table.sample_ids) > 0).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--metric faith_pd --output o.tsv", "--metric faith_pd is measured on a tree; give --tree"),
        (
            "--metric jaccard --tree tree.nwk --output o.tsv",
            "--tree is given, and --metric jaccard is not measured on a tree; leave it out",
        ),
        ("--metric shannon --count-root --output o.tsv", "--count-root is given, and --metric shannon is not measured on a tree"),
        ("--metric richness --output o.h5", "--output o.h5: must end in .tsv"),
        ("--metric jaccard --output o.csv", "--output o.csv: must end in .h5 or .npy or .tsv"),
        ("--metric euclidean --output o.tsv", 'Invalid value "euclidean" for --metric'),
        ("--output o.tsv", "--metric"),
        ("--metric generalized --tree tree.nwk --alpha 2 --output o.tsv", "--alpha 2.0: must be between 0 and 1"),
        ("--metric aitchison --sampling-depth 9 --output o.tsv", "1 of 3 samples has fewer reads than --sampling-depth 9: a"),
        ("--metric faith_pd --tree table.tsv --output o.tsv", "table.tsv"),
        ("--metric shannon --output table.tsv --overwrite", "--output table.tsv: is read by this command"),
        ("--metric shannon --output tree.nwk", "tree.nwk: must end in .tsv"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(words, options, said):
    before = sorted(Path().iterdir())
    last = aam(*words, *options.split(), code=2).splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
    assert sorted(Path().iterdir()) == before
    assert Path("table.tsv").read_text() == TABLE


def test_an_output_is_replaced_only_when_asked(words):
    shannon = [*words, "--metric", "shannon", "--output", "s.tsv"]
    aam(*shannon)
    assert "exists" in aam(*shannon, code=2)
    aam(*shannon, "--overwrite")


def test_samples_that_are_all_alike_are_said(words):
    Path("table.tsv").write_text("#OTU ID\ta\tb\tc\nACGT\t3\t3\t3\n")
    said = aam(*words, "--metric", "jaccard", "--output", "d.tsv")
    assert "all distances between the samples are 0: do all hold the same?" in said
