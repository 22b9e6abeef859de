"""Every measure of the registry, of a batch and of a table: what scikit-bio says, on real tables, and what must hold of any."""

import warnings

import numpy as np
import pytest
import torch
from scipy import sparse
from skbio.diversity import alpha_diversity, beta_diversity
from skbio.stats.composition import closure, clr, rclr

from aam.data.dataset import Collate, SampleDataset
from aam.data.phylogeny import Phylogeny
from aam.data.simulate import simulate
from aam.data.table import FeatureTable, read_table
from aam.distances import all_pairs, nodes
from aam.distances.products import Products
from aam.distances.registry import MEASURES, Setting, batch_form, measure_of
from aam.distances.whole import measure_table
from aam.errors import InputError
from aam.options import ReadOptions
from tests.distances.test_unifrac import as_batch

PAIRS = [name for name, measure in MEASURES.items() if measure.pairs]
NEW = ["bray_curtis", "jaccard", "aitchison", "robust_aitchison", "hellinger", "shannon", "richness"]


def euclidean(rows):
    return np.linalg.norm(rows[:, None] - rows, axis=2)


REFERENCES = {
    "bray_curtis": lambda counts: beta_diversity("braycurtis", counts).data,
    "jaccard": lambda counts: beta_diversity("jaccard", counts > 0).data,
    "aitchison": lambda counts: euclidean(clr(counts + 1)),
    "robust_aitchison": lambda counts: euclidean(np.nan_to_num(rclr(counts))),
    "hellinger": lambda counts: euclidean(np.sqrt(closure(counts))),
    "shannon": lambda counts: alpha_diversity("shannon", counts).to_numpy(),
    "richness": lambda counts: alpha_diversity("sobs", counts).to_numpy(),
}


def of_table(metric, counts, phylogeny=None, alpha=0.5):
    return measure_of(metric).code.of_table(sparse.csr_array(counts), Setting(metric, counts.shape[1], phylogeny, alpha))


def of_batch(metric, counts, phylogeny=None, seed=0, padding=3):
    form = batch_form(metric, counts.shape[1], phylogeny)
    return form(*as_batch(counts, np.random.default_rng(seed), padding), torch.arange(len(counts))).numpy()


@pytest.fixture(scope="module")
def community():
    """150 samples, which are several blocks, of which three are the same; and two ASVs that no sample has."""
    simulated = simulate(4, n_samples=150, n_asvs=120, length=40)
    counts = simulated.table.counts.toarray()
    counts[[80, 149]] = counts[3]
    counts = np.concatenate([counts, np.zeros((150, 2), dtype=np.int64)], axis=1)
    return Phylogeny.from_tree(simulated.tree, [*simulated.table.feature_ids, "none1", "none2"]), counts


@pytest.fixture(scope="module")
def real_counts(real_table):
    """25 samples of a real table, all features."""
    counts = read_table(real_table / "table.biom").counts
    return counts[np.sort(np.random.default_rng(0).permutation(counts.shape[0])[:25])].toarray()


