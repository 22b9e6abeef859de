"""Sample metadata as QIIME 2 reads it, matched with the samples of a table."""

from __future__ import annotations

import csv
import io
import logging
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from aam.data.files import read_file
from aam.errors import InputError, first_few, one_line

log = logging.getLogger(__name__)

INSDC_TERM = re.compile(
    r"\s*(?:missing\s*:\s*)?(not applicable|missing|not collected|not provided|restricted access)\s*", re.IGNORECASE
)


def read_metadata(path: Path) -> pd.DataFrame:
    """Read a QIIME 2 metadata file: one row for each sample id, always text; numeric columns float64, others object.

    Blank cells and the INSDC terms ("not provided" ...) are missing (NaN), also as Qiita and EBI spell them ("Missing: Not
    provided"), unless the file's ``#q2:missing`` line says otherwise. InputError for what QIIME 2 would refuse.
    """
    # Takes seconds to import, and only metadata needs it.
    from skbio.metadata import SampleMetadata
    from skbio.metadata.io import MetadataFileError, MetadataReader

    content = read_file(path)
    try:
        text = _spell_missing_terms(content.decode("utf-8-sig"))
        metadata = MetadataReader(io.StringIO(text, newline="")).read(into=SampleMetadata, default_missing_scheme="INSDC:missing")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: metadata must be tab-separated text in UTF-8 ({one_line(error)}); save it as such") from error
    except csv.Error as error:
        raise InputError(f"{path}: {one_line(error)}; is a quotation mark not closed?") from error
    except ValueError as error:
        # As of digits that are not those of ASCII.
        raise InputError(f"{path}: {one_line(error)}; write numbers with the digits 0-9") from error
    except MetadataFileError as error:
        problem, _, _ = one_line(error).partition(" There may be more errors")
        raise InputError(f"{path}: {problem.removeprefix('There was an issue with loading the metadata file: ')}") from error
    return metadata.to_dataframe()


def _spell_missing_terms(text: str) -> str:
    """Replace every spelling of an INSDC missing term below the header of the TSV by the standard one."""
    from skbio.metadata.base import is_id_header

    written = io.StringIO(newline="")
    writer = csv.writer(written, dialect="excel-tab")
    below_header = False
    for row in csv.reader(io.StringIO(text, newline=""), dialect="excel-tab", strict=True):
        if below_header and row[:1] != [""]:
            matches = [INSDC_TERM.fullmatch(cell) for cell in row]
            row[1:] = [match[1].lower() if match else cell for match, cell in zip(matches[1:], row[1:], strict=True)]
        below_header = below_header or bool(row and is_id_header(row[0].strip()))
        writer.writerow(row)
    return written.getvalue()


def select_where(metadata: pd.DataFrame, where: str) -> pd.DataFrame:
    """Keep the rows for which a condition in SQLite's language holds, as QIIME 2's ``--p-where``: ``[mom_child]='C'``.

    Numeric columns compare as numbers, ids and other columns as text; a missing value is NULL. InputError when the condition is
    not valid or holds for no sample.
    """
    from skbio.metadata import SampleMetadata

    columns = f"columns: {', '.join([str(metadata.index.name), *metadata.columns])}"
    try:
        chosen = SampleMetadata(metadata).get_ids(where)
    except (ValueError, sqlite3.Error, pd.errors.DatabaseError) as error:
        # skbio wraps the error of SQLite in advice of several lines.
        raise InputError(f"`where={where}`: {one_line(error.__cause__ or error)}; {columns}") from error  # type: ignore[arg-type]
    if not chosen:
        raise InputError(f"`where={where}`: holds for none of the {len(metadata)} samples of the metadata; {columns}")
    return metadata.loc[metadata.index.isin(chosen)]


@dataclass(frozen=True)
class Reconciliation:
    """Which samples the table and the metadata share; every field has the ids in the order of their file.

    in_both: in the table and in the metadata; only_in_table, only_in_metadata: in one of them; without_target: those of in_both
    with no value to predict; filtered_out: samples of the table that `where` leaves out (in no other field).
    """

    in_both: tuple[str, ...]
    only_in_table: tuple[str, ...]
    only_in_metadata: tuple[str, ...]
    without_target: tuple[str, ...]
    filtered_out: tuple[str, ...]

    @property
    def usable(self) -> tuple[str, ...]:
        """Samples in both, with a target, in table order."""
        unusable = set(self.without_target)
        return tuple(sample_id for sample_id in self.in_both if sample_id not in unusable)

    def report(self) -> str:
        """One line with the size of each set."""
        return (
            f"samples: {len(self.in_both)} in table and metadata, {len(self.only_in_table)} only in the table, "
            f"{len(self.only_in_metadata)} only in the metadata, {len(self.without_target)} without target, "
            f"{len(self.filtered_out)} left out by `where`; {len(self.usable)} usable"
        )


