"""The branch above the root: ssu (unifrac-binaries) does not count it and scikit-bio does; ours is as each of them says."""

import numpy as np
import pytest
from scipy import sparse
from skbio import TreeNode

from aam.data.newick import parse_newick
from aam.data.phylogeny import Phylogeny
from aam.distances.files import read_distances
from aam.distances.matrix import faith_pd, unifrac_matrix
from aam.distances.unifrac import UniFrac
from tests.distances.test_unifrac import SKBIO, as_batch, skbio_distances, skbio_faith_pd
from tests.support.commands import aam

# Tree, ASVs and counts. Below the root are: all ASVs of the table; a clade that holds them; a node with a single child.
COMMUNITIES = {
    "at the root": ("((A:1,B:1):1,(C:1,D:1):1):5;", "ABCD", [[1, 0, 0, 0], [0, 0, 1, 0], [1, 1, 2, 0]]),
    "in a clade": ("(((A:1,B:1):1,C:1):2,(D:1,E:1):1):5;", "ABC", [[1, 0, 0], [0, 0, 1], [1, 1, 2]]),
    "single child": ("(((A:1,B:1):1,(C:1,D:1):1):3):5;", "ABCD", [[1, 0, 0, 0], [0, 0, 1, 0], [1, 1, 2, 0]]),
}
# Pairs 0-1, 0-2 and 1-2 by unifrac-tools 1.2: ssu -i table.biom -t tree.nwk -m <metric>_fp64 -a 0.5 -r hdf5_fp64 --pcoa 0 -o d.h5,
# and Faith PD: faithpd -i table.biom -t tree.nwk -o pd.tsv
SSU = {
    "at the root": {
        "unweighted": [1.0, 0.6, 0.6],
        "weighted_normalized": [1.0, 0.625, 0.5],
        "weighted_unnormalized": [4.0, 2.5, 2.0],
        "generalized": [1.0, 0.7031448377159153, 0.6071321446672736],
        "faith_pd": [2, 2, 5],
    },
    "in a clade": {
        "unweighted": [0.6, 0.3333333333333333, 0.5],
        "weighted_normalized": [0.42857142857142855, 0.26666666666666666, 0.23076923076923078],
        "weighted_unnormalized": [3.0, 2.0, 1.5],
        "generalized": [0.5147186257614297, 0.35842950146006436, 0.3672313708110151],
        "faith_pd": [4, 3, 6],
    },
    "single child": {
        "unweighted": [0.5714285714285714, 0.375, 0.375],
        "weighted_normalized": [0.4, 0.25, 0.2],
        "weighted_unnormalized": [4.0, 2.5, 2.0],
        "generalized": [0.48528137423857026, 0.3521660532257768, 0.30045625557312644],
        "faith_pd": [5, 5, 8],
    },
}
PAIRS = ([0, 0, 1], [1, 2, 2])


@pytest.fixture(params=COMMUNITIES)
def name(request):
    return request.param


def both_ways(phylogeny, counts, metric):
    """Distances of the pairs by the function of a table, and by the module of a batch."""
    whole = unifrac_matrix(sparse.csr_array(counts), phylogeny, metric)[PAIRS]
    np.testing.assert_allclose(UniFrac(phylogeny, metric)(*as_batch(counts, np.random.default_rng(0)))[PAIRS], whole, atol=1e-12)
    return whole


def test_by_default_as_ssu(name):
    tree, features, counts = COMMUNITIES[name][0], COMMUNITIES[name][1], np.array(COMMUNITIES[name][2])
    phylogeny = Phylogeny.from_nodes(parse_newick(tree), list(features))
    for metric in (*SKBIO, "generalized"):
        # What ssu says of generalized has eight right digits.
        tolerance = 1e-7 if metric == "generalized" else 1e-12
        np.testing.assert_allclose(both_ways(phylogeny, counts, metric), SSU[name][metric], rtol=0, atol=tolerance)
    np.testing.assert_allclose(faith_pd(sparse.csr_array(counts), phylogeny), SSU[name]["faith_pd"])


def test_on_request_as_scikit_bio(name):
    tree, features, counts = COMMUNITIES[name][0], COMMUNITIES[name][1], np.array(COMMUNITIES[name][2])
    phylogeny = Phylogeny.from_nodes(parse_newick(tree), list(features), count_root=True)
    for metric in SKBIO:
        theirs = skbio_distances(metric, counts, list(features), TreeNode.read([tree]))[PAIRS]
        np.testing.assert_allclose(both_ways(phylogeny, counts, metric), theirs, rtol=0, atol=1e-12)
        assert (metric == "weighted_unnormalized") == (abs(theirs - SSU[name][metric]) < 1e-9).all()
    theirs = skbio_faith_pd(counts, list(features), TreeNode.read([tree]))
    np.testing.assert_allclose(faith_pd(sparse.csr_array(counts), phylogeny), theirs)
    assert theirs.tolist() == [value + 5 for value in SSU[name]["faith_pd"]]


@pytest.mark.parametrize(("options", "expected"), [([], 1.0), (["--count-root"], 4 / 9)])
def test_the_option_of_the_command(tmp_path, options, expected):
    tree, features, counts = COMMUNITIES["at the root"]
    (tmp_path / "tree.nwk").write_text(tree)
    rows = "".join(f"s{row}\t" + "\t".join(map(str, values)) + "\n" for row, values in enumerate(counts))
    (tmp_path / "table.tsv").write_text("sample\t" + "\t".join(features) + "\n" + rows)
    output = tmp_path / "d.h5"
    aam("unifrac", "--table", tmp_path / "table.tsv", "--tree", tmp_path / "tree.nwk", "--output", output, *options)
    assert read_distances(output, ["s0", "s1"])[0, 1] == pytest.approx(expected, abs=1e-12)
