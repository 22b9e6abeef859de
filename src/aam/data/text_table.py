"""Tables as delimited text: TSV of biom, CSV, what R writes, mothur's shared files. What the rows are is said by the header's first
cell, or by names that look like ASVs; where neither says it, it is an error.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from aam.data.numbers import finite_number, row_of_numbers
from aam.errors import InputError, counted, first_few, shown

log = logging.getLogger(__name__)

NOT_A_TABLE = "not a feature table: give BIOM 2.1 (HDF5), BIOM 1 (JSON), QIIME 2 .qza, TSV or CSV"
_LAYOUT = "a '#OTU ID' header with the sample ids, one row for each feature"
# Columns beside the counts, written without blanks, dots and the like, where they hold no counts: a sample may have such a name.
_TAXONOMY = {"taxonomy", "taxon", "consensuslineage", "lineage", "confidence", "sequence"}
_ANNOTATIONS = _TAXONOMY | {"domain", "kingdom", "phylum", "class", "order", "family", "genus", "species"}
_MOTHUR_ROWS = "representativesequence"
# First cells of a header that programs write for none: R's read.csv, readr, pandas.
_NAMELESS = re.compile(r"X|\.\.\.1|Unnamed: 0")
# First cells of a header, written in the same way.
_FEATURES = re.compile(
    r"((z?otu|asv|esv|feature)(id)?|(asv|representative)?seq(uence)?|gene|genome|pathway|taxon)s?|genefamily|function|ko|"
    "taxa|taxonomy|phylum|class|order|family|genus|species"
)
_SAMPLES = re.compile("sample(id|name)?s?|run|specimen")
# In a line that is not empty, nor one of a spreadsheet's empty rows.
_FILLED = re.compile(r'[^\s,;"]')
_SEPARATORS = "\t,;"
# Longer than the barcodes that some name their samples by.
_SEQUENCE = re.compile("[ACGTURYSWKMBDHVN]{30,}", re.ASCII | re.IGNORECASE)
_NUMBERED = re.compile(r"(z?otu|asv|esv|denovo)[ _.:-]?\d+", re.IGNORECASE)
_TAXON = re.compile(r"[dk]__.*|.*;\s*[kpcofgs]__.*", re.IGNORECASE)
# Numbered, an MD5, or a taxon.
_FEATURE = re.compile(rf"{_NUMBERED.pattern}|[0-9a-f]{{32}}|{_TAXON.pattern}", re.IGNORECASE)
_PLAIN = "begin the header with 'sample-id' if rows are samples, with '#OTU ID' if they are features"
_TOTALS = frozenset({"total", "totals", "sum", "grandtotal", "size"})


@dataclass(frozen=True)
class _Grid:
    """Rows that are still text, and how they are to be cut.

    corner: first cell of the header, None where the header is one cell short, as R writes it; columns: names of the others;
    at: of each row, the cells that are counts; name_at: the cell that names it; width: cells.
    """

    path: Path
    separator: str
    corner: str | None
    columns: Sequence[str]
    at: Sequence[int]
    rows: Sequence[str]
    width: int
    name_at: int = 0

    def names(self) -> list[str]:
        """Names of the rows."""
        if self.name_at == 0 and self.separator != " ":
            return [cut(row, self.separator)[0] if row.startswith('"') else row.partition(self.separator)[0] for row in self.rows]
        return [cut(row, self.separator)[self.name_at] for row in self.rows]


def read_text(text: str, path: Path) -> tuple[Any, Sequence[str], Sequence[str]]:
    """Sparse float [M, N] as a text has it, feature ids, sample ids: not checked yet. Line ends are line feeds.

    InputError for what is no table, for rows of other lengths, for cells that are no number, and where it cannot be told whether
    rows are features or samples.
    """
    lines = [line for line in text.split("\n") if _FILLED.search(line)]
    if not lines:
        raise InputError(f"{path}: {NOT_A_TABLE}; this file is empty")
    grid = _grid(lines, path)
    if _is_shared(grid):
        grid, transposed = _shared(grid), True
    else:
        transposed = _samples_as_rows(grid)
        grid = _without_annotations(grid, transposed)
    names = grid.names()
    matrix = _matrix(grid, names, "sample" if transposed else "feature")
    features, samples = (grid.columns, names) if transposed else (names, grid.columns)
    if transposed:
        log.info("%s: its rows are samples: %s, %s", path, counted(len(samples), "sample"), counted(len(features), "feature"))
        matrix = sparse.csr_array(matrix.T)
    _refuse_totals(matrix, path, features, samples)
    return matrix, features, samples


def cut(line: str, separator: str) -> list[str]:
    """The cells of a line; quotes as CSV and R write them are taken off, others are left."""
    if '"' in line:
        try:
            return next(csv.reader([line], delimiter=separator, strict=True))
        except csv.Error:
            pass
    return line.split(None if separator == " " else separator)


def _grid(lines: list[str], path: Path) -> _Grid:
    header, rows, separator = _header_and_rows(lines)
    header, rows = _without_empty_columns(header, rows, separator)
    first = cut(rows[0], separator) if rows else header
    longer = len(first) - len(header)
    if max(len(header), len(first)) < 2 or (longer not in (0, 1) and (separator == " " or len(header) < 2)):
        raise InputError(f"{path}: {NOT_A_TABLE}: {_LAYOUT}")
    named = _is_corner(header[0]) or (longer == 0 and _NAMELESS.fullmatch(header[0].strip()) is not None)
    corner, columns = (None, header) if longer == 1 and not named else (header[0], header[1:])
    if not named and corner is not None and columns and all(map(_is_number, columns)):
        raise InputError(f"{path}: {NOT_A_TABLE}: {_LAYOUT}; this one begins with counts")
    if not named and not any(map(_is_number, first[1:])):
        raise InputError(f"{path}: {NOT_A_TABLE}: {_LAYOUT}")
    return _Grid(path, separator, corner, columns, range(1, len(columns) + 1), rows, len(columns) + 1)


def _header_and_rows(lines: list[str]) -> tuple[list[str], list[str], str]:
    """Cells of the header, rows, and what separates cells. The header is the last comment, or the line below comments."""
    first = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    rows = lines[first:]
    if first:
        separator = _separator(lines[first - 1], rows[0] if rows else "")
        header = cut(lines[first - 1], separator)
        if len(header) > 1 and _is_header(header, cut(rows[0].rstrip(separator), separator) if rows else []):
            return header, rows, separator
    if not rows:
        return [], [], " "
    separator = _separator(rows[0], rows[1] if len(rows) > 1 else "")
    return cut(rows[0], separator), rows[1:], separator


def _is_header(comment: list[str], below: list[str]) -> bool:
    """Whether the last comment is the header, and not the line below it."""
    said = _key(comment[0])
    if _FEATURES.fullmatch(said) or _SAMPLES.fullmatch(said):
        return True
    # Samples may be numbered; a feature may be called Taxa, but not OTU ID.
    if below and _is_corner(below[0]) and (_key(below[0]).endswith("id") or not any(map(_is_number, below[1:]))):
        return False
    filled = max((place for place, cell in enumerate(comment, 1) if cell.strip()), default=0)
    return abs(filled - len(below)) < 2


def _separator(header: str, row: str) -> str:
    """Of columns, as the first row has it, or a header alone."""
    return next((sign for sign in _SEPARATORS if sign in (row or header)), "\t" if "\t" in header else " ")


def _without_empty_columns(header: list[str], rows: list[str], separator: str) -> tuple[list[str], list[str]]:
    """Leave out last columns that have neither a name nor a value in any row."""
    if separator == " ":
        return header, rows
    named = max((place for place, name in enumerate(header, 1) if name.strip()), default=1)
    widths = [len(cut(row, separator)) if '"' in row else row.count(separator) + 1 for row in rows]
    filled = (width - len(row) + len(row.rstrip(separator)) for width, row in zip(widths, rows, strict=True))
    # What a header names that is one cell short lies one to the right.
    short = len(header) < widths[0] and not _is_corner(header[0]) if rows else False
    last = max(named + short, *filled, 0)
    cut_off = [row[: len(row) - max(0, width - last)] for width, row in zip(widths, rows, strict=True)]
    return header[:last], cut_off


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _of_samples(corner: str | None) -> bool:
    """Whether the first cell of a header says that rows are samples."""
    return _SAMPLES.fullmatch(_key(corner or "")) is not None


def _of_features(corner: str | None) -> bool:
    """Whether the first cell of a header says that rows are features, as anything behind a # does that is no sample."""
    return _FEATURES.fullmatch(_key(corner or "")) is not None or (corner or "").strip().startswith("#")


