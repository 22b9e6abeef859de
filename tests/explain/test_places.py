"""The ASVs of some samples, one after the other."""

import numpy as np
from scipy import sparse

from aam.explain.places import Places

COUNTS = sparse.csr_array(np.array([[0, 3, 1], [0, 0, 0], [2, 0, 4]]))


def test_places_are_the_asvs_of_samples_that_may_repeat():
    found = Places.of(COUNTS, np.array([2, 0, 1, 2]))
    assert found.sample.tolist() == [0, 0, 1, 1, 3, 3]
    assert found.column.tolist() == [0, 2, 1, 2, 0, 2]
    assert found.count.tolist() == [2, 4, 3, 1, 2, 4]
    assert found.size.tolist() == [2, 2, 0, 2]


def test_a_table_of_places_holds_those_that_are_kept():
    found = Places.of(COUNTS, np.array([2, 0, 1, 2]))
    kept = np.array([True, False, False, False, True, True])
    table = found.only(kept)
    assert table.dtype == COUNTS.dtype
    assert table.toarray().tolist() == [[2, 0, 0], [0, 0, 0], [0, 0, 0], [2, 0, 4]]
    assert (found.only(np.ones(6, dtype=bool)) != COUNTS[[2, 0, 1, 2]]).nnz == 0
