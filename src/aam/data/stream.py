"""Samples read from disk when they are wanted, so that a table may be larger than memory.

BIOM 2.1 (HDF5) holds its counts sample by sample too (``sample/matrix``), so a block of neighbours is one slice of the file. Blocks
that were read last are kept; what visits all samples does so in an order that stays within a few blocks for a while
(`stretches`), so each is read about once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np
from scipy import sparse

from aam.data.biom import BiomIndex, open_hdf5, read_samples
from aam.data.files import GZIP_SIGNATURE, HDF5_SIGNATURE
from aam.data.ids import check_ids, read_ids
from aam.data.table import FeatureTable, check_counts, check_once_each, keep_samples
from aam.errors import InputError, one_line
from aam.progress import track

# Neighbours that are read at once, and blocks that samples are mixed among.
BLOCK, MIXED_BLOCKS = 256, 32


@dataclass(frozen=True, eq=False)
class TableFile:
    """One table on disk, what is known of it, and the column of each of its features, int64."""

    path: Path
    index: BiomIndex
    columns: np.ndarray

    @property
    def samples(self) -> int:
        return len(self.index.sample_ids)

    def read(self, first: int, end: int, n_columns: int) -> sparse.csr_array:
        """Samples `first` to before `end` of the file, float64 [samples, n_columns], columns sorted."""
        try:
            with h5py.File(self.path) as handle:
                part = read_samples(handle, self.index, first, end)
        except (OSError, LookupError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(f"{self.path}: cannot be read any more ({one_line(error)}); was it changed or removed?") from error
        whole = sparse.csr_array((part.data, self.columns[part.indices], part.indptr), shape=(end - first, n_columns))
        whole.sort_indices()
        return whole


@dataclass(frozen=True, eq=False)
class StreamedCounts:
    """Rows of tables on disk that are read like those of a CSR int64 [N, n_columns].

    rows: int64 [N], number of each sample over all files, one file after the other; depths: int64 [N], its reads.
    """

    files: Sequence[TableFile]
    n_columns: int
    rows: np.ndarray
    depths: np.ndarray
    kept: OrderedDict[int, sparse.csr_array] = field(default_factory=OrderedDict, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), self.n_columns

    def select(self, chosen: np.ndarray) -> StreamedCounts:
        """Other rows in another order; nothing is read."""
        return StreamedCounts(self.files, self.n_columns, self.rows[chosen], self.depths[chosen], self.kept)

    def __getitem__(self, chosen: Sequence[int] | np.ndarray) -> sparse.csr_array:
        """Some rows, in the order given."""
        blocks, within = np.divmod(self.rows[np.asarray(chosen, dtype=np.int64)], BLOCK)
        order = np.argsort(blocks, kind="stable")
        parts = [self._block(int(block))[within[order][start:end]] for block, start, end in zip(*_runs(blocks[order]), strict=True)]
        nothing = sparse.csr_array((0, self.n_columns), dtype=np.int64)
        whole = sparse.csr_array(sparse.vstack([nothing, *parts], format="csr")) if len(parts) != 1 else parts[0]
        return whole[np.argsort(order, kind="stable")] if len(order) > 1 else whole

    @property
    def sizes(self) -> np.ndarray:
        """ASVs of each sample, int64 [N]."""
        sizes = np.concatenate([np.diff(file.index.starts) for file in self.files])
        return np.asarray(sizes[self.rows])

    def _block(self, number: int) -> sparse.csr_array:
        if number in self.kept:
            self.kept.move_to_end(number)
            return self.kept[number]
        parts, first, last = [], number * BLOCK, (number + 1) * BLOCK
        for file in self.files:
            start, end = max(first, 0), min(last, file.samples)
            if start < end:
                parts.append(file.read(start, end, self.n_columns))
            first, last = first - file.samples, last - file.samples
        block = sparse.csr_array(sparse.vstack(parts, format="csr")).astype(np.int64)
        block.eliminate_zeros()
        self.kept[number] = block
        while len(self.kept) > 2 * MIXED_BLOCKS:
            self.kept.popitem(last=False)
        return block


Counts = sparse.csr_array | StreamedCounts


@dataclass(frozen=True, eq=False)
class StreamedTable(FeatureTable):
    """A table of which only ids and sizes are in memory."""

    counts: StreamedCounts  # type: ignore[assignment]

    @property
    def depths(self) -> np.ndarray:
        return self.counts.depths

    def select_samples(self, ids: Sequence[str]) -> StreamedTable:
        return StreamedTable(self.counts.select(self.rows_of(ids)), tuple(ids), self.feature_ids)


def _runs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted values -> the distinct ones, and where each begins and ends."""
    distinct, starts = np.unique(values, return_index=True)
    return distinct, starts, np.append(starts, len(values))[1:]


