import io
import logging
import sys

import numpy as np
import pytest
from skbio import TreeNode

from aam.data.newick import read_nodes
from aam.data.phylogeny import Phylogeny, _root_at_midpoint, build_tree
from aam.data.simulate import simulate
from aam.data.table import read_table
from aam.errors import InputError
from tests.support.reference import read_tree


def newick(text):
    return TreeNode.read(io.StringIO(text), format="newick", convert_underscores=False)


def spans(phylogeny, feature_ids):
    """{features below a node: branch length}."""
    names = np.array(feature_ids)[phylogeny.tip_columns]
    nodes = zip(phylogeny.node_start, phylogeny.node_end, phylogeny.branch_length, strict=True)
    return {"".join(sorted(names[start:end])): float(length) for start, end, length in nodes}


def test_nodes_are_intervals_of_tips():
    features = ["d", "a", "b", "c"]
    phylogeny = Phylogeny.from_tree(newick("((a:1,b:2):3,(c:4,d:5):6);"), features)
    assert spans(phylogeny, features) == {"a": 1, "b": 2, "ab": 3, "c": 4, "d": 5, "cd": 6, "abcd": 0}
    assert phylogeny.tip_columns.dtype == phylogeny.node_start.dtype == phylogeny.node_end.dtype == np.int64
    assert phylogeny.branch_length.dtype == np.float64
    assert phylogeny.missing == ()


@pytest.mark.parametrize(
    ("tree", "features", "expected"),
    [
        pytest.param("((a:1,x:2):3,(y:4,b:5):6):7;", "ab", {"a": 4, "b": 11, "ab": 7}, id="sheared to the table"),
        pytest.param("((((a:1,b:1):2):3,x:9):4):5;", "ab", {"a": 1, "b": 1, "ab": 14}, id="path to the root is kept"),
        pytest.param("(((a:1):2):3);", "a", {"a": 6}, id="single children"),
        pytest.param("((a,b:0):2,c:1);", "abc", {"a": 0, "b": 0, "ab": 2, "c": 1, "abc": 0}, id="zero and missing lengths"),
        pytest.param("(a:1,b:2,c:3,(d:1,e:1,f:1):4);", "abcd", {"a": 1, "b": 2, "c": 3, "d": 5, "abcd": 0}, id="polytomies"),
        pytest.param("a:3;", "a", {"a": 3}, id="the root is a tip"),
        pytest.param("((x:nan,x:-1):-2,(a:1,b:1):1);", "ab", {"a": 1, "b": 1, "ab": 1}, id="faults elsewhere do not matter"),
    ],
)
def test_shapes(tree, features, expected):
    assert spans(Phylogeny.from_tree(newick(tree), list(features)), list(features)) == expected


def test_names_of_inner_nodes_are_no_tips():
    with pytest.raises(InputError, match="no ASV of the table is a tip"):
        Phylogeny.from_tree(newick("((x:1,y:1)a:1,z:1);"), ["a"])


def test_missing_tips_are_one_warning(caplog):
    features = [f"f{number}" for number in range(10)]
    with caplog.at_level(logging.WARNING, "aam"):
        phylogeny = Phylogeny.from_tree(newick("(f3:1,(f7:1,x:1):1);"), features)
    assert phylogeny.missing == ("f0", "f1", "f2", "f4", "f5", "f6", "f8", "f9")
    assert sorted(phylogeny.tip_columns) == [3, 7]
    (record,) = caplog.records
    assert record.getMessage() == "8 of 10 ASVs are not in the tree and count in no distance: f0, f1, f2, f4, f5 ... (3 more)"


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("(x:1,y:1,z:1,w:1);", "no ASV of the table is a tip of the tree: the table has a, b, the tree x, y, z; "),
        ("((a:1,b:1):1,a:1);", "the tree has several tips of one name: a;"),
        ("((a:1,b:-1):-2,c:1);", r"the tree has 2 branch lengths that are negative or no number: -1.0, -2.0;"),
        ("((a:nan,b:1):2,c:1);", "1 branch lengths .*: nan"),
        ("((a:1,b:1):inf,c:1);", "1 branch lengths .*: inf"),
    ],
)
def test_unusable_trees(tree, message):
    with pytest.raises(InputError, match=message):
        Phylogeny.from_tree(newick(tree), ["a", "b"])