def _is_corner(name: str) -> bool:
    """Whether it is the first cell of a header, and names no column."""
    return not name.strip() or _of_features(name) or _of_samples(name)


def _is_number(text: str) -> bool:
    return finite_number(text) is not None


def _is_shared(grid: _Grid) -> bool:
    """Whether it is what mothur's make.shared writes."""
    return grid.corner is not None and [_key(grid.corner), *map(_key, grid.columns[:1])] == ["label", "group"]


def _shared(grid: _Grid) -> _Grid:
    """A shared file: label, group, number of OTUs, counts. InputError for one of several labels."""
    labels = list(dict.fromkeys(cut(row, grid.separator)[0] for row in grid.rows))
    if len(labels) > 1:
        raise InputError(
            f"{grid.path}: a shared file of mothur with {len(labels)} labels ({first_few(labels)}), each with all reads: "
            "keep the lines of one, and give that file"
        )
    if short := [row for row in grid.rows if len(cut(row, grid.separator)) < 2]:
        raise InputError(f"{grid.path}: a shared file of mothur with a line of one cell: {shown(short[0][:100])}; is it complete?")
    before = 2 if _key("".join(grid.columns[1:2])) == "numotus" else 1
    return replace(grid, columns=grid.columns[before:], at=grid.at[before:], name_at=1)