def asvs_per_sample(counts: Counts) -> np.ndarray:
    """Int64 [N]."""
    return counts.sizes if isinstance(counts, StreamedCounts) else np.diff(counts.indptr)


def stretches(counts: Counts, order: np.ndarray | None = None) -> np.ndarray:
    """Of each row the number of the stretch in which it is to be visited, int64 [N]; one stretch for a table in memory.

    order: of the blocks, int64, which are otherwise taken as they come.
    """
    if not isinstance(counts, StreamedCounts):
        return np.zeros(counts.shape[0], dtype=np.int64)
    blocks = counts.rows // BLOCK
    return (blocks if order is None else order[blocks]) // MIXED_BLOCKS


def permuted(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The rows of a table in memory in a random order."""
    return rng.permutation(rows)


def shuffled(counts: Counts, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The rows in a random order; of a large table on disk, blocks in a random order and samples mixed within some of them."""
    blocks = int(counts.rows.max()) // BLOCK + 1 if isinstance(counts, StreamedCounts) else 1
    if blocks <= MIXED_BLOCKS:
        return permuted(rows, rng)
    order = rng.permutation(blocks)
    return rows[np.lexsort((rng.random(len(rows)), stretches(counts, order)[rows]))]


def used_columns(counts: Counts, rows: np.ndarray) -> np.ndarray:
    """Columns that the samples `rows` have reads in, sorted."""
    used = np.zeros(counts.shape[1], dtype=bool)
    for _, part in by_blocks(counts, rows, "Reading samples"):
        used[part.indices] = True
    return np.flatnonzero(used)


def by_blocks(counts: Counts, rows: np.ndarray, what: str) -> Iterator[tuple[np.ndarray, sparse.csr_array]]:
    """The samples `rows`, on disk some at a time in the order of the file, with a progress bar: places in `rows`, and reads."""
    if not isinstance(counts, StreamedCounts):
        yield np.arange(len(rows)), counts[rows]
        return
    order = np.argsort(counts.rows[rows], kind="stable")
    _, starts, ends = _runs(counts.rows[rows][order] // BLOCK)
    for start, end in track(zip(starts, ends, strict=True), what, len(starts)):
        yield order[start:end], counts[rows[order[start:end]]]


def open_tables(paths: Sequence[Path], ignore_missing: bool = False) -> FeatureTable:
    """Tables of different samples on disk as one; a feature is the same where its id is. All of it is read once, to be checked.

    InputError for a file that is no BIOM 2.1, and as for `read_table`.
    """
    feature_column: dict[str, int] = {}
    sample_ids: list[str] = []
    files = []
    for path in paths:
        index = _open(path)
        columns = np.array([feature_column.setdefault(name, len(feature_column)) for name in index.feature_ids], dtype=np.int64)
        files.append(TableFile(path, index, columns))
        sample_ids += index.sample_ids
    check_ids(", ".join(map(str, paths)), "sample", sample_ids)
    feature_ids = tuple(feature_column)
    depths = np.zeros(len(sample_ids), dtype=np.int64)
    pieces = [(file, first) for file in files for first in range(0, file.samples, BLOCK)]
    done = 0
    for file, first in track(pieces, "Checking samples", len(pieces)):
        part = file.read(first, min(first + BLOCK, file.samples), len(feature_ids))
        end = done + part.shape[0]
        check_counts(sparse.coo_array(part.T), file.path, feature_ids, sample_ids[done:end])
        check_once_each(part, file.path, feature_ids, sample_ids[done:end])
        depths[done:end] = part.sum(axis=1)
        done = end
    counts = StreamedCounts(files, len(feature_ids), np.arange(len(depths)), depths)
    table = StreamedTable(counts, tuple(sample_ids), feature_ids)
    return keep_samples(table, depths > 0, "have no reads", ignore_missing)


def _open(path: Path) -> BiomIndex:
    try:
        with path.open("rb") as start:
            signature = start.read(len(HDF5_SIGNATURE))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if signature.startswith(GZIP_SIGNATURE):
        raise InputError(f"{path}: is compressed, and `stream` reads samples from their places in a file; gunzip it first")
    if signature != HDF5_SIGNATURE:
        raise InputError(f"{path}: `stream` needs BIOM 2.1 (HDF5); convert it with biom convert --to-hdf5, or unzip the .qza")
    index = open_hdf5(path)
    sample_ids = read_ids(str(path), "sample", index.sample_ids)
    return replace(index, sample_ids=sample_ids, feature_ids=read_ids(str(path), "feature", index.feature_ids))