def test_real_trees(real_table):
    table, tree = read_table(real_table / "table.biom"), read_tree(real_table / "tree.nwk")
    phylogeny = Phylogeny.from_nodes(read_nodes(real_table / "tree.nwk"), table.feature_ids)
    for name, value in vars(Phylogeny.from_tree(tree, table.feature_ids)).items():
        np.testing.assert_array_equal(value, getattr(phylogeny, name), err_msg=name)
    assert len(phylogeny.tip_columns) + len(phylogeny.missing) == len(table.feature_ids)
    assert len(phylogeny.missing) == (128 if real_table.name == "ibd" else 0)
    features = set(table.feature_ids)
    needed = {id(node): node.length or 0.0 for tip in tree.tips() if tip.name in features for node in (tip, *tip.ancestors())}
    assert phylogeny.branch_length.sum() == pytest.approx(sum(needed.values()))
    nodes = list(zip(phylogeny.node_start, phylogeny.node_end, strict=True))
    assert len(set(nodes)) == len(nodes)


def test_built_tree_is_close_to_the_true_one():
    simulation = simulate(3, n_samples=8, n_asvs=60)
    ids = [f"id {number}'(x)" for number in range(60)]
    built = build_tree(simulation.sequences, ids, threads=1)
    true = simulation.tree.cophenet(simulation.sequences).filter(simulation.sequences).data
    assert np.corrcoef(built.cophenet(ids).filter(ids).data.ravel(), true.ravel())[0, 1] > 0.9
    assert len(built.children) == 2
    depths = [max(tip.depth() for tip in child.tips(include_self=True)) for child in built.children]
    assert depths[0] == pytest.approx(depths[1])
    assert Phylogeny.from_tree(built, ids).missing == ()


A, B, C = "ACGTTGCATTAGCCATACGA", "ACGTTGCATTAGCCATTTTT", "ACCTTGAATTAGGCATACGA"


@pytest.mark.parametrize(
    "sequences",
    [[A], [A, A, A], [A, B], [A, B, A], [A, B, C], [A, B, C, B.lower(), C.replace("T", "U")], ["RYKMSWN" + A, B, C, A, "N"]],
)
def test_few_equal_and_ambiguous_sequences(sequences):
    ids = [f"asv{number}" for number in range(len(sequences))]
    tree = build_tree(sequences, ids, threads=1)
    assert sorted(tip.name for tip in tree.tips()) == ids
    assert Phylogeny.from_tree(tree, ids).missing == ()
    for first, sequence in zip(ids, sequences, strict=True):
        for second, other in zip(ids, sequences, strict=True):
            apart = tree.find(first).distance(tree.find(second))
            same = sequence.upper().replace("U", "T") == other.upper().replace("U", "T")
            assert (apart == 0) == same, (first, second)


def test_without_the_tree_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyfamsa", None)
    with pytest.raises(InputError, match=r"pip install 'attention-all-microbes\[tree\]' or give `tree`"):
        build_tree([A, B], ["a", "b"])


@pytest.mark.parametrize(
    "text",
    [
        "(a:1,b:5,c:2);",
        "((a:1,b:1):1,(c:4,d:1):0.5,e:1);",
        # The two halves differ by rounding alone.
        "((a:0.1,c:0.1):0.2,b:0.3);",
        "(b:0.3,(a:0.1,c:0.1):0.2);",
        "(a:2,b:0,c:0);",
    ],
)
def test_midpoint(text):
    tree = newick(text)
    tips = [tip.name for tip in tree.tips()]
    before = tree.cophenet(tips)
    rooted = _root_at_midpoint(tree)
    np.testing.assert_allclose(rooted.cophenet(tips).filter(tips).data, before.filter(tips).data, atol=1e-12)
    assert max(tip.depth() for tip in rooted.tips()) == pytest.approx(before.data.max() / 2)
