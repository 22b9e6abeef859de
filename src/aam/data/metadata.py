"""Sample metadata, as typed as QIIME 2 types them and as written in the file, matched with the samples of a table."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd

from aam.data.metadata_files import Cells, read_cells
from aam.data.missing import bare, by_text, how_to_leave_out, means_missing, with_samples, words_of
from aam.data.near_ids import near_ids
from aam.data.numbers import finite_number
from aam.data.where import select_where
from aam.errors import InputError, counted, first_few, one_line, shown, some_of

log = logging.getLogger(__name__)

INSDC_TERM = re.compile(
    r"\s*(?:missing\s*:\s*)?(not applicable|missing|not collected|not provided|restricted access)\s*", re.IGNORECASE
)
_WHOLE = re.compile(r"[-+]?[0-9]+")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")


@dataclass(frozen=True, eq=False)
class Metadata:
    """Metadata of samples: rows by sample ID, always text.

    typed: numeric columns float64, others object; written: the same cells as text, exactly as in the file, NaN where missing, or
    None for metadata that were no file; types: what ``#q2:types`` declares (numeric, categorical), by column.
    """

    typed: pd.DataFrame
    written: pd.DataFrame | None = None
    types: Mapping[str, str] = field(default_factory=dict)

    def of(self, ids: Sequence[str] | np.ndarray) -> Metadata:
        """The same of some samples, by their IDs."""
        chosen = [None if frame is None else frame.loc[list(ids)] for frame in (self.typed, self.written)]
        return Metadata(chosen[0], chosen[1], self.types)  # type: ignore[arg-type]

    def texts(self, column: str) -> pd.Series:
        """A column as text: as written, or, where it is declared numeric or was no file, numbers as people write them; None where
        missing. InputError for an unknown column.
        """
        typed = column_of(self.typed, column)
        if self.written is not None and column in self.written.columns and self.types.get(column) != "numeric":
            written = self.written[column].reindex(typed.index)
            # Who has put other values into `typed` means those.
            if _says_the_same(written, typed):
                return written.where(written.notna(), None)
        return self.as_numbers(column)

    def as_numbers(self, column: str) -> pd.Series:
        """A column as text, numbers as people write them whatever is in the file: "6" for "6.0" and "06"."""
        typed = column_of(self.typed, column)
        return pd.Series(text_values(typed), index=typed.index, name=column, dtype=object)

    def as_known(self, column: str, known: Collection[str], *, as_written: bool) -> pd.Series:
        """A column as text, for a model that has `known` texts of it, as they were written or, of version 0.1.0, as people write
        numbers: a text that such a model does not have is taken as a number.
        """
        texts = self.texts(column)
        return texts if as_written else texts.where(texts.isin(list(known)), self.as_numbers(column))


def _says_the_same(written: pd.Series, typed: pd.Series) -> bool:
    # A column of two files that were joined may hold numbers and text.
    numbers = pd.to_numeric(written, errors="coerce").astype(float)
    return bool(((written == typed) | (numbers == typed) | (written.isna() & typed.isna())).all())


def read_metadata(*paths: Path, missing_values: Sequence[str] = ()) -> Metadata:
    """Read metadata files: TSV as QIIME 2 reads it, CSV, or a QIIME 2 artifact. Of several, the samples that are in all of them.

    Blank cells and the INSDC terms ("not provided" ...) are missing (NaN), also as Qiita and EBI spell them ("Missing: Not
    provided"), unless the file's ``#q2:missing`` line says otherwise, and so are cells that are one of `missing_values`, compared
    without case and blanks. InputError for what QIIME 2 would refuse, and for a column that is in two files.
    """
    words = words_of(missing_values)
    found = dict.fromkeys(words, 0)
    parts = [_read_one(path, found) for path in paths]
    if absent := [words[word] for word, number in found.items() if not number]:
        log.warning("`missing_values`: no value of the metadata is %s", first_few(map(repr, absent)))
    if read := [f"{words[word]!r} {number}" for word, number in found.items() if number]:
        log.info("values taken as missing, as `missing_values` says: %s", ", ".join(read))
    return parts[0] if len(parts) == 1 else _put_together(paths, parts)


def _put_together(paths: Sequence[Path], parts: Sequence[Metadata]) -> Metadata:
    places: dict[str, Path] = {}
    for path, part in zip(paths, parts, strict=True):
        if twice := [column for column in part.typed.columns if column in places]:
            first = places[twice[0]]
            raise InputError(f"{path}: the column {shown(twice[0])} is in {first}, too; rename or remove it in one of the files")
        places |= dict.fromkeys(part.typed.columns, path)
    in_all = set.intersection(*(set(part.typed.index) for part in parts))
    if not in_all:
        ids = "; ".join(f"{path} has {first_few(part.typed.index, 3)}" for path, part in zip(paths, parts, strict=True))
        raise InputError(f"no sample is in all of the metadata files: {ids}")
    for path, part in zip(paths, parts, strict=True):
        if alone := [sample_id for sample_id in part.typed.index if sample_id not in in_all]:
            are = some_of(len(alone), len(part.typed), "are not in all metadata files, and counted as without metadata")
            log.warning("%s: %s: %s", path, are, first_few(alone))
    kept = [part.of([sample_id for sample_id in parts[0].typed.index if sample_id in in_all]) for part in parts]
    typed, written = (pd.concat([getattr(part, name) for part in kept], axis=1) for name in ("typed", "written"))
    typed.index.name = parts[0].typed.index.name
    return Metadata(typed, written, {column: kind for part in parts for column, kind in part.types.items()})


def _read_one(path: Path, found: dict[str, int]) -> Metadata:
    """One file; `found`: how often each word of `missing_values` was there, which is added to."""
    # Takes seconds to import, and only metadata needs it.
    from skbio.metadata import SampleMetadata
    from skbio.metadata.io import MetadataFileError, MetadataReader

    cells = read_cells(path)
    _refuse_ids(cells, path)
    types = {column: kind.lower() for column, kind in cells.directive("types").items()}
    rows = _with_missing(cells, found)
    _refuse_declared(cells, rows, types, path)
    text = io.StringIO(newline="")
    csv.writer(text, dialect="excel-tab").writerows([cells.header, *_with_long_numbers(cells, rows, types)])
    text.seek(0)
    try:
        typed = MetadataReader(text).read(into=SampleMetadata, default_missing_scheme="INSDC:missing").to_dataframe()
    except ValueError as error:
        # As of digits that are not those of ASCII.
        raise InputError(f"{path}: {one_line(error)}; write numbers with the digits 0-9") from error
    except MetadataFileError as error:
        problem, _, _ = one_line(error).partition(" There may be more errors")
        raise InputError(f"{path}: {problem.removeprefix('There was an issue with loading the metadata file: ')}") from error
    written = pd.DataFrame([row[1:] for row in cells.rows], index=typed.index, columns=typed.columns, dtype=object)
    return Metadata(typed, written.where(typed.notna(), np.nan), types)


def _with_missing(cells: Cells, found: dict[str, int]) -> list[list[str]]:
    """Rows in which words of `missing_values` are blank, and INSDC terms have their standard spelling where they count."""
    schemes = cells.directive("missing")
    insdc = [schemes.get(column, "INSDC:missing") == "INSDC:missing" for column in cells.header]
    known: dict[tuple[str, bool], str] = {}

    def read(cell: str, has_terms: bool) -> str:
        if (word := bare(cell)) in found:
            found[word] += 1
            return ""
        if (cell, has_terms) not in known:
            match = INSDC_TERM.fullmatch(cell) if has_terms else None
            known[cell, has_terms] = match[1].lower() if match else cell
        return known[cell, has_terms]

    return [[row[0], *map(read, row[1:], insdc[1:])] for row in cells.rows]


def _with_long_numbers(cells: Cells, rows: list[list[str]], types: Mapping[str, str]) -> list[list[str]]:
    """Directives and rows as the reader takes them: a column of whole numbers that float64 cannot tell apart is text, as of
    barcodes; where it is declared numeric, or others have decimals, they are rounded.
    """
    kinds: dict[str, str] = {}
    for place, column in enumerate(cells.header[1:], 1):
        values = {row[place] for row in rows if row[place] and not INSDC_TERM.fullmatch(row[place])}
        if not any(map(_is_long, values)) or any(finite_number(value) is None for value in values):
            continue
        kinds[column] = types.get(column, "categorical" if all(map(_WHOLE.fullmatch, values)) else "numeric")
        if kinds[column] == "numeric":
            rows = [[*row[:place], _rounded(row[place]), *row[place + 1 :]] for row in rows]
    if as_text := [column for column in kinds if column not in types and kinds[column] == "categorical"]:
        log.info("columns of whole numbers too long to be told apart as numbers, read as text: %s", first_few(as_text))
    return [*_declared(cells, kinds), *rows]


def _is_long(text: str) -> bool:
    return len(text) > 15 and _WHOLE.fullmatch(text) is not None and abs(float(text)) >= 2**53


def _rounded(text: str) -> str:
    return repr(float(text)) if _is_long(text) else text


def _declared(cells: Cells, kinds: Mapping[str, str]) -> list[list[str]]:
    """The directives, with the types of more columns."""
    if not kinds:
        return cells.directives
    rows = [row for row in cells.directives if not row[0].startswith(("#q2:types", "#sk:types"))]
    types = {**cells.directive("types"), **kinds}
    return [*rows, ["#q2:types", *(types.get(column, "") for column in cells.header[1:])]]


def _refuse_ids(cells: Cells, path: Path) -> None:
    ids = [row[0] for row in cells.rows]
    if not ids:
        raise InputError(f"{path}: names columns, and has no line of a sample")
    lines: dict[str, int] = {}
    for sample_id, line in zip(ids, cells.lines, strict=True):
        if sample_id in lines:
            both = f"lines {lines[sample_id]} and {line}"
            raise InputError(f"{path}: the sample ID {sample_id!r} is there twice ({both}); remove or rename one")
        lines[sample_id] = line
    if len(ids) > 1 and cells.header[1:] == ids:
        raise InputError(f"{path}: is a matrix of distances between samples, not metadata; give it as `unifrac_matrix`")


def _refuse_declared(cells: Cells, rows: Sequence[Sequence[str]], types: Mapping[str, str], path: Path) -> None:
    """InputError for values that are no numbers in columns that ``#q2:types`` declares numeric."""
    for place, column in enumerate(cells.header):
        if types.get(column) == "numeric":
            values = {row[0]: row[place] for row in rows if row[place] and not INSDC_TERM.fullmatch(row[place])}
            wrong = by_text([value if np.isnan(_finite(value)) else None for value in values.values()], values)
            if wrong and "inf" not in {bare(text).lstrip("+-")[:3] for text in wrong}:
                said = not_numbers(column, wrong, len(values), "declare it categorical")
                raise InputError(f"{path}: {said} (#q2:types declares it numeric)")


def column_of(metadata: pd.DataFrame, column: str) -> pd.Series:
    """A column by its name. InputError for an unknown one."""
    if column not in metadata.columns:
        raise InputError(f"the metadata has no column {shown(column)}; columns: {first_few(metadata.columns, 30)}")
    return metadata[column]


@dataclass(frozen=True)
class Reconciliation:
    """Which samples the table and the metadata share; every field has the ids in the order of their file.

    in_both: in the table and in the metadata; only_in_table, only_in_metadata: in one of them; without: by column, those of in_both
    that have no value in it; filtered_out: samples of the table that `where` leaves out (in no other field).
    """

    in_both: tuple[str, ...]
    only_in_table: tuple[str, ...]
    only_in_metadata: tuple[str, ...]
    without: Mapping[str, tuple[str, ...]]
    filtered_out: tuple[str, ...]

    @property
    def usable(self) -> tuple[str, ...]:
        """Samples in both, with every value that is needed, in table order."""
        unusable = {sample_id for ids in self.without.values() for sample_id in ids}
        return tuple(sample_id for sample_id in self.in_both if sample_id not in unusable)

    def report(self) -> str:
        """One line with the size of each set."""
        without = "".join(f"{len(ids)} without {shown(column)}, " for column, ids in self.without.items())
        return (
            f"samples: {len(self.in_both)} in table and metadata, {len(self.only_in_table)} only in the table, "
            f"{len(self.only_in_metadata)} only in the metadata, {without}"
            f"{len(self.filtered_out)} left out by `where`; {len(self.usable)} usable"
        )


def reconcile(
    table_ids: Sequence[str],
    metadata: Metadata,
    needed: Sequence[str | tuple[str, ...]] = (),
    *,
    where: str | None = None,
    ignore_missing: bool = False,
) -> Reconciliation:
    """Match a table's samples with all rows of the metadata, keep those that `where` selects, and log the report.

    needed: columns in which a sample must have a value, such as the target and the group, or of several columns in one. InputError
    for a sample of the table without metadata or such a value (unless `ignore_missing`, which warns), for an unknown column, and
    when no sample is left.
    Samples that `where` leaves out are not missing; samples without reads in the table are only reported.
    """
    typed = metadata.typed
    selected = typed if where is None else select_where(typed, where, metadata.written)
    in_table, known, kept = set(table_ids), set(typed.index), set(selected.index)
    in_both = tuple(sample_id for sample_id in table_ids if sample_id in kept)
    if in_table.isdisjoint(known):
        both = f"the table has {first_few(table_ids, 3)}; the metadata {first_few(typed.index, 3)}"
        raise InputError(f"no sample of the table is in the metadata: {both}{near_ids(table_ids, typed.index, 'the metadata')}")
    without = {}
    for one in dict.fromkeys(needed):
        columns = (one,) if isinstance(one, str) else one
        has_value = {name for column in columns for name in selected.index[column_of(selected, column).notna()]}
        without[" or ".join(columns)] = tuple(sample_id for sample_id in in_both if sample_id not in has_value)
    result = Reconciliation(
        in_both=in_both,
        only_in_table=tuple(sample_id for sample_id in table_ids if sample_id not in known),
        only_in_metadata=tuple(sample_id for sample_id in selected.index if sample_id not in in_table),
        without=without,
        filtered_out=tuple(sample_id for sample_id in table_ids if sample_id in known and sample_id not in kept),
    )
    log.info("%s", result.report())
    _refuse(result, typed, ignore_missing)
    return result


def _refuse(result: Reconciliation, metadata: pd.DataFrame, ignore_missing: bool) -> None:
    only = result.only_in_table
    advice = "complete the metadata, or pass `ignore_missing` to leave them out"
    unmatched = set(metadata.index).difference(result.in_both, result.filtered_out)
    near = near_ids(only, [name for name in metadata.index if name in unmatched], "the metadata")
    unusable = [
        (f"{counted(len(only), 'sample')} of the table {'is' if len(only) == 1 else 'are'} not in the metadata", only, near)
    ]
    for column, lacking in result.without.items():
        problem = some_of(len(lacking), len(result.in_both), f"have no value in column {shown(column)}")
        unusable.append((problem, lacking, ""))
    for problem, ids, hint in unusable:
        if ids and not ignore_missing:
            raise InputError(f"{problem}: {first_few(ids)}{hint}; {advice}")
        if ids:
            log.warning("%s, and are left out: %s%s", problem, first_few(ids), hint)
    if not result.usable:
        raise InputError(f"no sample is left to use; {result.report()}")


def _values(metadata: pd.DataFrame, column: str, ids: Sequence[str], values: pd.Series) -> pd.Series:
    """Look up the column's `values` for `ids`; InputError when one is missing."""
    if unknown := [sample_id for sample_id in ids if sample_id not in metadata.index]:
        raise InputError(f"{some_of(len(unknown), len(ids), 'are not in the metadata')}: {first_few(unknown)}")
    values = values.loc[list(ids)]
    if missing := list(values.index[values.isna()]):
        advice = f'complete the metadata, or leave them out with `where` "[{column}] IS NOT NULL"'
        lacking = some_of(len(missing), len(ids), f"have no value in column {shown(column)}")
        raise InputError(f"{lacking}: {first_few(missing)}; {advice}")
    return values


def numeric_column(metadata: Metadata, column: str, ids: Sequence[str], as_classes: str = "pass `classifier`") -> np.ndarray:
    """Numbers of the samples `ids`, float64 [N]; InputError that names every value which is no finite number, and says what to do
    if they are classes (`as_classes`).
    """
    values = _values(metadata.typed, column, ids, column_of(metadata.typed, column))
    numbers = np.array([_finite(value) for value in values], dtype=np.float64)
    if np.isnan(numbers).any():
        wrong = by_text(values[np.isnan(numbers)].map(str), [ids[int(row)] for row in np.flatnonzero(np.isnan(numbers))])
        raise InputError(not_numbers(column, wrong, len(values), as_classes))
    return numbers


def not_numbers(column: str, wrong: Mapping[str, Sequence[str]], total: int, as_classes: str) -> str:
    """Which of the `total` values of a column are no numbers (text -> IDs of its samples), and how to go on; as_classes: with a
    column of classes.
    """
    number = sum(map(len, wrong.values()))
    finite = "finite " if any(_is_infinite(text) for text in wrong) else ""
    missing = [text for text in wrong if means_missing(text)]
    others = len(wrong) > len(missing)
    advice = []
    if missing:
        subject = "this" if not others else f"{missing[0]!r}"
        advice.append(f"if {subject} means missing, {how_to_leave_out(missing)}")
    if others and all(_DECIMAL_COMMA.fullmatch(text) for text in wrong if text not in missing):
        advice.append("write numbers with a decimal point, not a comma")
    elif others and number > total / 2:
        advice.append(f"correct them, or {as_classes} if the column holds classes")
    elif others:
        advice.append("write numbers with the digits 0-9 and a decimal point, without a unit, or leave them out by `where`")
    # Words for missing values are few; the rest may be a whole column of text.
    ordered = {text: wrong[text] for text in [*missing, *(text for text in wrong if text not in missing)]}
    named = with_samples(ordered, named=3 if number <= total / 2 else 0, limit=max(5, len(missing)))
    return f"column {column}: {number} of {total} values are not {finite}numbers: {named}; {'; '.join(advice)}"


def _finite(value: object) -> float:
    number = finite_number(str(value))
    return np.nan if number is None else number


def _is_infinite(text: str) -> bool:
    try:
        return bool(np.isinf(float(text)))
    except ValueError:
        return False


def categorical_column(metadata: Metadata, column: str, ids: Sequence[str]) -> np.ndarray:
    """Values of the samples `ids` as text, object [N], as written ("1.10" is not "1.1"): see `Metadata.texts`.

    InputError that names the samples without a value.
    """
    return _values(metadata.typed, column, ids, metadata.texts(column)).to_numpy(dtype=object)


def text_values(values: pd.Series) -> np.ndarray:
    """Write a column as text, object [N]: numbers as people write them ("6", not "6.0"), None where missing.

    Whole numbers are written in full as far as float64 tells them apart, so that long numbers of subjects stay two.
    """
    texts = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        if not pd.isna(value):
            texts[row] = value if isinstance(value, str) else _number_text(value)
    return texts


def _number_text(value: float) -> str:
    is_whole = isinstance(value, Integral) or (abs(value) < 2**53 and value == round(value))
    return str(int(value)) if is_whole else f"{value:.15g}"
