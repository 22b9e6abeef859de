"""Studies from files: tables, sequences, metadata, reconciled once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from aam.data.metadata import read_metadata, reconcile
from aam.data.sequences import no_tokens, read_sequences, tokenize
from aam.data.stream import open_tables
from aam.data.table import FeatureTable, drop_shallow, put_together, read_table
from aam.disk.cache import Cache
from aam.errors import InputError, first_few, path_of
from aam.options import GroupOptions, ReadOptions, TableOptions, TreeOptions
from aam.study.study import Study
from aam.study.tree import read_distance

log = logging.getLogger(__name__)


def read_study(  # noqa: PLR0913 - the files of a study, and what to leave out of it
    table: str | Path,
    *,
    metadata: str | Path | None = None,
    rep_seqs: str | Path | None = None,
    tree: str | Path | None = None,
    more_tables: Sequence[str | Path] = (),
    where: str | None = None,
    column: str | None = None,
    sampling_depth: int | None = None,
    max_bp: int = 150,
    ignore_missing: bool = False,
    by_id: bool = False,
) -> Study:
    """Read a feature table with the sequences of its ASVs, and metadata and a tree where they are given.

    Parameters
    ----------
    table : str or Path
        Feature table: BIOM 2.1 (HDF5), BIOM 1 (JSON), QIIME 2 ``.qza``, or TSV.
    metadata : str or Path, optional
        Sample metadata, TSV as QIIME 2 reads it.
    rep_seqs : str or Path, optional
        Representative sequences (FASTA or ``.qza``). Default: the feature IDs are the sequences.
    tree : str or Path, optional
        Phylogeny of the ASVs (newick or ``.qza``), for UniFrac.
    more_tables : sequence of str or Path
        Further tables to merge with `table` (same feature ID = same ASV).
    where : str, optional
        Keep the samples for which this SQLite condition on the metadata holds: ``"[mom_child]='C'"``.
    column : str, optional
        Metadata column that will be predicted: samples without a value are an error, or left out with `ignore_missing`.
    sampling_depth : int, optional
        Rarefy every sample to this many reads.
    max_bp : int
        Number of nucleotides of each ASV to read.
    ignore_missing : bool
        Leave out samples that cannot be used (no metadata, no target, too few reads) instead of stopping.
    by_id : bool
        Know features by their IDs alone, without sequences: genera, OTUs, pathways.

    Returns
    -------
    Study
        The usable samples, in the order of the table.

    Raises
    ------
    InputError
        For a file that cannot be used; the message says which, why, and what to do.

    Examples
    --------
    >>> import aam
    >>> study = aam.read_study("table.qza", metadata="metadata.tsv", rep_seqs="rep-seqs.qza")  # doctest: +SKIP

    """
    if isinstance(more_tables, str | Path):
        raise InputError(f"`more_tables={more_tables}`: must be a sequence of paths")
    if column is not None and metadata is None:
        raise InputError(f"`column={column}` needs `metadata`: the table that holds it")
    data = TableOptions(
        table=path_of("table", table),
        more_tables=tuple(path_of("more_tables", path) for path in more_tables),
        rep_seqs=None if rep_seqs is None else path_of("rep_seqs", rep_seqs),
        ignore_missing=ignore_missing,
    )
    samples = GroupOptions(metadata=None if metadata is None else path_of("metadata", metadata), where=where)
    study = read_samples(data, ReadOptions(max_bp=max_bp, sampling_depth=sampling_depth), samples, column, by_id=by_id)
    if tree is None:
        return study
    distance = read_distance(study, TreeOptions(tree=path_of("tree", tree)), Cache(None))
    return replace(study, distance=distance)


def read_samples(
    data: TableOptions, reads: ReadOptions, samples: GroupOptions, column: str | None = None, *, by_id: bool = False
) -> Study:
    """Read and reconcile a table and metadata; only usable samples are kept, those with a value in `column` where it is named.

    by_id: features are known by their IDs, and have no sequences.
    """
    table = read_tables(data)
    metadata = None
    if samples.metadata is not None:
        metadata = read_metadata(samples.metadata)
        found = reconcile(table.sample_ids, metadata, column, where=samples.where, ignore_missing=data.ignore_missing)
        table = table.select_samples(found.usable)
        metadata = metadata.loc[list(found.usable)]
    if reads.sampling_depth is not None:
        table = drop_shallow(table, reads.sampling_depth, data.ignore_missing)
        metadata = None if metadata is None else metadata.loc[list(table.sample_ids)]
    if by_id:
        log.info("table: %d samples, %d features, known by their IDs", *table.counts.shape)
        return Study(table, None, no_tokens(table), metadata, reads)
    sequences = read_sequences(table, data.rep_seqs)
    tokens = tokenize(sequences, table.feature_ids, reads.max_bp, on_disk=data.stream)
    log.info("table: %d samples, %d ASVs of up to %d nt", *table.counts.shape, tokens.shape[1] - 1)
    return Study(table, sequences, tokens, metadata, reads)


def read_tables(data: TableOptions) -> FeatureTable:
    """The samples of all tables, in memory or, with `stream`, on disk."""
    read = open_tables if data.stream else _read_together
    return read((data.table, *data.more_tables), data.ignore_missing)


def _read_together(paths: Sequence[Path], ignore_missing: bool) -> FeatureTable:
    return put_together([read_table(path, ignore_missing) for path in paths])


def join(first: Study, second: Study) -> Study:
    """The samples of both, ASVs being the same where their sequences are. InputError for a sample in both."""
    if twice := sorted(set(first.table.sample_ids) & set(second.table.sample_ids)):
        raise InputError(f"`test_table`: {len(twice)} samples are in `table` too: {first_few(twice)}")
    own, others = first.sequences or first.table.feature_ids, second.sequences or second.table.feature_ids
    column = {sequence: number for number, sequence in enumerate(own)}
    new = [number for number, sequence in enumerate(others) if sequence not in column]
    column |= {others[number]: len(own) + place for place, number in enumerate(new)}
    ids = first.table.feature_ids + tuple(second.table.feature_ids[number] for number in new)
    if len(set(ids)) < len(ids):
        raise InputError("`test_table`: a feature ID is another sequence there; use IDs that are the sequences or their MD5")
    there = [[column[sequence] for sequence in sequences] for sequences in (own, others)]
    counts = [_placed(study.counts, columns, len(ids)) for study, columns in zip((first, second), there, strict=True)]
    table = FeatureTable(sparse.csr_array(sparse.vstack(counts)), first.table.sample_ids + second.table.sample_ids, ids)
    widest = max(first.asv_tokens.shape[1], second.asv_tokens.shape[1])
    tokens = [np.pad(part, ((0, 0), (0, widest - part.shape[1]))) for part in (first.asv_tokens, second.asv_tokens[new])]
    metadata = [study.metadata for study in (first, second) if study.metadata is not None]
    sequences = own + tuple(others[number] for number in new)
    return Study(table, sequences, np.concatenate(tokens), pd.concat(metadata) if metadata else None, first.reads)


def _placed(counts: sparse.csr_array, columns: Sequence[int], n_columns: int) -> sparse.csr_array:
    """The same counts in other columns, of `n_columns`."""
    moved = sparse.csr_array(
        (counts.data, np.array(columns, dtype=counts.indices.dtype)[counts.indices], counts.indptr), (counts.shape[0], n_columns)
    )
    # Two IDs of one sequence become one ASV.
    moved.sum_duplicates()
    return moved
