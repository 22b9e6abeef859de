"""What is written as it is drawn is what the usual readers read."""

import biom
import numpy as np

from aam.data.newick import nodes_of, read_nodes
from aam.data.simulate_large import simulate_to_disk
from aam.data.stream import open_tables
from aam.data.table import read_table
from tests.support.reference import read_tree


def test_the_files_are_read_by_others(tmp_path):
    simulate_to_disk(tmp_path, 0, n_samples=2100, n_asvs=60, length=40)
    theirs = biom.load_table(str(tmp_path / "table.biom"))
    table, streamed = read_table(tmp_path / "table.biom"), open_tables([tmp_path / "table.biom"])
    assert table.sample_ids == streamed.sample_ids == tuple(theirs.ids())
    assert table.feature_ids == streamed.feature_ids == tuple(theirs.ids("observation"))
    np.testing.assert_array_equal(table.counts.toarray(), theirs.matrix_data.toarray().T)
    rows = np.array([0, 1023, 1024, 2099])
    np.testing.assert_array_equal(streamed.counts[rows].toarray(), table.counts[rows].toarray())
    tree = read_tree(tmp_path / "tree.nwk")
    assert list(read_nodes(tmp_path / "tree.nwk")) == list(nodes_of(tree))
    assert {tip.name for tip in tree.tips()} == set(table.feature_ids)
    assert len(table.feature_ids) == 60
