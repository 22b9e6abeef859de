"""Trees as text: read as scikit-bio reads them, as deep as they are, and refused in one line."""

import sys
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skbio import TreeNode

from aam.data.newick import newick, nodes_of, parse_newick, read_nodes, write_tree
from aam.data.phylogeny import Phylogeny
from aam.data.simulate import simulate
from aam.errors import InputError
from tests.support.reference import read_tree


def test_trees_deeper_than_the_stack(tmp_path):
    depth = sys.getrecursionlimit() * 100
    text = "(" * depth + "t0:1" + "".join(f",t{number}:1):1" for number in range(1, depth + 1)) + ";\n"
    (tmp_path / "deep.nwk").write_text(text)
    phylogeny = Phylogeny.from_nodes(read_nodes(tmp_path / "deep.nwk"), [f"t{number}" for number in range(depth + 1)])
    # Without the branch above the root.
    assert phylogeny.branch_length.sum() == 2 * depth
    assert len(phylogeny.node_start) == 2 * depth + 1


def test_a_tree_is_read_and_written_as_scikit_bio_does(tmp_path):
    tree = simulate(1, n_samples=2, n_asvs=300, length=40).tree
    write_tree(tree, tmp_path / "tree.nwk")
    nodes = list(read_nodes(tmp_path / "tree.nwk"))
    assert nodes == list(nodes_of(tree)) == list(nodes_of(read_tree(tmp_path / "tree.nwk")))
    assert [path.name for path in tmp_path.iterdir()] == ["tree.nwk"]


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        pytest.param(
            "(a_b:1,'it''s (one), c_d; [x]':2.5e-3)root_1:0.5;", [(0, "a_b", 1.0), (0, "it's (one), c_d; [x]", 0.0025)], id="labels"
        ),
        pytest.param("( a : 1 ,\n'b' )\troot_1\n: 0.5 ;\n", [(0, "a", 1.0), (0, "b", None)], id="space"),
        pytest.param("[first](a[one]:[&x=2]1,b)root_1:0.5[last];[end]", [(0, "a", 1.0), (0, "b", None)], id="comments"),
    ],
)
def test_labels_space_and_comments(text, nodes):
    assert list(parse_newick(text)) == [*nodes, (2, "root_1", 0.5)]


def test_nodes_without_labels():
    assert list(parse_newick("((,),'',:1);")) == [
        (0, None, None),
        (0, None, None),
        (2, None, None),
        (0, "", None),
        (0, None, 1.0),
        (3, None, None),
    ]
    assert list(parse_newick("a:3;")) == [(0, "a", 3.0)]


labels = st.text(st.characters(exclude_categories=("C",)), min_size=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(labels, min_size=2, max_size=5, unique=True), st.one_of(st.none(), st.floats(0, 1e9)))
def test_written_trees_read_back(names, length):
    tips = [TreeNode(name=name, length=length) for name in names]
    tree = TreeNode(children=[TreeNode(name=names[0], length=0.1, children=tips[1:]), tips[0]])
    assert list(parse_newick(newick(tree))) == list(nodes_of(tree))


def write_qza(path, semantic_type, text):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0f0f-uuid/VERSION", "QIIME 2\narchive: 5\n")
        archive.writestr("0f0f-uuid/metadata.yaml", f"uuid: 0f0f-uuid\ntype: {semantic_type}\nformat: NewickDirectoryFormat\n")
        archive.writestr("0f0f-uuid/data/tree.nwk", text)


def test_qiime_artifacts(tmp_path, caplog):
    write_qza(tmp_path / "rooted.qza", "Phylogeny[Rooted]", "(a_1:1,b:2);")
    assert [name for _, name, _ in read_nodes(tmp_path / "rooted.qza")] == ["a_1", "b", None]
    assert not caplog.records
    write_qza(tmp_path / "unrooted.qza", "Phylogeny[Unrooted]", "(a:1,b:2,c:3);")
    assert len(list(read_nodes(tmp_path / "unrooted.qza"))) == 4
    assert "may be unrooted" in caplog.text
    write_qza(tmp_path / "table.qza", "FeatureTable[Frequency]", "(a:1,b:2);")
    with pytest.raises(InputError, match=r"artifact of type FeatureTable\[Frequency\]"):
        list(read_nodes(tmp_path / "table.qza"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        (" ;", "character 2: empty"),
        ("hello", "ends before its last ;"),
        ("((a,b);", "character 7: more ( than )"),
        ("(a,b));", "character 6: ) outside of the tree"),
        ("a,b);", "character 2: , outside of the tree"),
        ("(a:x,b:1);", "character 4: could not convert string to float: 'x'"),
        ("(a:,b:1);", "character 4: a branch length is missing"),
        ("(a:1:2,b:1);", "character 5: two branch lengths for one node"),
        ("(a:'1',b:1);", "character 5: a label where a branch length should be"),
        ("(a b,c);", "character 4: two labels for one node; quote a label with a space"),
        ("(a,b)(c,d);", "character 6: ( after a node"),
        ("(a,b);(c,d);", "character 7: text after the end of the tree"),
        ("(a,b)[open;", "character 6: a quote or bracket that is never closed"),
        ("(a,'b);", "character 4: a quote or bracket that is never closed"),
    ],
)
def test_malformed_trees_are_one_line_errors(tmp_path, text, fault):
    path = tmp_path / "tree.nwk"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        list(read_nodes(path))
    assert str(caught.value) == f"{path}: not a newick tree ({fault})"


@pytest.mark.parametrize(
    ("content", "kind"), [(">seq\nACGT\n", r"sequences \(FASTA\)"), ("#NEXUS\nbegin trees;\n", "a tree in Nexus format")]
)
def test_other_files_are_called_by_their_names(tmp_path, content, kind):
    (tmp_path / "tree.nwk").write_text(content)
    with pytest.raises(InputError, match=rf"tree.nwk: {kind}, not a newick tree \(character"):
        list(read_nodes(tmp_path / "tree.nwk"))


def test_unreadable_trees(tmp_path):
    with pytest.raises(InputError, match=r"absent.nwk: cannot be read"):
        list(read_nodes(tmp_path / "absent.nwk"))
    (tmp_path / "binary.nwk").write_bytes(b"\xff\xfe\x00(")
    with pytest.raises(InputError, match="not a newick tree"):
        list(read_nodes(tmp_path / "binary.nwk"))
