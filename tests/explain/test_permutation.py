"""Importance by permutation: a naive computation of it, and that features of no part lose nothing."""

import numpy as np
import pytest
from scipy import sparse

from aam.explain import features
from aam.explain.attributions import Features, Said
from aam.explain.permutation import Held, by_permutation
from aam.scoring.measures import AUC, MAE
from aam.scoring.weighted import WEIGHTED
from tests.explain.test_deletion import Sums


def known(seed=0, n=40, m=8):
    """A model that knows the truth: the presence of two ASVs, of which every sample has others too."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 30, (n, m)) * (rng.random((n, m)) < 0.5)
    counts[:, -1] = 5
    numbers = np.zeros(m)
    numbers[:2] = 3, -2
    reader = Sums(counts, numbers)
    return reader, reader.read(reader.counts, np.arange(n)).outputs[:, 0]


def test_what_the_model_does_not_look_at_loses_nothing():
    reader, truth = known()
    # Shares of the reads are looked at too, so of those ASVs alone that no other's reads change.
    reader.read = lambda counts, rows: Sums.read(reader, (counts > 0).astype(int), rows)
    truth = reader.read(reader.counts, np.arange(40)).outputs[:, 0]
    found = by_permutation(reader, features.asvs("abcdefgh"), Held(np.arange(40), truth), MAE, repeats=2)
    assert found.score == 0
    assert (found.loss[:2] > 0.2).all()
    assert (found.low[:2] > 0).all()
    assert (found.high[:2] > found.loss[:2]).all()
    assert found.loss[7] == 0


def test_the_loss_is_that_of_exchanged_columns(monkeypatch):
    reader, truth = known(1)
    order = np.random.default_rng(3).permutation(40)
    monkeypatch.setattr("aam.explain.permutation._permuted", lambda n, levels, rng: order)
    samples = np.arange(40)[::-1]
    wanted = Features("clade", ("x",), sparse.csr_array(np.array([[True, False, True, False, False, True, False, False]])))
    groups = np.arange(40) % 7
    noise = np.random.default_rng(0).normal(size=40)
    found = by_permutation(reader, wanted, Held(samples, truth[samples] + noise, groups), MAE)
    counts = reader.counts.toarray()[samples]
    depths = counts.sum(axis=1)
    made = counts.copy()
    for column in (0, 2, 5):
        given = counts[order, column] * depths / depths[order]
        made[:, column] = np.where(counts[order, column] > 0, np.maximum(np.rint(given), 1), 0)
    before, after = (
        np.abs(reader.read(sparse.csr_array(some), samples).outputs[:, 0] - truth[samples] - noise) for some in (counts, made)
    )
    by_group = np.array([[part[groups == group].mean() for group in range(7)] for part in (before, after)])
    assert found.score == pytest.approx(by_group[0].mean())
    assert found.loss[0] == pytest.approx(by_group[1].mean() - by_group[0].mean())
    assert found.low[0] < found.loss[0] < found.high[0]


def test_permuted_within_levels_a_feature_of_levels_loses_nothing():
    n = 60
    level = np.arange(n) % 3
    counts = np.ones((n, 4), dtype=int)
    counts[:, 0] = level == 1
    counts[:, 1] = np.random.default_rng(0).integers(0, 2, n)
    reader = Sums(counts, np.array([4.0, 3.0, 0.0, 0.0]))
    truth = (reader.read(reader.counts, np.arange(n)).outputs[:, 0] > 2.5).astype(int)
    across, within = (
        by_permutation(reader, features.asvs("abcd"), Held(np.arange(n), truth, None, levels), AUC) for levels in (None, level)
    )
    assert across.score == pytest.approx(1)
    assert within.score == pytest.approx(1)
    assert across.loss[0] > 0.2
    assert within.loss[0] == pytest.approx(0)
    assert within.loss[1] > 0.05


def test_a_sample_keeps_the_only_asv_that_it_has():
    reader = Sums(np.eye(4, dtype=int), np.arange(4.0))
    found = by_permutation(reader, features.asvs("abcd"), Held(np.arange(4), np.arange(4.0)), MAE)
    assert np.isfinite(found.loss).all()


class Presence:
    """A model that adds up numbers of the ASVs that are there."""

    output_names, unit = ("sum",), "units of sum"

    def __init__(self, counts, numbers):
        self.counts, self.numbers = sparse.csr_array(counts), numbers

    def read(self, counts, rows):
        outputs = ((counts.toarray() > 0) @ self.numbers)[:, None]
        return Said(outputs, outputs[None], np.ones(1))


def half_learned(seed, measure, n=40, noise=60):
    """A model that knows the two ASVs of the truth (the first), and believes in `noise` others besides, half of which two samples
    have, half of which a third have.
    """
    rng = np.random.default_rng(seed)
    part = np.where(np.arange(noise) % 2, n // 3, 2)
    there = np.stack([rng.permutation(n) < number for number in (n // 2, n // 2, *part, n)], axis=1)
    numbers = np.array([6.0, -6.0, *rng.normal(0, 0.3, noise), 0.0])
    truth = there[:, :2] @ numbers[:2] + rng.normal(size=n)
    return Presence(there.astype(int), numbers), truth if measure is MAE else (truth > np.median(truth)).astype(int)


# Of true ones few are sure in AUC, which is of ranks.
@pytest.mark.parametrize(("measure", "found_of_true"), [(MAE, 1.0), (AUC, 0.5)])
def test_what_has_no_part_in_the_truth_is_rarely_above_zero(measure, found_of_true):
    above, true = [], []
    for seed in range(8):
        reader, truth = half_learned(seed, measure)
        kind = features.asvs([str(place) for place in range(63)])
        found = by_permutation(reader, kind, Held(np.arange(40), truth), measure, seed=seed)
        true += (found.low[:2] > 0).tolist()
        above += (found.low[2:-1] > 0).tolist()
    assert np.mean(true) >= found_of_true
    assert np.mean(above) < 0.05


def test_one_permutation_has_no_interval():
    reader, truth = known()
    found = by_permutation(reader, features.asvs("abcdefgh"), Held(np.arange(40), truth), MAE, repeats=1)
    assert (found.loss[:2] > 0).all()
    assert np.isnan([found.low, found.high]).all()


def test_sums_that_come_out_otherwise_are_no_loss(monkeypatch):
    reader, truth = known()
    noise = np.random.default_rng(1).normal(size=40)
    plain = WEIGHTED["mae"]
    # As where a model says the same of other shares up to rounding.
    monkeypatch.setitem(WEIGHTED, "mae", lambda *parts: plain(*parts) * (1 + 2e-16 * np.random.default_rng().integers(-2, 3)))
    reader.read = lambda counts, rows: Sums.read(reader, (counts > 0).astype(int) * 0 + reader.counts[rows], rows)
    found = by_permutation(reader, features.asvs("abcdefgh"), Held(np.arange(40), truth + noise), MAE)
    for part in (found.loss, found.low, found.high):
        assert not part.any()