def reconcile(
    table_ids: Sequence[str],
    metadata: pd.DataFrame,
    metadata_column: str | None = None,
    *,
    where: str | None = None,
    ignore_missing: bool = False,
) -> Reconciliation:
    """Match a table's samples with all rows of the metadata, keep those that `where` selects, and log the report.

    InputError for a sample of the table without metadata or target (unless `ignore_missing`), for an unknown column, and when no
    sample is left. Samples that `where` leaves out are not missing; samples without reads in the table are only reported.
    """
    selected = metadata if where is None else select_where(metadata, where)
    in_table, known, kept = set(table_ids), set(metadata.index), set(selected.index)
    in_both = tuple(sample_id for sample_id in table_ids if sample_id in kept)
    without_target: tuple[str, ...] = ()
    if metadata_column is not None:
        has_target = set(selected.index[_column(selected, metadata_column).notna()])
        without_target = tuple(sample_id for sample_id in in_both if sample_id not in has_target)
    result = Reconciliation(
        in_both=in_both,
        only_in_table=tuple(sample_id for sample_id in table_ids if sample_id not in known),
        only_in_metadata=tuple(sample_id for sample_id in selected.index if sample_id not in in_table),
        without_target=without_target,
        filtered_out=tuple(sample_id for sample_id in table_ids if sample_id in known and sample_id not in kept),
    )
    log.info("%s", result.report())
    _refuse(result, metadata, metadata_column, ignore_missing)
    return result


def _refuse(result: Reconciliation, metadata: pd.DataFrame, metadata_column: str | None, ignore_missing: bool) -> None:
    only = result.only_in_table
    advice = "complete the metadata, or pass `ignore_missing` to leave them out"
    unmatched = set(metadata.index).difference(result.in_both, result.filtered_out)
    if only and len(unmatched) == len(metadata):
        ids = f"the table has {first_few(only, 3)}; the metadata {first_few(metadata.index, 3)}"
        raise InputError(f"no sample of the table is in the metadata: {ids}{_mangled(only, unmatched)}")
    if only and not ignore_missing:
        problem = f"{len(only)} samples of the table are not in the metadata: {first_few(only)}"
        raise InputError(f"{problem}{_mangled(only, unmatched)}; {advice}")
    if result.without_target and not ignore_missing:
        count = f"{len(result.without_target)} of {len(result.in_both)} samples"
        raise InputError(f"{count} have no value in column {metadata_column}: {first_few(result.without_target)}; {advice}")
    if not result.usable:
        raise InputError(f"no sample is left to use; {result.report()}")


def _mangled(table_ids: Iterable[str], metadata_ids: Iterable[str]) -> str:
    """Write a hint for when ids are the same numbers or words but not the same text, as after a spreadsheet."""
    metadata_ids = list(metadata_ids)
    by_word = {sample_id.strip().casefold(): sample_id for sample_id in metadata_ids}
    for sample_id in table_ids:
        if (twin := by_word.get(sample_id.strip().casefold())) is not None:
            return f" (other spaces or letters? {sample_id!r} of the table looks like {twin!r} of the metadata)"
    by_number = {_number(sample_id): sample_id for sample_id in metadata_ids}
    by_number.pop(None, None)
    for sample_id in table_ids:
        if (twin := by_number.get(_number(sample_id))) is not None:
            return f" (ids saved as numbers by another program? {sample_id} of the table looks like {twin} of the metadata)"
    return ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _column(metadata: pd.DataFrame, column: str) -> pd.Series:
    if column not in metadata.columns:
        raise InputError(f"the metadata has no column {column}; columns: {', '.join(metadata.columns)}")
    return metadata[column]


def _values(metadata: pd.DataFrame, column: str, ids: Sequence[str]) -> pd.Series:
    """Look up the column's values for `ids`; InputError when one is missing."""
    values = _column(metadata, column)
    if unknown := [sample_id for sample_id in ids if sample_id not in values.index]:
        raise InputError(f"{len(unknown)} samples are not in the metadata: {first_few(unknown)}")
    values = values.loc[list(ids)]
    if missing := list(values.index[values.isna()]):
        advice = f'complete the metadata, or leave them out with `where` "[{column}] IS NOT NULL"'
        raise InputError(f"{len(missing)} samples have no value in column {column}: {first_few(missing)}; {advice}")
    return values


def numeric_column(metadata: pd.DataFrame, column: str, ids: Sequence[str]) -> np.ndarray:
    """Numbers of the samples `ids`, float64 [N]; InputError that names the first value which is missing or not a finite number."""
    values = _values(metadata, column, ids)
    numbers = np.array([_finite(value) for value in values], dtype=np.float64)
    if np.isnan(numbers).any():
        wrong = int(np.argmax(np.isnan(numbers)))
        where = f"column {column}: {values.iloc[wrong]!r} of sample {ids[wrong]} is not a finite number"
        raise InputError(f"{where}; correct it, or pass `classifier` if the column holds classes")
    return numbers


def _finite(value: object) -> float:
    number = _number(str(value))
    return number if number is not None and np.isfinite(number) else np.nan


def categorical_column(metadata: pd.DataFrame, column: str, ids: Sequence[str]) -> np.ndarray:
    """Values of the samples `ids` as text, object [N]; numbers as people write them ("6", not "6.0").

    InputError that names the samples without a value.
    """
    return text_values(_values(metadata, column, ids))


def text_values(values: pd.Series) -> np.ndarray:
    """Write a column as text, object [N]: numbers as people write them ("6", not "6.0"), None where missing."""
    texts = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        if not pd.isna(value):
            texts[row] = value if isinstance(value, str) else f"{value:.15g}"
    return texts
