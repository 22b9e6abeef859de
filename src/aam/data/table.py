"""Feature tables: reading them, checking them once, rarefying."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from aam.data.biom import read_hdf5, read_json
from aam.data.files import HDF5_SIGNATURE, ZIP_SIGNATURE, decode, read_file, read_qza
from aam.data.h5ad import is_h5ad, read_counts
from aam.data.ids import check_ids, read_ids
from aam.data.kinds import kind_of, kind_of_undecoded
from aam.data.text_table import NOT_A_TABLE, read_text
from aam.errors import InputError, first_few, path_of, shown, some_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Reads of each ASV in each sample.

    counts: CSR int64 [N samples, M ASVs], indices sorted, no stored zeros; sample_ids: N, feature_ids: M, both unique.

    Examples
    --------
    >>> import aam
    >>> from scipy import sparse
    >>> table = aam.FeatureTable(sparse.csr_array([[3, 1, 0], [0, 2, 3]]), ("a", "b"), ("asv1", "asv2", "asv3"))
    >>> table.depths
    array([4, 5])
    >>> table.select_samples(["b"]).drop_empty_features().feature_ids
    ('asv2', 'asv3')

    """

    counts: sparse.csr_array
    sample_ids: tuple[str, ...]
    feature_ids: tuple[str, ...]

    @cached_property
    def depths(self) -> np.ndarray:
        """Reads of every sample, int64 [N]."""
        return np.asarray(self.counts.sum(axis=1), dtype=np.int64)

    def rows_of(self, ids: Sequence[str]) -> np.ndarray:
        """Rows of the samples named, int64. InputError for an id that the table lacks."""
        rows = {sample_id: row for row, sample_id in enumerate(self.sample_ids)}
        if unknown := [sample_id for sample_id in ids if sample_id not in rows]:
            raise InputError(f"{some_of(len(unknown), len(ids), 'are not in the table')}: {first_few(unknown)}")
        return np.array([rows[sample_id] for sample_id in ids], dtype=np.int64)

    def select_samples(self, ids: Sequence[str]) -> FeatureTable:
        """Take the samples named, in the order given, with all ASVs."""
        return FeatureTable(self.counts[self.rows_of(ids)], tuple(ids), self.feature_ids)

    def drop_empty_features(self) -> FeatureTable:
        """Leave out ASVs without reads."""
        kept = np.unique(self.counts.indices)
        return FeatureTable(self.counts[:, kept], self.sample_ids, tuple(self.feature_ids[column] for column in kept))


def read_table(path: str | Path, ignore_missing: bool = False) -> FeatureTable:
    """Read counts from BIOM 2.1 (HDF5), BIOM 1 (JSON), a QIIME 2 .qza, AnnData (.h5ad) or text, told apart by content, and check
    them.

    Text is TSV as ``biom convert --to-tsv`` writes it, CSV, what R writes, or a shared file of mothur; rows are features or samples
    (see `text_table`). Any may be a .gz. IDs lose blanks at their ends. Features without reads are kept. Samples without reads are
    an error or, with `ignore_missing`, left out with a warning.

    Raises InputError for a file that is missing, broken or no table, for an empty table, for duplicate ids, and for a value that
    is not a count.

    Examples
    --------
    >>> import aam
    >>> table = aam.read_table("community/table.biom")
    >>> len(table.sample_ids), len(table.feature_ids)
    (60, 60)

    """
    path = path_of("path", path)
    matrix, written_features, written_samples = _read_matrix(path)
    sample_ids = read_ids(str(path), "sample", written_samples)
    feature_ids = read_ids(str(path), "feature", written_features)
    check_counts(sparse.coo_array(matrix), path, feature_ids, sample_ids)
    counts = sparse.csr_array(matrix.T)
    counts.sort_indices()
    check_once_each(counts, path, feature_ids, sample_ids)
    counts = counts.astype(np.int64)
    counts.eliminate_zeros()
    table = FeatureTable(counts, sample_ids, feature_ids)
    return keep_samples(table, table.depths > 0, "have no reads", ignore_missing)


def put_together(tables: Sequence[FeatureTable]) -> FeatureTable:
    """The samples of several tables, one after the other; ASVs are the same where their ids are. InputError for a sample twice."""
    if len(tables) == 1:
        return tables[0]
    sample_ids = [name for table in tables for name in table.sample_ids]
    check_ids("`more_tables`", "sample", sample_ids)
    column: dict[str, int] = {}
    there = [[column.setdefault(name, len(column)) for name in table.feature_ids] for table in tables]
    parts = []
    for table, columns in zip(tables, there, strict=True):
        counts = table.counts
        moved = (counts.data, np.array(columns, dtype=np.int64)[counts.indices], counts.indptr)
        parts.append(sparse.csr_array(moved, shape=(counts.shape[0], len(column))))
    whole = sparse.csr_array(sparse.vstack(parts, format="csr"))
    whole.sort_indices()
    return FeatureTable(whole, tuple(sample_ids), tuple(column))


