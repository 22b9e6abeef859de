import io

import numpy as np
import pytest
from skbio import TreeNode

from aam.data.newick import read_nodes
from aam.data.phylogeny import Phylogeny
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
        pytest.param("((a:1,x:2):3,(y:4,b:5):6):7;", "ab", {"a": 4, "b": 11, "ab": 0}, id="sheared to the table"),
        pytest.param("((((a:1,b:1):2):3,x:9):4):5;", "ab", {"a": 1, "b": 1, "ab": 9}, id="path to the root is kept"),
        pytest.param("(((a:1):2):3);", "a", {"a": 6}, id="single children"),
        pytest.param("((a,b:0):2,c:1);", "abc", {"a": 0, "b": 0, "ab": 2, "c": 1, "abc": 0}, id="zero and missing lengths"),
        pytest.param("(a:1,b:2,c:3,(d:1,e:1,f:1):4);", "abcd", {"a": 1, "b": 2, "c": 3, "d": 5, "abcd": 0}, id="polytomies"),
        pytest.param("((x:nan,x:-1):-2,(a:1,b:1):1);", "ab", {"a": 1, "b": 1, "ab": 1}, id="faults elsewhere do not matter"),
    ],
)
def test_shapes(tree, features, expected):
    assert spans(Phylogeny.from_tree(newick(tree), list(features)), list(features)) == expected


@pytest.mark.parametrize(
    ("tree", "features", "expected"),
    [
        ("((a:1,x:2):3,(y:4,b:5):6):7;", "ab", {"a": 4, "b": 11, "ab": 7}),
        ("((((a:1,b:1):2):3,x:9):4):5;", "ab", {"a": 1, "b": 1, "ab": 14}),
        ("a:3;", "a", {"a": 3}),
    ],
)
def test_the_branch_above_the_root_counts_where_it_is_asked_for(tree, features, expected):
    assert spans(Phylogeny.from_tree(newick(tree), list(features), count_root=True), list(features)) == expected


def test_names_of_inner_nodes_are_no_tips():
    with pytest.raises(InputError, match="no ASV of the table is a tip"):
        Phylogeny.from_tree(newick("((x:1,y:1)a:1,z:1);"), ["a"])


def test_features_that_are_no_tips(caplog):
    features = [f"f{number}" for number in range(10)]
    phylogeny = Phylogeny.from_tree(newick("(f3:1,(f7:1,F8:1):1);"), features)
    assert phylogeny.missing == ("f0", "f1", "f2", "f4", "f5", "f6", "f8", "f9")
    assert phylogeny.near == " (1 looks like an id of the tree but for upper and lower case: 'f8' is 'F8' there)"
    assert sorted(phylogeny.tip_columns) == [3, 7]
    # What it means is said where the reads are known.
    assert not caplog.records


def test_blanks_at_the_ends_of_labels_do_not_count(tmp_path):
    (tmp_path / "tree.nwk").write_text("(('a ':1,' b':2):3,c:4);")
    phylogeny = Phylogeny.from_nodes(read_nodes(tmp_path / "tree.nwk"), ["a", "b", "c"])
    assert spans(phylogeny, ["a", "b", "c"]) == {"a": 1, "b": 2, "ab": 3, "c": 4, "abc": 0}
    # Ids with blanks, as of a table in memory, are those of their own tree.
    assert Phylogeny.from_nodes(read_nodes(tmp_path / "tree.nwk"), ["a ", " b", "c"]).missing == ()


@pytest.mark.parametrize(
    "tree",
    [
        "((A,B),(C,D));",
        "((A:0,B:0.0):0,(C:0,D:0):0);",
        "((A,B:0):0,(C,D:0)):0;",
        # What all samples share tells none apart.
        "((A,B),(C,D)):5;",
        "(((A:0,B:0),(C,D)):2,x:1);",
    ],
)
def test_trees_without_branch_lengths_are_refused(tree):
    with pytest.raises(InputError, match=r"no branch lengths above the ASVs of the table .*`tree` is left out"):
        Phylogeny.from_tree(newick(tree), list("ABCD"))


def test_some_missing_lengths_are_one_warning_with_their_share(caplog):
    Phylogeny.from_tree(newick("((A:1,B),(C:0,D),(x,y));"), list("ABCD"))
    (record,) = caplog.records
    assert record.getMessage() == "4 of the 6 branches that the table needs (67 %) have no length in the tree; they count as 0"


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
