"""Faithfulness of explanations: of a model that is known, true ones are told from made-up ones."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from aam.explain import features
from aam.explain.agreement import Agreement, agreement, mean_of
from aam.explain.deletion import by_deletion
from aam.explain.faithfulness import curves, named_first
from aam.explain.made_up import read_kept
from aam.explain.summary import summarise
from tests.explain.test_deletion import Sums

M = 60
GROUPS = np.arange(50) // 2


class Presence(Sums):
    """Adds up numbers of the ASVs that are there."""

    def read(self, counts, rows):
        return super().read((counts > 0).astype(int), rows)


def community(seed=0, kind=Presence):
    rng = np.random.default_rng(seed)
    counts = (1 + rng.lognormal(2, 1.5, (50, M))).astype(int) * (rng.random((50, M)) < 0.6)
    numbers = np.where(np.arange(M) % 5 == 0, rng.normal(0, 3, M), rng.normal(0, 0.1, M))
    return kind(counts, numbers)


@pytest.fixture(scope="module")
def explained():
    reader = community()
    return reader, by_deletion(reader, features.asvs([f"f{place}" for place in range(M)]), np.arange(50))


def with_values(attributions, value):
    return replace(attributions, value=value)


def test_only_what_is_kept_is_read():
    reader = community()
    rows = np.array([4, 4, 0, 30])
    kept, expected = [], []
    for row in rows:
        own = reader.counts[[row]]
        stays = np.random.default_rng(row).random(own.nnz) < 0.5
        kept.append(stays)
        made = sparse.csr_array((own.data[stays], (np.zeros(stays.sum(), dtype=int), own.indices[stays])), shape=(1, M))
        expected.append(reader.read(made, rows[:1]).outputs[0])
    np.testing.assert_allclose(read_kept(reader, rows, np.concatenate(kept)), expected)


def test_what_is_named_first_moves_predictions_further(explained):
    reader, attributions = explained
    found = named_first(reader, attributions, GROUPS)
    assert 2 < found.moved.low < found.moved.value < found.moved.high
    assert found.samples == 50
    assert found.sentence.startswith(f"taking out the 10 ASVs named first moves predictions {found.moved.value:.1f} times as far")
    assert found.sentence.endswith(f", with {100 * found.reads:.0f} % of the reads, others {100 * found.other_reads:.0f} %")
    assert found.other_reads == pytest.approx(found.reads, abs=0.12)


def test_a_made_up_explanation_is_told(explained):
    reader, attributions = explained
    made_up = with_values(attributions, np.random.default_rng(0).permutation(attributions.value))
    found, drawn = named_first(reader, made_up, GROUPS), curves(reader, made_up, GROUPS)
    assert found.moved.low < 1 < found.moved.high * 1.1
    assert drawn.better.low < 1.05
    # What matters least is named first.
    worst = named_first(reader, with_values(attributions, 1 / (1 + np.abs(attributions.value))), GROUPS)
    assert worst.moved.high < 1


def test_curves_are_those_of_the_model(explained):
    reader, attributions = explained
    found = curves(reader, attributions, most=None)
    assert found.better.low > 1
    assert found.kept_better.low > 1
    assert set(found.deletion) == set(found.insertion) == {"named", "random", "abundance"}
    dense = reader.counts.toarray()
    expected, kept = np.zeros(9), np.zeros(9)
    for row in range(50):
        own = np.flatnonzero(dense[row])
        order = own[np.argsort(-np.abs(attributions.value[attributions.sample == row, 0]), kind="stable")]
        for place, number in enumerate(np.rint(found.shares * len(own)).astype(int)):
            without = sparse.csr_array(np.where(np.isin(np.arange(M), order[:number]), 0, dense[row])[None])
            alone = sparse.csr_array(np.where(np.isin(np.arange(M), order[:number]), dense[row], 0)[None])
            for total, made in ((expected, without), (kept, alone)):
                total[place] += abs(reader.read(made, np.array([row])).outputs - attributions.predicted[row])[0, 0] / 50
    np.testing.assert_allclose(found.deletion["named"], expected)
    np.testing.assert_allclose(found.insertion["named"], kept)


def test_curves_of_some_samples(explained):
    reader, attributions = explained
    assert curves(reader, attributions, most=7).samples == 7


def test_others_are_of_like_abundance(explained):
    reader, attributions = explained
    share = (reader.counts / reader.counts.sum(axis=1)[:, None]).tocsr()
    size = np.asarray(share[attributions.sample, attributions.feature]).reshape(-1, 1)
    middle = np.abs(np.log(size / np.median(size)))
    found = named_first(reader, with_values(attributions, 1 / (1 + middle)))
    assert found.reads == pytest.approx(found.other_reads, rel=0.25)
    # What dominates a sample has no equal.
    found = named_first(reader, with_values(attributions, size))
    assert found.reads > 1.5 * found.other_reads


def test_only_attributions_of_asvs_are_judged(explained):
    reader, attributions = explained
    with pytest.raises(ValueError, match="of ASVs"):
        named_first(reader, replace(attributions, features=replace(attributions.features, kind="clade")))
    with pytest.raises(ValueError, match="other ASVs"):
        named_first(Presence(reader.counts[::-1], reader.numbers), attributions)


def test_importances_of_one_model_agree_and_of_others_do_not(explained):
    reader, attributions = explained
    first = summarise(attributions)
    half = [summarise(by_deletion(reader, attributions.features, rows)) for rows in (np.arange(25), np.arange(25, 50))]
    same, itself = agreement(*half, reader.counts), agreement(first, first, reader.counts)
    assert min(same.spread, same.beside_amount, same.signed) > 0.8
    assert (itself.spread, itself.beside_amount, itself.signed) == pytest.approx((1, 1, 1))
    some = np.arange(M) % 3 == 0
    assert agreement(first, first, reader.counts, some).features == some.sum()
    others = []
    for numbers in np.random.default_rng(5).permuted(np.tile(reader.numbers, (20, 1)), axis=1):
        found = by_deletion(Presence(reader.counts, numbers), attributions.features, np.arange(50))
        others.append(agreement(first, summarise(found), reader.counts))
    assert abs(np.mean([other.beside_amount for other in others])) < 0.1
    assert abs(np.mean([other.signed for other in others])) < 0.1


def test_the_mean_of_agreements_is_of_those_that_are_known():
    found = mean_of([Agreement(0.5, np.nan, -0.2, 9), Agreement(0.1, np.nan, np.nan, 9)])
    assert (found.spread, found.signed, found.features) == (pytest.approx(0.3), -0.2, 9)
    assert np.isnan(found.beside_amount)


def test_what_any_model_says_of_amounts_is_no_agreement(explained):
    reader, attributions = explained
    found = []
    for seed in range(12):
        numbers = np.random.default_rng(seed).choice([-1.0, 1.0], M)
        importance = summarise(by_deletion(Presence(reader.counts, numbers), attributions.features, np.arange(50)))
        found.append((importance, numbers))
    pairs = [agreement(found[0][0], other, reader.counts) for other, _ in found[1:]]
    assert np.mean([pair.spread for pair in pairs]) > 0.6
    assert abs(np.mean([pair.beside_amount for pair in pairs])) < 0.15
