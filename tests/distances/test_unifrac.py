import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse
from skbio import TreeNode
from skbio.diversity import alpha_diversity, beta_diversity

from aam.data.phylogeny import Phylogeny
from aam.data.table import read_table
from aam.distances.matrix import faith_pd, unifrac_matrix
from aam.distances.on_tree import require_reads_on_tree
from aam.distances.unifrac import FaithPD, UniFrac
from aam.errors import InputError
from tests.support.reference import read_tree

METRICS = ("unweighted", "weighted_normalized", "weighted_unnormalized", "generalized")
SKBIO = {
    "unweighted": ("unweighted_unifrac", {}),
    "weighted_unnormalized": ("weighted_unifrac", {}),
    "weighted_normalized": ("weighted_unifrac", {"normalized": True}),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The tensors are small, and on a busy machine threads spend their time waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def skbio_distances(metric, counts, feature_ids, tree):
    name, options = SKBIO[metric]
    # Not validated, because scikit-bio refuses missing lengths and a root with three children.
    with np.errstate(invalid="ignore"):
        matrix = beta_diversity(name, counts, taxa=feature_ids, tree=tree, validate=False, **options).data
    # It divides 0 by 0 where all lengths are 0.
    return np.nan_to_num(matrix)


def skbio_faith_pd(counts, feature_ids, tree):
    return alpha_diversity("faith_pd", counts, taxa=feature_ids, tree=tree, validate=False).to_numpy()


def generalized_by_loops(counts, feature_ids, tree, alpha):
    """Chen et al. 2012, node by node and pair by pair."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    below = [({tip.name for tip in node.tips(include_self=True)}, node.length or 0.0) for node in tree.traverse()]
    result = np.zeros((len(counts), len(counts)))
    for first in range(len(counts)):
        for second in range(len(counts)):
            above = under = 0.0
            for tips, length in below:
                p, q = (sum(s for s, name in zip(shares[row], feature_ids, strict=True) if name in tips) for row in (first, second))
                if p + q > 0:
                    above += length * (p + q) ** alpha * abs(p - q) / (p + q)
                    under += length * (p + q) ** alpha
            result[first, second] = above / under if under else 0.0
    return result


def as_batch(counts, rng, padding=3):
    """Columns and counts [B, S] of a dense table: ASVs in random order, padding anywhere, its columns arbitrary."""
    width = int((counts > 0).sum(axis=1).max()) + padding
    columns = rng.integers(counts.shape[1], size=(len(counts), width))
    reads = np.zeros((len(counts), width))
    for row, sample in enumerate(counts):
        present = np.flatnonzero(sample)
        places = rng.permutation(width)[: len(present)]
        columns[row, places], reads[row, places] = present, sample[present]
    return torch.from_numpy(columns), torch.from_numpy(reads)


def both_ways(metric, counts, phylogeny, alpha=0.5):
    """The batch module's answer, after checking that the whole-table function gives the same."""
    batch = UniFrac(phylogeny, metric, alpha)(*as_batch(counts, np.random.default_rng(0)), torch.arange(len(counts))).numpy()
    whole = unifrac_matrix(sparse.csr_array(counts), phylogeny, metric, alpha)
    np.testing.assert_allclose(whole, batch, rtol=0, atol=1e-12)
    for distances in (batch, whole):
        assert (distances == distances.T).all()
        assert (np.diagonal(distances) == 0).all()
    return batch


@st.composite
def communities(draw):
    """A tree of any shape, with a branch above its root or without; table features (some tips of it, in any order); and counts with
    reads in every sample.
    """
    length = st.one_of(st.none(), st.just(0.0), st.floats(1e-3, 10))
    nodes = [TreeNode(name=f"t_{tip}", length=draw(length)) for tip in range(draw(st.integers(1, 12)))]
    while len(nodes) > 1:
        # A group of one makes a node with a single child.
        size = draw(st.integers(1, min(4, len(nodes))))
        nodes = [*nodes[size:], TreeNode(length=draw(length), children=nodes[:size])]
    # A stem at the root. A tip that is the root crashes scikit-bio.
    for _ in range(draw(st.integers(0 if nodes[0].children else 1, 2))):
        nodes = [TreeNode(length=draw(length), children=nodes)]
    tips = draw(st.permutations([tip.name for tip in nodes[0].tips(include_self=True)]))
    features = tips[: draw(st.integers(1, len(tips)))]
    row = st.lists(st.one_of(st.just(0), st.integers(0, 50)), min_size=len(features), max_size=len(features)).filter(any)
    return nodes[0], features, np.array(draw(st.lists(row, min_size=2, max_size=7)))


def sheared(tree, features):
    try:
        return Phylogeny.from_tree(tree, features, count_root=True)
    except InputError as error:
        # A tree without lengths is refused.
        assume("no branch lengths" not in str(error))
        raise


@settings(max_examples=100, deadline=None)
@given(communities())
def test_any_tree_equals_scikit_bio(community):
    tree, features, counts = community
    phylogeny = sheared(tree, features)
    for metric in SKBIO:
        ours, theirs = both_ways(metric, counts, phylogeny), skbio_distances(metric, counts, features, tree)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    expected = skbio_faith_pd(counts, features, tree)
    faith = FaithPD(phylogeny)(*as_batch(counts, np.random.default_rng(1)))
    np.testing.assert_allclose(faith, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(faith_pd(sparse.csr_array(counts), phylogeny), expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(communities(), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_generalized_equals_the_definition(community, alpha):
    tree, features, counts = community
    ours = both_ways("generalized", counts, sheared(tree, features), alpha)
    np.testing.assert_allclose(ours, generalized_by_loops(counts, features, tree, alpha), rtol=0, atol=1e-9)


@pytest.fixture(scope="module")
def real_subset(real_table):
    """Of a real table: the tree, 25 samples as a CSR with all features, and the same as scikit-bio takes it, on the tree only."""
    table, tree = read_table(real_table / "table.biom"), read_tree(real_table / "tree.nwk")
    phylogeny = Phylogeny.from_tree(tree, table.feature_ids)
    rows = np.sort(np.random.default_rng(0).permutation(len(table.sample_ids))[:25])
    counts = table.counts[rows]
    on_tree = np.sort(phylogeny.tip_columns)
    assert len(phylogeny.missing) == (128 if real_table.name == "ibd" else 0)
    return phylogeny, counts, (counts[:, on_tree].toarray(), [table.feature_ids[column] for column in on_tree], tree)


@pytest.mark.parametrize("metric", SKBIO)
def test_real_tables_equal_scikit_bio(real_subset, metric):
    phylogeny, counts, theirs = real_subset
    np.testing.assert_allclose(both_ways(metric, counts.toarray(), phylogeny), skbio_distances(metric, *theirs), rtol=0, atol=1e-9)


def test_faith_pd_of_real_tables_equals_scikit_bio(real_subset):
    phylogeny, counts, theirs = real_subset
    ours = FaithPD(phylogeny)(*as_batch(counts.toarray(), np.random.default_rng(0)))
    np.testing.assert_allclose(ours, skbio_faith_pd(*theirs), rtol=1e-9)
    np.testing.assert_allclose(faith_pd(counts, phylogeny), skbio_faith_pd(*theirs), rtol=1e-9)


def test_generalized_of_real_tables(real_subset):
    phylogeny, counts, _ = real_subset
    full = both_ways("generalized", counts.toarray(), phylogeny, 1.0)
    np.testing.assert_array_equal(full, both_ways("weighted_normalized", counts.toarray(), phylogeny))
    nearly = both_ways("generalized", counts.toarray(), phylogeny, 1.0 - 1e-9)
    np.testing.assert_allclose(nearly, full, rtol=0, atol=1e-7)


@pytest.fixture
def community():
    """Tree of 40 tips, 38 of them in the table beside two features that the tree lacks; counts [9, 40]."""
    rng = np.random.default_rng(5)
    nodes = [TreeNode(name=f"t{tip}", length=float(length)) for tip, length in enumerate(rng.exponential(size=40))]
    while len(nodes) > 1:
        first, second = sorted(rng.permutation(len(nodes))[:2])
        joined = TreeNode(length=float(rng.exponential()), children=[nodes[first], nodes[second]])
        nodes = [node for place, node in enumerate(nodes) if place not in (first, second)] + [joined]
    features = [*(f"t{tip}" for tip in rng.permutation(38)), "stranger1", "stranger2"]
    counts = rng.poisson(3, (9, 40)) * (rng.random((9, 40)) < 0.3)
    counts[:, 0] += 1
    return Phylogeny.from_tree(nodes[0], features), counts


@pytest.mark.parametrize("metric", METRICS)
def test_batch_is_a_function_of_the_samples_alone(community, metric):
    phylogeny, counts = community
    unifrac = UniFrac(phylogeny, metric)
    expected = unifrac(*as_batch(counts, np.random.default_rng(0)))
    assert expected[0, 1] > 0.01
    torch.testing.assert_close(unifrac(*as_batch(counts, np.random.default_rng(1), padding=20)), expected, rtol=0, atol=1e-13)
    part = unifrac(*as_batch(counts[[4, 2]], np.random.default_rng(2)))
    torch.testing.assert_close(part[0, 1], expected[4, 2], rtol=0, atol=1e-13)
    twins = unifrac(*as_batch(counts[[3, 3, 5]], np.random.default_rng(3)))
    assert twins[0, 1] < 1e-12
    torch.testing.assert_close(twins[0, 2], twins[1, 2], rtol=0, atol=1e-13)
    # Features that the tree lacks change nothing, however abundant.
    strangers = counts.copy()
    strangers[:, 38:] += 1000
    torch.testing.assert_close(unifrac(*as_batch(strangers, np.random.default_rng(4))), expected, rtol=0, atol=1e-13)


def test_known_values():
    tree = TreeNode.read(["((a:1,b:2):3,c:4);"])
    phylogeny = Phylogeny.from_tree(tree, ["a", "b", "c"])
    columns, counts = torch.tensor([[0, 1], [2, 0]]), torch.tensor([[1.0, 3.0], [2.0, 2.0]])
    distance = {metric: UniFrac(phylogeny, metric)(columns, counts)[0, 1].item() for metric in METRICS}
    assert distance["unweighted"] == pytest.approx((2 + 4) / 10)
    assert distance["weighted_unnormalized"] == pytest.approx(0.25 + 2 * 0.75 + 3 * 0.5 + 4 * 0.5)
    assert distance["weighted_normalized"] == pytest.approx(5.25 / (0.75 + 2 * 0.75 + 3 * 1.5 + 4 * 0.5))
    terms = [(1, 0.25, 0.5), (2, 0.75, 0.0), (3, 1.0, 0.5), (4, 0.0, 0.5)]
    above = sum(length * (p + q) ** -0.5 * abs(p - q) for length, p, q in terms)
    assert distance["generalized"] == pytest.approx(above / sum(length * (p + q) ** 0.5 for length, p, q in terms))
    assert FaithPD(phylogeny)(columns, counts).tolist() == [6.0, 8.0]


def test_buffers_are_not_saved_and_autocast_changes_nothing(community):
    phylogeny, counts = community
    unifrac, faith_pd = UniFrac(phylogeny, dtype=torch.float32), FaithPD(phylogeny, dtype=torch.float32)
    batch = as_batch(counts, np.random.default_rng(0))
    assert not unifrac.state_dict()
    with torch.autocast("cpu", torch.bfloat16):
        autocast, faith = unifrac(*batch), faith_pd(*batch)
    assert autocast.dtype == faith.dtype == torch.float32
    torch.testing.assert_close(autocast, unifrac(*batch), rtol=0, atol=0)
    torch.testing.assert_close(faith, faith_pd(*batch), rtol=0, atol=0)


def test_samples_off_the_tree_are_named(community):
    phylogeny, counts = community
    counts[[2, 6], :38] = 0
    counts[2, 39] = 7
    table = sparse.csr_array(counts)
    with pytest.raises(InputError, match=r"2 of 9 samples have no ASV in the tree: s2, s6; "):
        unifrac_matrix(table, phylogeny, sample_ids=[f"s{row}" for row in range(9)])
    with pytest.raises(InputError, match="row 2, row 6"):
        require_reads_on_tree(table, phylogeny)
    # In a batch they do as in scikit-bio: all of another sample is unshared, and nothing is known of two of them.
    distances = UniFrac(phylogeny, "weighted_normalized")(*as_batch(counts, np.random.default_rng(0)))
    assert distances[2, 6] == 0
    assert distances[2, 0] == 1


def test_wrong_use_is_refused(community):
    phylogeny, counts = community
    columns, reads = as_batch(counts, np.random.default_rng(0))
    for wrong in (reads / 2, reads * float("nan")):
        with pytest.raises(ValueError, match="whole numbers"):
            UniFrac(phylogeny)(columns, wrong)
    with pytest.raises(ValueError, match="no UniFrac metric"):
        UniFrac(phylogeny, "weighted")
    with pytest.raises(ValueError, match="no UniFrac metric"):
        UniFrac(phylogeny, "generalized", 1.5)
