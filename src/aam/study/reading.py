"""Studies from files: tables, sequences, metadata, reconciled once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from aam.data.metadata import Metadata, column_of, read_metadata, reconcile
from aam.data.near_ids import near_ids
from aam.data.sequences import have_no_sequences, no_tokens, own_sequences, read_sequences, tokenize
from aam.data.stream import open_tables
from aam.data.table import FeatureTable, drop_shallow, put_together, read_table
from aam.disk.cache import Cache
from aam.errors import InputError, counted, first_few, path_of, several_paths, some_of
from aam.options import GroupOptions, OneTargetOptions, ReadOptions, TableOptions, TargetOptions, TreeOptions
from aam.study.labels import warn_of_groups, warn_of_levels
from aam.study.study import Study
from aam.study.tree import on_given_distances

log = logging.getLogger(__name__)


def read_study(  # noqa: PLR0913 - the files of a study, and what to leave out of it
    table: str | Path,
    *,
    metadata: str | Path | Sequence[str | Path] | None = None,
    rep_seqs: str | Path | None = None,
    tree: str | Path | None = None,
    more_tables: Sequence[str | Path] = (),
    where: str | None = None,
    missing_values: Sequence[str] = (),
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
        Feature table: BIOM 2.1 (HDF5), BIOM 1 (JSON), QIIME 2 ``.qza``, TSV or CSV.
    metadata : str, Path, or sequence of them, optional
        Sample metadata: TSV as QIIME 2 reads it, CSV, or ``.qza``. Of several files, the samples that are in all of them.
    rep_seqs : str or Path, optional
        Representative sequences (FASTA or ``.qza``). Default: the feature IDs are the sequences.
    tree : str or Path, optional
        Phylogeny of the ASVs (newick or ``.qza``), for UniFrac.
    more_tables : sequence of str or Path
        Further tables to merge with `table` (same feature ID = same ASV).
    where : str, optional
        Keep the samples for which this SQLite condition on the metadata holds: ``"[mom_child]='C'"``.
    missing_values : sequence of str
        Words in the metadata that mean that a value is missing ("NA", "unknown"), compared without case and blanks.
    column : str, optional
        Metadata column that will be predicted, or several with commas between them: samples without a value (in any of them) are
        an error, or left out with `ignore_missing`.
    sampling_depth : int, optional
        Rarefy every sample to this many reads.
    max_bp : int
        Number of nucleotides of each ASV to read.
    ignore_missing : bool
        Leave out samples that cannot be used (no metadata, no target, too few reads, no ASV in the tree) instead of stopping, and
        go on with a tree that lacks ASVs with more than a tenth of the reads, which count in no distance.
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
    >>> study = aam.read_study("community/table.biom", metadata="community/metadata.tsv", where="[sex]='male'")
    >>> sorted(study.metadata.columns)
    ['age', 'disease', 'sex', 'study', 'subject']

    """
    if isinstance(more_tables, str | Path):
        raise InputError(f"`more_tables={more_tables}`: must be a sequence of paths")
    files = several_paths("metadata", () if metadata is None else metadata)
    if column is not None and not files:
        raise InputError(f"`column={column}` needs `metadata`: the table that holds it")
    data = TableOptions(
        table=path_of("table", table),
        more_tables=tuple(path_of("more_tables", path) for path in more_tables),
        rep_seqs=None if rep_seqs is None else path_of("rep_seqs", rep_seqs),
        ignore_missing=ignore_missing,
    )
    words = (missing_values,) if isinstance(missing_values, str) else tuple(missing_values)
    samples = GroupOptions(metadata=files, where=where, missing_values=words)
    target = None if column is None else TargetOptions(metadata_column=column)
    study = read_samples(data, ReadOptions(max_bp=max_bp, sampling_depth=sampling_depth), samples, target, by_id=by_id)
    if tree is None:
        return study
    return on_given_distances(study, TreeOptions(tree=path_of("tree", tree)), Cache(None), ignore_missing=ignore_missing)


def read_samples(
    data: TableOptions,
    reads: ReadOptions,
    samples: GroupOptions,
    target: OneTargetOptions | None = None,
    *,
    confounder_column: str | None = None,
    only: Collection[str] | None = None,
    by_id: bool | None = False,
    check: Callable[[bool], None] | None = None,
) -> Study:
    """Read and reconcile a table and metadata; only usable samples are kept, those with a value in the column to predict (of
    several, in one of them), the group column, the confounder column, and the column in whose levels a number is scaled, where they
    are named.

    only: keep these sample IDs alone; by_id: features are known by their IDs, and have no sequences; None: where no ID may be one,
    and none are given; check: is told whether several columns are predicted, before the table is read.
    """
    metadata, needed = None, []
    if samples.metadata:
        # Before the table, which takes longer.
        metadata = read_metadata(*samples.metadata, missing_values=samples.missing_values)
        needed = _needed(metadata, target, check, samples.group_column, confounder_column)
    table = read_tables(data)
    if only is not None:
        table = table.select_samples(_chosen(table.sample_ids, only))
    if metadata is not None:
        found = reconcile(table.sample_ids, metadata, needed, where=samples.where, ignore_missing=data.ignore_missing)
        table = table.select_samples(found.usable)
    if reads.sampling_depth is not None:
        table = drop_shallow(table, reads.sampling_depth, data.ignore_missing)
    if metadata is not None:
        metadata = metadata.of(table.sample_ids)
        if samples.group_column is not None:
            warn_of_groups(samples.group_column, metadata.texts(samples.group_column).to_list(), table.sample_ids)
        if confounder_column not in (None, samples.group_column):
            warn_of_levels(confounder_column, metadata.texts(confounder_column).to_list(), table.sample_ids)
    rep_seqs = data.rep_seqs or own_sequences(data.table)
    if by_id is None and (by_id := rep_seqs is None and have_no_sequences(table.feature_ids)):
        log.warning(
            "the features have no sequences (%s): they are known by their IDs; AAM's members that read sequences are left out, and "
            "so is UniFrac without `tree` or `unifrac_matrix`",
            first_few(table.feature_ids, 3),
        )
    size, columns = counted(len(table.sample_ids), "sample"), len(table.feature_ids)
    if by_id:
        log.info("table: %s, %s, known by their IDs", size, counted(columns, "feature"))
        return _study(table, None, no_tokens(table), metadata, reads)
    sequences = read_sequences(table, rep_seqs)
    tokens = tokenize(sequences, table.feature_ids, reads.max_bp, on_disk=data.stream)
    log.info("table: %s, %s of up to %d nt", size, counted(columns, "ASV"), tokens.shape[1] - 1)
    return _study(table, sequences, tokens, metadata, reads)


