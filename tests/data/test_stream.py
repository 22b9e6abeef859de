"""A table on disk is the table in memory, read block by block."""

import gzip
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy import sparse

from aam.data import stream
from aam.data.dataset import Collate, SampleDataset, make_loader
from aam.data.phylogeny import Phylogeny
from aam.data.sampler import EpochSampler
from aam.data.simulate import simulate, write_simulation
from aam.data.simulate_large import simulate_to_disk
from aam.data.stream import StreamedCounts, asvs_per_sample, open_tables, shuffled, stretches, used_columns
from aam.data.table import FeatureTable, put_together, read_table
from aam.distances.on_tree import require_reads_on_tree
from aam.errors import InputError
from aam.options import ReadOptions


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two tables that share ASVs; the samples of the second have other names."""
    community = simulate(0, n_samples=40, n_asvs=50, length=40)
    first, chosen = community.table, np.arange(20)[::-1]
    second = FeatureTable(first.counts[chosen], tuple(f"T{row}" for row in chosen), first.feature_ids).drop_empty_features()
    made = [tmp_path_factory.mktemp("table") for _ in range(2)]
    for folder, table in zip(made, (first, second), strict=True):
        write_simulation(replace(community, table=table), folder)
    return made


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(stream, "BLOCK", 7)
    monkeypatch.setattr(stream, "MIXED_BLOCKS", 2)


def test_rows_are_those_of_the_table_in_memory(folders):
    paths = [folder / "table.biom" for folder in folders]
    streamed, whole = open_tables(paths), put_together([read_table(path) for path in paths])
    assert isinstance(streamed.counts, StreamedCounts)
    assert (streamed.sample_ids, streamed.feature_ids) == (whole.sample_ids, whole.feature_ids)
    assert streamed.counts.shape == whole.counts.shape == (60, 50)
    np.testing.assert_array_equal(streamed.depths, whole.depths)
    np.testing.assert_array_equal(asvs_per_sample(streamed.counts), asvs_per_sample(whole.counts))
    for rows in ([0], [59], [3, 50, 2, 39, 40], np.random.default_rng(0).permutation(60)):
        same = streamed.counts[rows]
        np.testing.assert_array_equal(same.toarray(), whole.counts[rows].toarray())
        assert same.has_sorted_indices and same.dtype == np.int64
    rows = np.array([5, 45, 58])
    np.testing.assert_array_equal(used_columns(streamed.counts, rows), used_columns(whole.counts, rows))
    few = [whole.sample_ids[row] for row in (50, 1, 30)]
    chosen = streamed.select_samples(few).counts[[0, 1, 2]]
    np.testing.assert_array_equal(chosen.toarray(), whole.select_samples(few).counts.toarray())


def test_draws_are_the_same(folders):
    reads = ReadOptions(sampling_depth=50, rarefy_each_epoch=True, token_limit=5, asv_sampling="random")
    path = folders[0] / "table.biom"
    datasets = [SampleDataset(table, reads, seed=3) for table in (read_table(path), open_tables([path]))]
    for key in [(0, 0), (0, 39), (2, 17)]:
        one, two = (dataset[key] for dataset in datasets)
        np.testing.assert_array_equal(one.columns, two.columns)
        np.testing.assert_array_equal(one.counts, two.counts)


def test_no_more_blocks_are_kept_than_samples_are_mixed_among(folders):
    counts = open_tables([folder / "table.biom" for folder in folders]).counts
    read = []
    for row in shuffled(counts, np.arange(60), np.random.default_rng(0)):
        before = set(counts.kept)
        counts[[row]]
        read += set(counts.kept) - before
        assert len(counts.kept) <= 4
    # Each block once.
    assert len(read) == len(set(read)) == 9


def test_an_epoch_has_every_sample_once_in_an_order_of_its_own(folders):
    counts = open_tables([folder / "table.biom" for folder in folders]).counts
    rows = np.arange(3, 57)
    sampler = EpochSampler(rows, 1, lambda chosen, rng: shuffled(counts, chosen, rng))
    orders = [[row for _, row in sampler.keys(epoch)] for epoch in range(5)]
    assert all(sorted(order) == rows.tolist() for order in orders)
    assert len({tuple(order) for order in orders}) == 5
    assert orders[2] == [row for _, row in sampler.keys(2)]
    # Within the first two blocks of an epoch, samples of both are mixed.
    firsts = [np.diff(np.array(order[:12]) // 7) for order in orders]
    assert sum((np.abs(first) > 0).sum() for first in firsts) > 5
    assert stretches(counts).max() == 4


def test_samples_off_the_tree_are_named(folders):
    table = open_tables([folders[0] / "table.biom"])

    kept = np.setdiff1d(np.arange(50), table.counts[[4]].indices)
    tips = [(0, table.feature_ids[column], 1.0) for column in kept]
    phylogeny = Phylogeny.from_nodes([*tips, (len(tips), None, None)], table.feature_ids)
    with pytest.raises(InputError, match=r"samples have no ASV in the tree: .*S00004"):
        require_reads_on_tree(table.counts, phylogeny, table.sample_ids)


def broken(folder, path, change):
    path.write_bytes((folder / "table.biom").read_bytes())
    with h5py.File(path, "r+") as handle:
        change(handle)
    return path


def put(name, value):
    def change(handle):
        handle[name][3] = value

    return change


def cut(handle):
    data = handle["sample/matrix/data"][:-1]
    del handle["sample/matrix/data"]
    handle["sample/matrix/data"] = data


def of_kind(name, kind):
    def change(handle):
        values = handle[name][:].astype(kind)
        del handle[name]
        handle[name] = values

    return change


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (put("sample/matrix/data", 2.5), "sample S00000, feature .*: 2.5 is not a whole number"),
        (put("sample/matrix/data", np.nan), "is not a number"),
        (put("sample/matrix/indices", 50), "counts of features that are not there"),
        (put("sample/matrix/indices", -1), "counts of features that are not there"),
        (put("sample/matrix/indptr", 10**6), "its parts do not fit together"),
        (of_kind("sample/matrix/indices", float), "its counts or their places are no numbers"),
        (of_kind("sample/matrix/indptr", float), "its counts or their places are no numbers"),
        (of_kind("sample/matrix/data", complex), "its counts or their places are no numbers"),
        (put("sample/ids", b"S00000"), "duplicate sample ids: S00000"),
        (cut, "its parts do not fit together"),
        (lambda handle: handle.pop("sample/matrix/indptr"), "broken BIOM table .*indptr"),
    ],
)
def test_broken_tables_are_refused(folders, tmp_path, change, fault):
    with pytest.raises(InputError, match=fault):
        open_tables([broken(folders[0], tmp_path / "table.biom", change)])


def test_what_cannot_be_streamed(folders, tmp_path):
    (tmp_path / "table.tsv").write_text("#OTU ID\tS1\nACGT\t3\n")
    with pytest.raises(InputError, match=r"table.tsv: `stream` needs BIOM 2.1"):
        open_tables([tmp_path / "table.tsv"])
    with h5py.File(tmp_path / "cells.h5ad", "w") as handle:
        handle["X"], handle["obs/_index"], handle["var/_index"] = np.zeros((1, 1)), [b"a"], [b"g"]
    with pytest.raises(InputError, match=r"cells.h5ad: an AnnData file \(.h5ad\), not a feature table in BIOM 2.1"):
        open_tables([tmp_path / "cells.h5ad"])
    (tmp_path / "table.biom.gz").write_bytes(gzip.compress((folders[0] / "table.biom").read_bytes()))
    with pytest.raises(InputError, match=r"table.biom.gz: is compressed, .*gunzip it first"):
        open_tables([tmp_path / "table.biom.gz"])
    with pytest.raises(InputError, match="duplicate sample ids: S00000"):
        open_tables([folders[0] / "table.biom"] * 2)
    with pytest.raises(InputError, match="duplicate sample ids: S00000"):
        put_together([read_table(folders[0] / "table.biom")] * 2)


def test_empty_samples_are_left_out_when_asked(tmp_path):
    table = FeatureTable(sparse.csr_array(np.array([[1, 0], [0, 0], [2, 3]])), ("a", "b", "c"), ("ACGT", "ACGA"))
    write_simulation(simulate(0, n_samples=8, n_asvs=20, length=40), tmp_path)
    from biom import Table

    with h5py.File(tmp_path / "table.biom", "w") as handle:
        Table(sparse.csr_matrix(table.counts.T), table.feature_ids, table.sample_ids).to_hdf5(handle, "test")
    with pytest.raises(InputError, match="1 of 3 samples has no reads: b"):
        open_tables([tmp_path / "table.biom"])
    kept = open_tables([tmp_path / "table.biom"], ignore_missing=True)
    assert kept.sample_ids == ("a", "c")
    np.testing.assert_array_equal(kept.counts[[1, 0]].toarray(), [[2, 3], [1, 0]])


def test_a_table_that_vanishes_or_is_replaced_is_named(folders, tmp_path):
    path = tmp_path / "table.biom"
    path.write_bytes((folders[0] / "table.biom").read_bytes())
    counts = open_tables([path]).counts
    simulate_to_disk(tmp_path / "other", 3, 8, 20, 30)
    path.write_bytes((tmp_path / "other" / "table.biom").read_bytes())
    with pytest.raises(InputError, match=r"table.biom: cannot be read any more .*changed or removed"):
        counts[[3]]
    path.unlink()
    with pytest.raises(InputError, match=r"table.biom: cannot be read any more .*changed or removed"):
        counts[[3]]


def test_what_goes_wrong_in_a_worker_is_said_as_it_is_without_one(folders, tmp_path):
    path = tmp_path / "table.biom"
    path.write_bytes((folders[0] / "table.biom").read_bytes())
    table = open_tables([path])
    path.unlink()
    tokens = np.ones((len(table.feature_ids), 2), dtype=np.uint8)
    loader = make_loader(SampleDataset(table, ReadOptions(), 0), Collate(tokens), np.arange(8), 4, shuffle=False, workers=1)
    with pytest.raises(InputError, match=r"table.biom: cannot be read any more") as caught:
        list(loader)
    assert "\n" not in str(caught.value)


LEAVES = """
import numpy as np
from aam.options import ReadOptions
from aam.data.dataset import Collate, SampleDataset, make_loader
from aam.data.simulate import simulate

table = simulate(0, n_samples=40, n_asvs=20, length=30).table
tokens = np.ones((len(table.feature_ids), 2), dtype=np.uint8)
batches = iter(make_loader(SampleDataset(table, ReadOptions(), 0), Collate(tokens), np.arange(40), 2, shuffle=False, workers=2))
next(batches)
raise SystemExit(3)
"""


def test_a_program_that_ends_in_mid_epoch_does_not_wait_for_its_workers():
    assert subprocess.run([sys.executable, "-c", LEAVES], timeout=60, check=False).returncode == 3