def _without_annotations(grid: _Grid, transposed: bool) -> _Grid:
    """Without the columns that are no counts of a sample, which is said, as is what is kept under a name of such a column."""
    keys = [_key(name) for name in grid.columns]
    asked = [place for place, key in enumerate(keys) if key in _ANNOTATIONS]
    out = set(_without_counts(grid, asked))
    if kept := [grid.columns[place] for place in asked if place not in out]:
        kind = "features" if transposed else "samples"
        log.warning(
            "%s: columns of whole numbers are read as %s: %s; take out those that are none", grid.path, kind, first_few(kept)
        )
    if _key(grid.corner or "") == _MOTHUR_ROWS:
        out |= {place for place, key in enumerate(keys) if key == "total"}
    if out:
        log.info("%s: columns without counts are left out: %s", grid.path, first_few(grid.columns[place] for place in sorted(out)))
    if not transposed and len(keys) > 1 and "size" in keys:
        log.warning("%s: column size is left out, as the size of each feature; if it is a sample, give it another name", grid.path)
        out |= {place for place, key in enumerate(keys) if key == "size"}
    if not out:
        return grid
    left = [place for place in range(len(keys)) if place not in out]
    return replace(grid, columns=[grid.columns[place] for place in left], at=[grid.at[place] for place in left])


def _without_counts(grid: _Grid, places: Sequence[int]) -> Iterator[int]:
    """Which of these columns hold something else than counts, as confidences do even where all are 1."""
    rows = (cut(row, grid.separator) for row in grid.rows if places)
    cells = [[row[grid.at[place]] if grid.at[place] < len(row) else "0" for place in places] for row in rows]
    for place, column in zip(places, zip(*cells, strict=True), strict=False):
        numbers = [finite_number(cell) for cell in column]
        counts = all(number is not None and number >= 0 and number.is_integer() for number in numbers)
        shares = _key(grid.columns[place]) == "confidence" and set(numbers) <= {0, 1}
        if shares or not counts:
            yield place


def _most(pattern: re.Pattern[str], names: Sequence[str]) -> bool:
    return 2 * sum(pattern.fullmatch(name.strip()) is not None for name in names) > len(names)


def _likeness(names: Sequence[str]) -> int:
    """How much names look like those of features: 3 where most are sequences, 2 taxa, 1 such as ``ASV_12`` or an MD5, else 0.

    Samples may be numbered so, or named by a UUID.
    """
    if _most(_SEQUENCE, names):
        return 3
    return 2 if _most(_TAXON, names) else int(_most(_FEATURE, names))


