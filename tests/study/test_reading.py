"""Studies from files, and two of them as one."""

import numpy as np
import pytest

from aam.data.sequences import tokenize
from aam.data.simulate import simulate
from aam.data.table import FeatureTable
from aam.errors import InputError
from aam.study.reading import join
from aam.study.study import Study


def halves(table):
    """Tables of 40 and 20 samples; the second has its ASVs in another order, and lacks some of them."""
    rows, columns = np.arange(40, 60), np.random.default_rng(0).permutation(len(table.feature_ids))
    first = FeatureTable(table.counts[:40], table.sample_ids[:40], table.feature_ids).drop_empty_features()
    second = FeatureTable(table.counts[rows][:, columns], table.sample_ids[40:], tuple(table.feature_ids[c] for c in columns))
    return first, second.drop_empty_features()


def study_of(table):
    sequences = table.feature_ids
    return Study(table, sequences, tokenize(sequences, sequences, 150), None)


def test_joined_tables_are_the_table_that_was_parted():
    table = simulate(0, n_samples=60, n_asvs=60, length=40).table
    first, second = halves(table)
    joined = join(study_of(first), study_of(second))
    assert joined.table.sample_ids == table.sample_ids
    place = {sequence: column for column, sequence in enumerate(table.feature_ids)}
    there = [place[sequence] for sequence in joined.sequences]
    np.testing.assert_array_equal(joined.table.counts.toarray(), table.counts[:, there].toarray())
    np.testing.assert_array_equal(joined.asv_tokens, tokenize(joined.sequences, joined.sequences, 150))
    assert joined.table.counts.has_sorted_indices
    with pytest.raises(InputError, match="20 samples are in `table` too"):
        join(study_of(table), study_of(second))