# UniFrac and Faith PD are compared in test_unifrac.py.
@pytest.mark.parametrize("metric", NEW)
def test_real_tables_equal_scikit_bio(real_counts, metric):
    expected = REFERENCES[metric](real_counts)
    assert expected.std() > 0.01
    np.testing.assert_allclose(of_table(metric, real_counts), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(of_batch(metric, real_counts), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("metric", NEW)
@pytest.mark.parametrize("rare", [0.0, 0.12, 1.0])
def test_any_share_of_rare_asvs_gives_what_scikit_bio_says(community, metric, rare, monkeypatch):
    _, counts = community
    monkeypatch.setattr(nodes, "RARE", rare)
    monkeypatch.setattr(Products, "rows", 40)
    np.testing.assert_allclose(of_table(metric, counts), REFERENCES[metric](counts), rtol=0, atol=1e-9)


@pytest.mark.parametrize("metric", PAIRS)
def test_distances_are_symmetric_and_those_of_a_batch_and_0_between_equal_samples(community, metric):
    phylogeny, counts = community
    table, batch = of_table(metric, counts, phylogeny), of_batch(metric, counts, phylogeny)
    assert batch.dtype == table.dtype == np.float64
    np.testing.assert_allclose(table, batch, rtol=0, atol=1e-11)
    for found in (table, batch):
        assert (found == found.T).all()
        assert (np.diagonal(found) == 0).all()
        assert found[np.ix_([3, 80, 149], [3, 80, 149])].max() < 1e-14
        assert found[3, 4] > 0.01


@pytest.mark.parametrize("metric", MEASURES)
def test_the_order_of_samples_and_asvs_and_padding_change_nothing(community, metric):
    phylogeny, counts = community
    counts = counts[:20]
    expected = of_table(metric, counts, phylogeny)
    rng = np.random.default_rng(1)
    rows = rng.permutation(20)
    moved = expected[np.ix_(rows, rows)] if MEASURES[metric].pairs else expected[rows]
    np.testing.assert_allclose(of_table(metric, counts[rows], phylogeny), moved, rtol=0, atol=1e-12)
    np.testing.assert_allclose(of_batch(metric, counts[rows], phylogeny, seed=2, padding=9), moved, rtol=0, atol=1e-12)
    if not MEASURES[metric].on_tree:
        columns = rng.permutation(counts.shape[1])
        np.testing.assert_allclose(of_table(metric, counts[:, columns]), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("metric", MEASURES)
def test_threads_change_no_bit(community, metric, monkeypatch):
    phylogeny, counts = community
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(all_pairs, "allotted_threads", lambda threads=threads: threads)
        found.append(of_table(metric, counts, phylogeny))
    assert (found[0] == found[1]).all()


def test_close_samples_of_deep_counts_are_not_lost_in_rounding():
    """Differences of 1 read in a million, and samples that differ by depth alone, whose Aitchison distance is nearly 0."""
    rng = np.random.default_rng(0)
    counts = rng.integers(10**5, 10**6, size=(1, 200)) + np.concatenate([np.zeros((1, 200)), np.eye(5, 200)]).astype(np.int64)
    counts = np.concatenate([counts, 2 * counts])
    for metric in ("aitchison", "robust_aitchison", "hellinger"):
        expected = REFERENCES[metric](counts)
        upper = np.triu_indices(12, 1)
        assert (expected[upper] < 1e-3).all()
        np.testing.assert_allclose(of_table(metric, counts)[upper], expected[upper], rtol=1e-6, atol=1e-13)
        np.testing.assert_allclose(of_batch(metric, counts)[upper], expected[upper], rtol=1e-6, atol=1e-13)


def test_known_values():
    counts = np.array([[3, 1, 0, 0], [0, 2, 2, 0]])
    ln = np.log
    expected = {
        "bray_curtis": (3 + 1 + 2) / 8,
        "jaccard": 2 / 3,
        "robust_aitchison": np.hypot(ln(3) / 2, ln(3) / 2),
        "hellinger": np.sqrt(2 - 2 * np.sqrt(1 / 4 * 1 / 2)),
        # log(x + 1) differs by log 4, log 2 - log 3, - log 3, 0.
        "aitchison": np.std([ln(4), ln(2) - ln(3), -ln(3), 0]) * 2,
    }
    for metric, value in expected.items():
        for found in (of_table(metric, counts), of_batch(metric, counts)):
            assert found[0, 1] == pytest.approx(value, abs=1e-12)
    for found in (of_table("shannon", counts), of_batch("shannon", counts)):
        np.testing.assert_allclose(found, [-0.75 * ln(0.75) - 0.25 * ln(0.25), ln(2)], atol=1e-12)
    for found in (of_table("richness", counts), of_batch("richness", counts)):
        assert found.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("metric", MEASURES)
def test_one_sample(community, metric):
    phylogeny, counts = community
    for found in (of_table(metric, counts[:1], phylogeny), of_batch(metric, counts[:1], phylogeny)):
        assert found.shape == ((1, 1) if MEASURES[metric].pairs else (1,))
        assert np.isfinite(found).all()


@pytest.mark.parametrize("metric", MEASURES)
def test_samples_without_reads(community, metric):
    """Refused at the border, and named. In a batch two of them are at distance 0, and nothing is not a number."""
    phylogeny, counts = community
    counts = counts[:6].copy()
    counts[[2, 4]] = 0
    tree = phylogeny if MEASURES[metric].on_tree else None
    table = FeatureTable(sparse.csr_array(counts), tuple("abcdef"), tuple(f"asv{column}" for column in range(counts.shape[1])))
    problem = "no ASV in the tree" if tree else "no reads"
    with pytest.raises(InputError, match=rf"2 of 6 samples have {problem}: c, e; "):
        measure_table(table, metric, tree)
    kept, found = measure_table(table, metric, tree, ignore_missing=True)
    assert (kept.sample_ids, len(found)) == (("a", "b", "d", "f"), 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = of_batch(metric, counts, tree)
    assert np.isfinite(batch).all()
    assert (batch[2, 4] if MEASURES[metric].pairs else batch[2]) == 0


def test_zeros_that_are_stored_are_no_asvs():
    stored = sparse.csr_array((np.array([3, 0, 2]), np.array([0, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    table = FeatureTable(stored, ("a", "b"), ("x", "y"))
    assert measure_table(table, "richness")[1].tolist() == [1.0, 1.0]
    assert measure_table(table, "jaccard")[1][0, 1] == 0


@pytest.mark.parametrize("metric", MEASURES)
def test_a_loader_computes_them_of_its_batches(community, metric):
    phylogeny, counts = community
    table = FeatureTable(sparse.csr_array(counts), tuple(map(str, range(150))), tuple(map(str, range(122))))
    dataset = SampleDataset(table, ReadOptions(), 0)
    collate = Collate(np.ones((122, 3), dtype=np.uint8), measures={metric: batch_form(metric, 122, phylogeny)})
    batch = collate([dataset[0, row] for row in (5, 3, 80)])
    whole = of_table(metric, counts, phylogeny)
    expected = whole[np.ix_([5, 3, 80], [5, 3, 80])] if MEASURES[metric].pairs else whole[[5, 3, 80]]
    np.testing.assert_allclose(batch.measured[metric], expected, rtol=1e-6, atol=1e-6)


def test_counts_of_a_batch_must_be_whole():
    columns, shares = torch.tensor([[0, 1]]), torch.tensor([[0.5, 0.5]])
    with pytest.raises(ValueError, match="whole numbers of reads"):
        batch_form("aitchison", 2)(columns, shares)


def test_autocast_changes_nothing(community):
    _, counts = community
    expected = of_batch("jaccard", counts)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(of_batch("jaccard", counts), expected)


def test_unknown_metrics_are_told_what_there_is():
    with pytest.raises(InputError, match=r"`metric=euclidean`: must be one of unweighted, .*richness"):
        measure_of("euclidean")
    with pytest.raises(InputError, match="must be one of faith_pd, shannon, richness"):
        measure_of("jaccard", pairs=False)
