"""A tree cut to some tips is the tree sheared to them."""

import numpy as np
import pytest
import torch
from skbio import TreeNode

from aam.data.phylogeny import Phylogeny
from aam.data.simulate import simulate
from aam.distances.cut import CutTree, depths
from aam.distances.unifrac import FaithPD, UniFrac, tip_of_columns


def spans(start, end, length, names):
    """{tips below a node: branch length}, nodes of the same tips added up."""
    found = {}
    for first, last, long in zip(start.tolist(), end.tolist(), length.tolist(), strict=True):
        key = tuple(sorted(names[first:last]))
        found[key] = found.get(key, 0.0) + long
    return found


def of_phylogeny(phylogeny, features):
    names = [features[column] for column in phylogeny.tip_columns]
    return spans(phylogeny.node_start, phylogeny.node_end, phylogeny.branch_length, names)


def caterpillar(tips):
    """Each tip parts one step further from the root, some at once and some after nothing."""
    node = TreeNode(name="t0", length=1.0)
    for number in range(1, tips):
        node = TreeNode(children=[node, TreeNode(name=f"t{number}", length=0.5)], length=float(number % 3))
    return node, [f"t{number}" for number in range(tips)]


def community_tree():
    community = simulate(3, n_samples=2, n_asvs=400, length=40)
    return community.tree, list(community.table.feature_ids)


@pytest.mark.parametrize("made", [community_tree, lambda: caterpillar(200)], ids=["random", "caterpillar"])
@pytest.mark.parametrize("chosen", [1, 2, 3, 40, 150, 200])
def test_a_cut_tree_is_a_sheared_one(made, chosen):
    tree, features = made()
    whole = Phylogeny.from_tree(tree, features)
    rng = np.random.default_rng(chosen)
    # Neighbours and far ones.
    for columns in (rng.permutation(len(features))[:chosen], whole.tip_columns[30 : 30 + chosen]):
        kept = [features[column] for column in columns]
        tips = np.sort(tip_of_columns(whole)[columns])
        nodes = CutTree(whole)(torch.from_numpy(tips))
        assert len(nodes.start) == 2 * len(tips) - 1
        assert float(nodes.length.min()) >= 0
        cut = spans(nodes.start, nodes.end, nodes.length, [features[whole.tip_columns[tip]] for tip in tips])
        sheared = of_phylogeny(Phylogeny.from_tree(tree, kept), kept)
        assert {key: length for key, length in cut.items() if length > 1e-12} == pytest.approx(
            {key: length for key, length in sheared.items() if length > 1e-12}, abs=1e-12
        )


def test_depths_of_a_small_tree():
    tree = TreeNode.read(["((a:1,b:2):3,c:4,(d:5,e:6):7):0.5;"])
    of_tip, of_parting = depths(Phylogeny.from_tree(tree, list("abcde"), count_root=True))
    assert of_tip.tolist() == [4.5, 5.5, 4.5, 12.5, 13.5]
    assert of_parting.tolist() == [3.5, 0.5, 0.5, 7.5]


def test_a_batch_without_reads_on_the_tree_has_no_distances():
    tree, features = caterpillar(5)
    unifrac = UniFrac(Phylogeny.from_tree(tree, [*features, "elsewhere"]))
    columns, counts = torch.tensor([[5], [5]]), torch.tensor([[3.0], [1.0]])
    for metric in (unifrac, UniFrac(unifrac.phylogeny, "weighted_normalized"), UniFrac(unifrac.phylogeny, "generalized")):
        assert metric(columns, counts).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert FaithPD(unifrac.phylogeny)(columns, counts).tolist() == [0.0, 0.0]
