"""Batches packed by what fits: nothing is lost, nothing is doubled, nothing grows too large."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aam.data.dataset import Collate, SampleDataset, make_loader
from aam.data.sampler import EpochSampler, PackedBatchSampler, Packing
from aam.data.stream import permuted
from aam.options import ReadOptions
from tests.support.tables import table_of, tokens_of


@settings(deadline=None)
@given(
    samples=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=20, unique=True), min_size=1, max_size=25),
    batch_size=st.integers(1, 9),
    most=st.integers(1, 40),
    seed=st.integers(0, 5),
)
def test_every_sample_is_in_one_batch_that_fits_or_is_its_own(samples, batch_size, most, seed):
    columns = [np.array(sample) for sample in samples]

    def fits(distinct, number, longest):
        return distinct + number * longest <= 2 * most

    sampler = EpochSampler(np.arange(len(samples)), seed, permuted)
    packed = PackedBatchSampler(sampler, batch_size, Packing(fits, columns, 31, epochs=4))
    for epoch in range(4):
        sampler.set_epoch(epoch)
        batches = list(packed)
        # Lightning counts the batches once for all epochs.
        assert len(batches) == len(packed)
        assert [key for batch in batches for key in batch] == list(sampler)
    batches = packed.pack(list(sampler))
    for number, batch in enumerate(batches):
        rows = [row for _, row in batch]

        def size(rows):
            return len(set().union(*(samples[row] for row in rows))), len(rows), max(len(samples[row]) for row in rows)

        assert len(batch) == 1 or (len(batch) <= batch_size and fits(*size(rows)))
        # As full as it may be: the next sample was left for the next batch for a reason.
        if number + 1 < len(batches):
            grown = [*rows, batches[number + 1][0][1]]
            assert len(grown) > batch_size or not fits(*size(grown))


def test_a_loader_packs_by_the_reads_before_rarefaction_and_the_limit_of_asvs():
    table = table_of()
    sizes = np.diff(table.counts.indptr)
    seen = []

    def fits(distinct, number, longest):
        seen.append((distinct, number, longest))
        return number <= 2

    reads = ReadOptions(sampling_depth=10, rarefy_each_epoch=True)
    loader = make_loader(SampleDataset(table, reads, 0), Collate(tokens_of()), np.arange(7), 4, shuffle=False, fits=fits)
    assert [len(batch.counts) for batch in loader] == [2, 2, 2, 1]
    assert max(longest for _, _, longest in seen) == sizes.max()
    limited = SampleDataset(table, ReadOptions(token_limit=3), 0)
    for row, columns in enumerate(limited.most_columns()):
        assert set(columns) == set(limited[0, row].columns)