def _samples_as_rows(grid: _Grid) -> bool:
    """Whether rows are samples. InputError where nothing says what they are, or header and names say different things."""
    names = grid.names()
    if names and set(grid.columns) == set(names):
        raise InputError(f"{grid.path}: a matrix of distances; {NOT_A_TABLE}")
    across, down = _likeness(grid.columns), _likeness(names)
    if _of_samples(grid.corner):
        return across >= down or not _overruled(grid, "rows", names, "columns", grid.columns)
    if _of_features(grid.corner):
        # Samples of a table of features may be named by UUIDs: the header says it, and rows that are no ASVs are taxa or genes.
        unlike = across > down and (across > 1 or _most(_NUMBERED, grid.columns))
        return unlike and _overruled(grid, "columns", grid.columns, "rows", names)
    if across == down:
        raise InputError(f"{grid.path}: its header does not say whether rows are features or samples: {_PLAIN}")
    return across > down


def _overruled(grid: _Grid, like: str, names: Sequence[str], unlike: str, others: Sequence[str]) -> bool:
    """True, and said, where the names of `like`, which look like features, overrule the header: sequences and taxa do.

    InputError where header and names say different things, and samples may have such names.
    """
    begins = f"its header begins with {shown(grid.corner)}"
    if _likeness(names) > 1:
        first = shown(names[0][:40])
        log.warning("%s: %s, but %s are named like features (%s), and read as features", grid.path, begins, like, first)
        return True
    corner = "sample-id" if like == "columns" else "#OTU ID"
    raise InputError(
        f"{grid.path}: {begins}, so {unlike} are features, but {like} look like features ({first_few(names, 2)}) and {unlike} do "
        f"not ({first_few(others, 2)}): if {like} are features, begin the header with '{corner}'; if they are samples, give them "
        f"names that do not look like features, such as {shown(f'S_{names[0]}')}"
    )


def _cells(grid: _Grid, names: Sequence[str], kind: str) -> Iterator[tuple[str, list[str]]]:
    """Of each row its name and the cells that are counts; InputError for a row of another length."""
    first, whole = grid.at[0] if grid.at else 0, isinstance(grid.at, range)
    for name, row in zip(names, grid.rows, strict=True):
        cells = cut(row, grid.separator)
        if len(cells) != grid.width:
            header = grid.width - (grid.corner is None)
            raise InputError(f"{grid.path}: {kind} {shown(name.strip())} has {counted(len(cells), 'cell')}, the header {header}")
        yield name, cells[first : first + len(grid.at)] if whole else [cells[place] for place in grid.at]


def _matrix(grid: _Grid, names: Sequence[str], kind: str) -> sparse.csr_array:
    """Float [rows, columns]."""
    columns, values = [np.empty(0, np.int64)], [np.empty(0)]
    for name, cells in _cells(grid, names, kind):
        try:
            row = row_of_numbers(cells)
        except ValueError as error:
            raise InputError(_no_count(grid, name, cells, kind)) from error
        columns.append(np.flatnonzero(row))
        values.append(row[columns[-1]])
    indptr = np.cumsum([len(column) for column in columns])
    return sparse.csr_array((np.concatenate(values), np.concatenate(columns), indptr), shape=(len(names), len(grid.columns)))


def _no_count(grid: _Grid, name: str, cells: Sequence[str], kind: str) -> str:
    place = next((place for place, cell in enumerate(cells) if not _is_number(cell)), 0)
    row, column = f"{kind} {shown(name.strip())}", f"{'feature' if kind == 'sample' else 'sample'} {shown(grid.columns[place])}"
    where = f"{row}, {column}" if kind == "sample" else f"{column}, {row}"
    problem = f"{cells[place][:100]!r} is no number" if cells[place].strip() else "the cell is empty"
    about = "; are these metadata of samples?" if _of_samples(grid.corner) else ""
    return f"{grid.path}: {where}: {problem}; every cell must be a count of reads, 0 for none{about}"


def _refuse_totals(matrix: sparse.csr_array, path: Path, features: Sequence[str], samples: Sequence[str]) -> None:
    """InputError for a row or a column of sums, which would count every read twice."""
    for counts, kind, names in ((matrix.T, "sample", samples), (matrix, "feature", features)):
        for place in (place for place, name in enumerate(names) if _key(name) in _TOTALS and len(names) > 1):
            own = sparse.csr_array(counts)[[place]].toarray().ravel()
            if np.array_equal(own, counts.sum(axis=0) - own):
                raise InputError(f"{path}: {kind} {names[place]} is the sum of all others; take it out of the table")
