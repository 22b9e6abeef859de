"""What a tree lacks is said with its weight: ASVs with their share of the reads, samples by name."""

import dataclasses
import logging

import numpy as np
import pytest
from scipy import sparse

from aam.data.newick import parse_newick
from aam.data.phylogeny import Phylogeny
from aam.data.table import FeatureTable
from aam.distances.matrix import unifrac_matrix
from aam.distances.on_tree import keep_on_tree
from aam.errors import InputError

ASVS = ("a", "b", "c", "d")


def table_of(counts):
    return FeatureTable(sparse.csr_array(np.array(counts)), tuple(f"s{row}" for row in range(len(counts))), ASVS)


def sheared(text):
    return Phylogeny.from_nodes(parse_newick(text), ASVS)


def said(caplog):
    return [record.getMessage() for record in caplog.records]


FEW = [[5, 50, 45, 1], [80, 10, 9, 0]]
LOST = "2 of 4 ASVs, which hold 43.0 % of the reads, are not in the tree: a, d (1 looks like an id of the tree but for upper and"


def test_asvs_off_the_tree_are_said_with_their_share_of_the_reads(caplog):
    table = table_of(FEW)
    assert keep_on_tree(table, sheared("(b:1,c:1,a:1,D:1);"), ignore_missing=False) is table
    assert said(caplog)[0].startswith("1 of 4 ASVs, which holds 0.5 % of the reads, is not in the tree: d (1 looks like an id")
    assert said(caplog)[0].endswith("'d' is 'D' there); they count in no distance")


def test_more_than_a_tenth_of_the_reads_off_the_tree_is_an_error_unless_said_otherwise(caplog):
    phylogeny = sheared("(b:1,c:1,A:1);")
    with pytest.raises(InputError, match=r"^2 of 4 ASVs, which hold 43.0 % .*; give a tree .*`ignore_missing`"):
        keep_on_tree(table_of(FEW), phylogeny, ignore_missing=False)
    assert not caplog.records
    assert keep_on_tree(table_of(FEW), phylogeny, ignore_missing=True).sample_ids == ("s0", "s1")
    assert said(caplog)[0].startswith(LOST)


def test_samples_without_an_asv_in_the_tree_are_left_out_if_asked(caplog):
    table, phylogeny = table_of([[5, 5, 5, 0], [0, 0, 0, 1], [9, 9, 0, 0]]), sheared("(a:1,b:1,c:1);")
    with pytest.raises(InputError, match=r"1 of 3 samples has no ASV in the tree: s1; .*`ignore_missing`"):
        keep_on_tree(table, phylogeny, ignore_missing=False)
    caplog.clear()
    kept = keep_on_tree(table, phylogeny, ignore_missing=True)
    assert kept.sample_ids == ("s0", "s2")
    np.testing.assert_array_equal(kept.counts.toarray(), [[5, 5, 5, 0], [9, 9, 0, 0]])
    assert said(caplog)[1] == "1 of 3 samples has no ASV in the tree: s1; left out"


@pytest.mark.parametrize(("lost", "share"), [(0, "none"), (1, "less than 0.1 %")])
def test_small_shares(caplog, lost, share):
    keep_on_tree(table_of([[5000, 1, 1, 0], [1, 1, 1, lost]]), sheared("(a:1,b:1,c:1);"), ignore_missing=False)
    assert f"ASVs, which holds {share} of the reads, is" in said(caplog)[0]


def test_all_are_on_the_tree(caplog):
    table = table_of(FEW)
    assert keep_on_tree(table, sheared("(a:1,b:1,c:1,d:1,e:1);"), ignore_missing=False) is table
    assert not caplog.records


def test_a_matrix_in_python_says_it_too(caplog):
    with caplog.at_level(logging.WARNING, "aam"):
        unifrac_matrix(table_of(FEW).counts, sheared("(b:1,c:1,A:1);"))
    assert said(caplog)[0].startswith(LOST)


def test_the_share_is_of_all_reads_of_a_table_on_disk(tmp_path, caplog):
    from aam.data.simulate import simulate, write_simulation
    from aam.data.stream import open_tables

    write_simulation(simulate(0, n_samples=12, n_asvs=20, length=30), tmp_path)
    table = open_tables([tmp_path / "table.biom"])
    tips = [(0, name, 1.0) for name in table.feature_ids[:10]]
    phylogeny = Phylogeny.from_nodes([*tips, (len(tips), None, None)], table.feature_ids)
    counts = table.counts[np.arange(12)].toarray()
    share = f"{100 * counts[:, 10:].sum() / counts.sum():.1f} %"
    kept = keep_on_tree(table, phylogeny, ignore_missing=True)
    assert f"10 of 20 ASVs, which hold {share} of the reads" in said(caplog)[0]
    assert type(kept) is type(table)
    assert dataclasses.is_dataclass(kept)
