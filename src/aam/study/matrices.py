"""Studies from tables in memory: samples x features, of counts or of relative abundances."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_list_like
from scipy import sparse

from aam.data.ids import check_ids
from aam.data.sequences import NOT_NUCLEOTIDE, fold, no_tokens, tokenize
from aam.data.table import FeatureTable
from aam.errors import InputError, first_few, some_of
from aam.options import ReadOptions
from aam.study.study import Study

# Sequences of features: by position, or by name.
GivenSequences = Sequence[str] | Mapping[str, str] | pd.Series

# Shorter names are words that are spelled with the letters of nucleotides.
_SHORTEST = 10


def study_of(
    values: Any,
    feature_ids: Sequence[str],
    sample_ids: Sequence[str] | None = None,
    *,
    sequences: GivenSequences | None = None,
    reads: ReadOptions = ReadOptions(),
) -> Study:
    """Make a study of a table in memory.

    Parameters
    ----------
    values : array or sparse matrix [N, M]
        Counts of reads, or relative abundances; finite, 0 or more.
    feature_ids : sequence of str [M]
        IDs of the features, each once.
    sample_ids : sequence of str [N], optional
        IDs of the samples, each once. Default: their numbers, from 0.
    sequences : sequence of str [M], or mapping of ID to sequence, optional
        Default: the IDs where all are sequences of 10 nucleotides or more, else the features have none.
    reads : ReadOptions
        What a model sees of a sample. Samples are rarefied only from counts.

    Returns
    -------
    Study
        Without metadata.

    Raises
    ------
    InputError
        For values, IDs or sequences that cannot be used, and for samples without reads. Where features have no sequences, such
        samples are a warning: they say that all features are absent.

    Examples
    --------
    >>> study = study_of([[3, 0, 1], [0, 2, 2]], ["Blautia", "Dorea", "Roseburia"])
    >>> len(study), study.sequences
    (2, None)

    """
    counts = _counts(values)
    names = tuple(map(str, range(counts.shape[0]) if sample_ids is None else sample_ids))
    table = FeatureTable(counts, names, tuple(map(str, feature_ids)))
    check_ids("`X`", "sample", table.sample_ids)
    check_ids("`X`", "feature", table.feature_ids)
    _check_values(table)
    found = _sequences_of(table.feature_ids, sequences)
    _check_reads(table, reads, has_sequences=found is not None)
    tokens = no_tokens(table) if found is None else tokenize(found, table.feature_ids, reads.max_bp)
    return Study(table, found, tokens, None, reads)


def _counts(values: Any) -> sparse.csr_array:
    """CSR [N, M] of its own, indices sorted, no stored zeros: int64 where all values are whole numbers, else float64."""
    counts = sparse.csr_array(values, copy=True)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    data = counts.data
    whole = data.dtype.kind != "f" or bool((data == np.rint(data)).all() and np.abs(data).max(initial=0) < 2**53)
    return counts.astype(np.int64 if whole else np.float64)


def _check_values(table: FeatureTable) -> None:
    matrix = sparse.coo_array(table.counts)
    for wrong, problem in (
        (~np.isfinite(matrix.data), "Input X contains NaN or infinity"),
        (matrix.data < 0, "Negative values in data"),
    ):
        if wrong.any():
            first = int(np.argmax(wrong))
            row, column = (int(coordinates[first]) for coordinates in matrix.coords)
            where = f"sample {table.sample_ids[row]}, feature {table.feature_ids[column]} is {matrix.data[first]:g}"
            raise InputError(f"{problem}: {where} ({int(wrong.sum())} such values); AAM takes counts or relative abundances")


def _check_reads(table: FeatureTable, reads: ReadOptions, *, has_sequences: bool) -> None:
    depths = np.asarray(table.counts.sum(axis=1)).ravel()
    if empty := [table.sample_ids[row] for row in np.flatnonzero(depths == 0)]:
        message = f"{some_of(len(empty), len(depths), 'have no reads')}: {first_few(empty)}"
        if has_sequences:
            raise InputError(f"{message}; remove them")
        warnings.warn(f"{message}; they are taken as samples that lack all features", stacklevel=2)
    if reads.sampling_depth is None:
        return
    if table.counts.dtype.kind == "f":
        raise InputError(f"`sampling_depth={reads.sampling_depth}`: only counts can be rarefied, and X has other numbers")
    if shallow := [table.sample_ids[row] for row in np.flatnonzero(depths < reads.sampling_depth)]:
        message = f"{some_of(len(shallow), len(depths), 'have fewer reads')}: {first_few(shallow)}"
        raise InputError(f"`sampling_depth={reads.sampling_depth}`: {message}; remove them")


def _sequences_of(feature_ids: tuple[str, ...], given: GivenSequences | None) -> tuple[str, ...] | None:
    """Sequences of the features, M of them; None for features without."""
    if given is None:
        others = [name for name in feature_ids if len(name) < _SHORTEST or NOT_NUCLEOTIDE.search(name)]
        if 0 < 2 * len(others) < len(feature_ids):
            unnamed = some_of(len(others), len(feature_ids), "are not named by their sequences", "feature of X", "features of X")
            raise InputError(f"{unnamed}: {first_few(others)}; leave them out, or give `sequences`")
        return None if others else tuple(fold(name, name, "give `sequences`") for name in feature_ids)
    if isinstance(given, (Mapping, pd.Series)):
        known = given.to_dict() if isinstance(given, pd.Series) else given
        if missing := [name for name in feature_ids if name not in known]:
            raise InputError(
                f"`sequences`: {some_of(len(missing), len(feature_ids), 'have none', 'feature')}: {first_few(missing)}"
            )
        given = [known[name] for name in feature_ids]
    elif not (is_list_like(given, allow_sets=False) and hasattr(given, "__len__")):
        raise InputError(f"`sequences`: must be a list of text, or a mapping from feature to text, not {type(given).__name__}")
    if len(given) != len(feature_ids):
        raise InputError(f"`sequences`: there are {len(given)}, and X has {len(feature_ids)} features")
    return tuple(fold(name, str(text), "correct `sequences`") for name, text in zip(feature_ids, given, strict=True))