def _read_matrix(path: Path) -> tuple[Any, Sequence[str], Sequence[str]]:
    """Sparse float [M, N] as the file has it, feature ids, sample ids."""
    content = read_file(path)
    if content.startswith(ZIP_SIGNATURE):
        content = read_qza(content, path, "FeatureTable[Frequency]", "feature-table.biom")
    if is_h5ad(content, path):
        annotated, features, samples = read_counts(content, path)
        return annotated.T, features, samples
    if content.startswith(HDF5_SIGNATURE):
        counts, index = read_hdf5(content, path)
        return counts.T, index.feature_ids, index.sample_ids
    if kind := kind_of(content):
        raise InputError(f"{path}: {kind}; {NOT_A_TABLE}")
    try:
        text = decode(content)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text[:4096]:
        raise InputError(f"{path}: {kind_of_undecoded(content)}; {NOT_A_TABLE}")
    return read_json(text, path) if text.lstrip().startswith("{") else read_text(text, path)


def check_counts(matrix: Any, path: Path, feature_ids: Sequence[str], sample_ids: Sequence[str]) -> None:
    """InputError, which names the first, for values of a COO [M, N] that are no counts of reads."""
    values = matrix.data
    problems = (
        (~np.isfinite(values), "is not a number: every value must be a count of reads"),
        (values < 0, "is negative: every value must be a count of reads"),
        (values != np.rint(values), "is not a whole number: AAM needs counts of reads, not relative abundances"),
        (values >= 2**53, "is too large for a count of reads"),
    )
    for wrong, problem in problems:
        if wrong.any():
            first = int(np.argmax(wrong))
            where = f"sample {shown(sample_ids[matrix.col[first]])}, feature {shown(feature_ids[matrix.row[first]])}"
            raise InputError(f"{path}: {where}: {values[first]:g} {problem} ({int(wrong.sum())} such values)")


def check_once_each(counts: sparse.csr_array, path: Path, feature_ids: Sequence[str], sample_ids: Sequence[str]) -> None:
    """InputError for a CSR [N, M], its indices sorted, with two counts of one feature in one sample."""
    same = np.flatnonzero(np.diff(counts.indices) == 0) + 1
    # A sample may begin with the feature that the one before ended with.
    if len(twice := np.setdiff1d(same, counts.indptr)):
        row = int(np.searchsorted(counts.indptr, twice[0], side="right")) - 1
        where = f"sample {shown(sample_ids[row])}, feature {shown(feature_ids[counts.indices[twice[0]]])}"
        raise InputError(f"{path}: {where}: counted twice; every feature has one count in a sample")


def keep_samples(table: FeatureTable, kept: np.ndarray, problem: str, ignore_missing: bool, near: str = "") -> FeatureTable:
    """Keep the rows of the mask `kept` [N]; the others are an InputError, or a warning with `ignore_missing`.

    near: a clause on what they look like, see `near_ids`.
    """
    if kept.all():
        return table
    dropped = [sample_id for sample_id, keep in zip(table.sample_ids, kept, strict=True) if not keep]
    message = f"{some_of(len(dropped), len(kept), problem)}: {first_few(dropped)}{near}"
    if not kept.any():
        raise InputError(f"{message}; no sample is left")
    if not ignore_missing:
        raise InputError(f"{message}; remove them, or pass `ignore_missing` to leave them out")
    log.warning("%s; left out", message)
    return table.select_samples([sample_id for sample_id, keep in zip(table.sample_ids, kept, strict=True) if keep])


def drop_shallow(table: FeatureTable, depth: int, ignore_missing: bool) -> FeatureTable:
    """Keep the samples with at least `depth` reads; shallower ones are an InputError, or a warning with `ignore_missing`."""
    return keep_samples(table, table.depths >= depth, f"have fewer reads than `sampling_depth={depth}`", ignore_missing)


def rarefy(counts: sparse.csr_array, depth: int, rng: np.random.Generator) -> sparse.csr_array:
    """Draw `depth` reads of every row without replacement.

    counts: CSR int64 [N, M] with fewer than 1e9 reads in a row. Returns the same shape, every row summing to `depth`, indices
    sorted if they were, no stored zeros. InputError when a row has fewer reads than `depth`.
    """
    drawn = np.empty_like(counts.data)
    for row, (start, end) in enumerate(zip(counts.indptr[:-1], counts.indptr[1:], strict=True)):
        reads = counts.data[start:end]
        total = int(reads.sum())
        if total < depth:
            raise InputError(f"row {row} of the table has {total} reads, fewer than `sampling_depth={depth}`")
        if total >= 10**9:
            raise InputError(f"row {row} of the table has {total} reads: rarefaction takes fewer than 1e9")
        # "marginals" costs by the ASVs of the row, "count" by its reads.
        drawn[start:end] = rng.multivariate_hypergeometric(reads, depth, method="marginals")
    rarefied = sparse.csr_array((drawn, counts.indices.copy(), counts.indptr.copy()), shape=counts.shape)
    rarefied.eliminate_zeros()
    return rarefied
