import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aam.data.dataset import Batch, Collate, EpochSampler, SampleDataset, make_loader
from aam.data.stream import permuted
from aam.options import ReadOptions
from tests.support.tables import table_of, tokens_of


def dense(batch: Batch, asvs=12):
    """The batch's counts as samples x table columns."""
    out = torch.zeros(len(batch.counts), asvs)
    return out.scatter_add_(1, batch.columns, batch.counts)


@settings(deadline=None)
@given(seed=st.integers(0, 100), rows=st.lists(st.integers(0, 6), min_size=1, max_size=7))
def test_a_batch_holds_the_counts_and_each_distinct_asv_once(seed, rows):
    table, tokens = table_of(seed), tokens_of()
    dataset = SampleDataset(table, ReadOptions(), seed=0)
    batch = Collate(tokens)([dataset[0, row] for row in rows])
    expected = table.counts.toarray()[rows]
    assert np.array_equal(dense(batch).numpy(), expected)
    assert np.array_equal(batch.asv_columns.numpy(), np.flatnonzero(expected.any(axis=0)))
    assert np.array_equal(batch.asv_tokens.numpy(), tokens[batch.asv_columns.numpy()])
    assert batch.sample_index.tolist() == rows


def test_tokens_are_cut_to_the_longest_sequence_of_the_batch():
    tokens = tokens_of()
    tokens[:, 6:] = 0
    tokens[3, 6] = 1
    dataset = SampleDataset(table_of(), ReadOptions(), seed=0)
    with_longest = [row for row in range(7) if dataset.counts[[row]].toarray()[0, 3] > 0]
    without = [row for row in range(7) if row not in with_longest]
    assert Collate(tokens)([dataset[0, with_longest[0]]]).asv_tokens.shape[1] == 7
    assert Collate(tokens)([dataset[0, without[0]]]).asv_tokens.shape[1] == 6


def test_targets_and_covariates_go_with_their_sample():
    dataset = SampleDataset(table_of(), ReadOptions(), seed=0)
    collate = Collate(tokens_of(), np.arange(7, dtype=np.float32), np.arange(14).reshape(7, 2))
    batch = collate([dataset[0, 5], dataset[0, 2]]).to("cpu")
    assert batch.target.tolist() == [5, 2]
    assert batch.design.tolist() == [[10, 11], [4, 5]]


def test_a_fresh_draw_in_each_epoch_or_the_same_one():
    table = table_of()
    once = SampleDataset(table, ReadOptions(sampling_depth=10), seed=0)
    fresh = SampleDataset(table, ReadOptions(sampling_depth=10, rarefy_each_epoch=True), seed=0)
    collate = Collate(tokens_of())

    def draws(dataset, epoch):
        return dense(collate([dataset[epoch, row] for row in range(7)])).numpy()

    assert (draws(fresh, 3).sum(axis=1) == 10).all()
    assert (draws(fresh, 3) <= table.counts.toarray()).all()
    assert np.array_equal(draws(fresh, 3), draws(fresh, 3))
    assert not np.array_equal(draws(fresh, 3), draws(fresh, 4))
    assert np.array_equal(draws(once, 3), draws(once, 4))


def test_the_draw_of_a_sample_does_not_depend_on_its_row():
    table = table_of()
    order = [4, 2, 6, 0, 1, 3, 5]
    shuffled = table.select_samples([f"s{row}" for row in order])
    first = SampleDataset(table, ReadOptions(sampling_depth=10), seed=3)
    second = SampleDataset(shuffled, ReadOptions(sampling_depth=10), seed=3)
    for row, source in enumerate(order):
        assert np.array_equal(second[0, row].counts, first[0, source].counts)
        assert np.array_equal(second[0, row].columns, first[0, source].columns)


@pytest.mark.parametrize("sampling", ["abundant", "random"])
def test_token_limit(sampling):
    dataset = SampleDataset(table_of(), ReadOptions(token_limit=3, asv_sampling=sampling), seed=0)
    for row in range(7):
        draw, counts = dataset[0, row], dataset.counts[[row]].toarray()[0]
        assert len(draw.columns) == min(3, np.count_nonzero(counts))
        assert np.array_equal(draw.counts, counts[draw.columns])
        if sampling == "abundant":
            assert draw.counts.min() >= np.sort(counts)[-3]


def test_every_row_once_per_epoch_in_an_order_of_its_own():
    rows = np.array([3, 5, 6, 9, 11])
    sampler = EpochSampler(rows, 1, permuted)
    orders = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert {key[0] for key in keys} == {epoch}
        orders.append([row for _, row in keys])
        assert sorted(orders[-1]) == rows.tolist()
    assert len({tuple(order) for order in orders}) > 1
    assert [row for _, row in EpochSampler(rows, 1, None)] == rows.tolist()


def test_no_sample_is_dropped_from_an_odd_last_batch():
    dataset = SampleDataset(table_of(), ReadOptions(), seed=0)
    loader = make_loader(dataset, Collate(tokens_of()), np.arange(7), batch_size=3, shuffle=False)
    assert [len(batch.counts) for batch in loader] == [3, 3, 1]
