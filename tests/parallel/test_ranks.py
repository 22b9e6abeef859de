"""How samples are shared out among ranks: pure functions, for any number of them."""

from hypothesis import given
from hypothesis import strategies as st

from aam.data.sampler import part_of, shared_batches


@given(st.integers(1, 300), st.integers(1, 20), st.integers(1, 9))
def test_every_sample_is_with_one_rank_and_none_goes_without(samples, batch_size, ranks):
    seen = []
    batches = shared_batches(samples, batch_size, ranks)
    for start, end in batches:
        parts = [range(start, end)[part_of(end - start, rank, ranks)] for rank in range(ranks)]
        seen += [place for part in parts for place in part]
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        # A remainder smaller than the ranks joined it.
        assert max(sizes) <= batch_size + (end == samples)
        assert min(sizes) >= 1 or samples < ranks
    assert seen == list(range(samples))


@given(st.integers(1, 300), st.integers(1, 20))
def test_one_rank_takes_batches_as_they_come(samples, batch_size):
    assert shared_batches(samples, batch_size, 1) == [
        (start, min(start + batch_size, samples)) for start in range(0, samples, batch_size)
    ]