def _needed(
    metadata: Metadata, target: OneTargetOptions | None, check: Callable[[bool], None] | None, *others: str | None
) -> list[tuple[str, ...]]:
    """Columns in which samples need a value, in one of each tuple. InputError for one that the metadata do not have."""
    told = [] if target is None else [target.columns(metadata.typed.columns)]
    single = (*others, None if target is None else target.within_column)
    if check is not None and told:
        check(len(told[0]) > 1)
    needed = [*told, *((name,) for name in single if name is not None)]
    for column in chain.from_iterable(needed):
        column_of(metadata.typed, column)
    return needed


def _study(
    table: FeatureTable, sequences: tuple[str, ...] | None, tokens: np.ndarray, metadata: Metadata | None, reads: ReadOptions
) -> Study:
    if metadata is None:
        return Study(table, sequences, tokens, reads=reads)
    return Study(table, sequences, tokens, metadata.typed, reads, written=metadata.written, types=metadata.types)


def _chosen(table_ids: Sequence[str], only: Collection[str]) -> list[str]:
    """The sample IDs `only`, in the order of the table. InputError for one that the table has not."""
    known = set(table_ids)
    if unknown := [sample_id for sample_id in only if sample_id not in known]:
        wanted = set(only)
        near = near_ids(unknown, [name for name in table_ids if name not in wanted], "the table")
        what = some_of(len(unknown), len(only), "are not in the table, or without reads")
        raise InputError(f"`samples`: {what}: {first_few(unknown)}{near}")
    wanted = set(only)
    return [sample_id for sample_id in table_ids if sample_id in wanted]


def read_tables(data: TableOptions) -> FeatureTable:
    """The samples of all tables, in memory or, with `stream`, on disk."""
    read = open_tables if data.stream else _read_together
    return read((data.table, *data.more_tables), data.ignore_missing)


def _read_together(paths: Sequence[Path], ignore_missing: bool) -> FeatureTable:
    return put_together([read_table(path, ignore_missing) for path in paths])


def join(first: Study, second: Study) -> Study:
    """The samples of both, ASVs being the same where their sequences are, or their IDs where neither has sequences.

    InputError for a sample in both.
    """
    if (first.sequences is None) != (second.sequences is None):
        lacking = "`table`" if first.sequences is None else "`test_table`"
        raise InputError(f"the features of {lacking} have no sequences, and those of the other table have; give both, or neither")
    if twice := sorted(set(first.table.sample_ids) & set(second.table.sample_ids)):
        raise InputError(f"`test_table`: {some_of(len(twice), len(second), 'are in `table` too')}: {first_few(twice)}")
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
    metadata = [study.full_metadata for study in (first, second) if study.full_metadata is not None]
    sequences = None if first.sequences is None else own + tuple(others[number] for number in new)
    return _study(table, sequences, np.concatenate(tokens), _one_below_other(metadata), first.reads)


def _one_below_other(parts: Sequence[Metadata]) -> Metadata | None:
    """Metadata of the samples of all parts. InputError for a column that one declares numeric and another categorical."""
    if not parts:
        return None
    types: dict[str, str] = {}
    for part in parts:
        if other := [column for column, kind in part.types.items() if types.get(column, kind) != kind]:
            raise InputError(
                f"column {other[0]}: #q2:types declares it numeric in one of the metadata, and categorical in the other"
            )
        types |= part.types
    written = [pd.DataFrame({name: part.texts(name) for name in part.typed.columns}, dtype=object) for part in parts]
    return Metadata(pd.concat([part.typed for part in parts]), pd.concat(written), types)


def _placed(counts: sparse.csr_array, columns: Sequence[int], n_columns: int) -> sparse.csr_array:
    """The same counts in other columns, of `n_columns`."""
    moved = sparse.csr_array(
        (counts.data, np.array(columns, dtype=counts.indices.dtype)[counts.indices], counts.indptr), (counts.shape[0], n_columns)
    )
    # Two IDs of one sequence become one ASV.
    moved.sum_duplicates()
    return moved
