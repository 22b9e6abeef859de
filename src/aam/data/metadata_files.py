"""Metadata files as they come: TSV, CSV and QIIME 2 artifacts, as rows of text with their lines."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aam.data.files import HDF5_SIGNATURE, ZIP_SIGNATURE, decode, read_file, read_qza_ending
from aam.data.h5ad import is_h5ad, read_annotations
from aam.data.kinds import kind_of
from aam.errors import InputError, first_few, one_line

log = logging.getLogger(__name__)

ID_NAME = "sample-id"
# Names of the column of IDs that QIIME 2 does not know: pandas, R, NCBI's run tables, R's write.table with col.names=NA.
_MORE_ID_NAMES = ("sample_id", "sample.id", "run")
_DELIMITERS = {"\t": "tabs", ",": "commas", ";": "semicolons"}
_ARTIFACTS = ("ImmutableMetadata", "SampleData[", "Visualization")
_SEPARATOR_LINE = re.compile(r'\A"?sep=[,;\t]"?(?=[\r\n])', re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_ADVICE = "give metadata as TSV, CSV, or a QIIME 2 artifact that holds metadata"


@dataclass(frozen=True)
class Cells:
    """Cells of a metadata file, without blanks around them.

    header: names of the columns, the first that of the IDs, as QIIME 2 knows it; directives: rows such as ``#q2:types``; rows: the
    cells of each sample, as many as the header has; lines: the line of each of them.
    """

    header: list[str]
    directives: list[list[str]]
    rows: list[list[str]]
    lines: list[int]

    def directive(self, name: str) -> dict[str, str]:
        """What the directive (types, missing) says, by column; nothing where there is none."""
        for row in self.directives:
            if row[0].split(" ")[0] in (f"#q2:{name}", f"#sk:{name}"):
                return {column: word for column, word in zip(self.header[1:], row[1:], strict=False) if word}
        return {}


def read_cells(path: Path) -> Cells:
    """Read the cells of a metadata file. InputError, which names line and column, for what cannot be told."""
    content = read_file(path)
    if is_h5ad(content, path):
        return _annotated(content, path)
    # What Excel reads, and no other program.
    text = _SEPARATOR_LINE.sub("", _text_of(content, path))
    delimiter = _delimiter_of(text)
    if delimiter != "\t":
        comma = "; a decimal comma makes no number" if delimiter == ";" else ""
        log.info("%s: values are read as separated by %s%s", path, _DELIMITERS[delimiter], comma)
    rows = [row for row in _rows_of(text, delimiter, path) if any(row[1])]
    first = next((place for place, (_, row) in enumerate(rows) if not _is_comment(row)), None)
    if first is None:
        raise InputError(f"{path}: holds no metadata: no line names the columns")
    line, names = rows[first]
    directives, body = [], []
    for number, row in rows[first + 1 :]:
        if not _is_directive(row):
            body += [] if _is_comment(row) else [(number, row)]
        elif body:
            raise InputError(f"{path}: line {number}: {row[0]} belongs right below the line that names the columns")
        else:
            directives.append(row)
    header = _header_of(names, [row for _, row in body], f"{path}: line {line}")
    return Cells(header, directives, [_fitted(row, header, f"{path}: line {number}") for number, row in body], [n for n, _ in body])


def _annotated(content: bytes, path: Path) -> Cells:
    """The annotations of samples of an AnnData file, whose columns are numbers or text by their kind."""
    found = read_annotations(content, path)
    header = _header_of([ID_NAME, *(name.strip() for name in found.columns)], [], f"{path}: obs")
    types = ["#q2:types", *("numeric" if name in found.numeric else "categorical" for name in found.columns)]
    columns = [[_plain((value or "").strip()) for value in column] for column in found.columns.values()]
    rows = [list(row) for row in zip(found.ids, *columns, strict=True)]
    return Cells(header, [types], rows, [row + 1 for row in range(len(rows))])


def read_sample_ids(path: Path) -> list[str]:
    """IDs of samples: the first column of metadata, or, where no header names them, a plain list, one ID a line."""
    text = _text_of(read_file(path), path)
    starts = (re.split(r"[\t,;]", line)[0].strip().strip('"').strip() for line in _SEPARATOR_LINE.sub("", text).splitlines())
    if names_samples(next((cell for cell in starts if cell and not _is_comment([cell])), "")):
        return [row[0] for row in read_cells(path).rows]
    return [row[0] for _, row in _rows_of(text, "\t", path) if row and row[0] and not row[0].startswith("#")]


def _text_of(content: bytes, path: Path) -> str:
    if content.startswith(ZIP_SIGNATURE):
        content = read_qza_ending(content, path, _ARTIFACTS, ("metadata.tsv", ".tsv"), "metadata of samples")
    elif content.startswith(HDF5_SIGNATURE):
        raise InputError(f"{path}: is an HDF5 file (a BIOM table?), not metadata; {_ADVICE}")
    if kind := kind_of(content):
        raise InputError(f"{path}: is {kind}, not metadata; {_ADVICE}")
    try:
        return decode(content)
    except UnicodeDecodeError as error:
        where = "" if error.encoding.startswith("utf-16") else _place_of(content, error.start)
        advice = "save the file as UTF-8 (in a spreadsheet program: CSV UTF-8)"
        raise InputError(f"{path}: {where}is not text in UTF-8; {advice}") from error


def _place_of(content: bytes, start: int) -> str:
    """Line, column and cell of the byte that is no UTF-8, as if it were Latin-1."""
    before = content[:start]
    first = max(before.rfind(end) for end in (b"\n", b"\r", b"\t", b",", b";", b'"')) + 1
    cell = re.split(rb'[\r\n\t,;"]', content[first : first + 200])[0].decode("latin-1")
    line = before.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
    tabs = re.split(rb"[\r\n]", before)[-1].count(b"\t")
    column = f", column {tabs + 1}" if b"\t" in before else ""
    return f"line {line}{column}: {cell!r} "


def _delimiter_of(text: str) -> str:
    """What is between the values: a tab, or where the first line that is no comment has none, the first comma or semicolon."""
    for match in re.finditer(r"[^\r\n]+", text):
        line = match[0].strip(" ")
        first = re.split(r"[\t,;]", line)[0].strip().strip('"')
        if not _is_comment([first]) and line.strip():
            unquoted = _QUOTED.sub("", line)
            # No name of the column of IDs holds either.
            found = None if "\t" in unquoted else re.search("[,;]", unquoted)
            return found[0] if found else "\t"
    return "\t"


def _rows_of(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line that each begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True)
    line = 1
    try:
        for row in reader:
            yield line, [_plain(cell.strip()) for cell in row]
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}: line {line}: {one_line(error)}; is a quotation mark not closed, or in a value?") from error


def _plain(cell: str) -> str:
    """A cell, or nothing where all that is in it cannot be seen."""
    seen = cell.isprintable() or any(letter.isprintable() and not letter.isspace() for letter in cell)
    return cell if seen else ""


def names_samples(header: str) -> bool:
    """Whether a first cell is the name of the column of sample IDs, as QIIME 2 or other programs write it."""
    return _is_id_name(header) or header.lower() in _MORE_ID_NAMES


def _is_id_name(name: str) -> bool:
    from skbio.metadata.base import is_id_header

    return bool(is_id_header(name))


def _is_directive(row: Sequence[str]) -> bool:
    return row[0].startswith(("#q2:", "#sk:"))


def _is_comment(row: Sequence[str]) -> bool:
    return row[0].startswith("#") and not _is_directive(row) and not _is_id_name(row[0])


def _header_of(names: list[str], rows: Sequence[list[str]], where: str) -> list[str]:
    """Names of the columns, the first that of the IDs. InputError for one that is missing or there twice."""
    while names[-1] == "":
        names = names[:-1]
    if _is_directive(names):
        raise InputError(f"{where}: {names[0]} belongs right below the line that names the columns")
    if not _is_id_name(names[0]):
        if names_samples(names[0]) or not names[0]:
            names = [ID_NAME, *names[1:]]
        elif rows and all(len(row) == len(names) + 1 for row in rows):
            # R's write.table names every column but that of the row names.
            names = [ID_NAME, *names]
        else:
            raise InputError(f"{where}: {_unknown_id_name(names)}")
    if "" in names:
        raise InputError(f"{where}: column {names.index('') + 1} has no name; name it, or remove it")
    places = {name: [place + 1 for place, other in enumerate(names) if other == name] for name in names}
    if twice := [f"{name!r} (columns {first_few(at)})" for name, at in places.items() if len(at) > 1]:
        raise InputError(f"{where}: columns have the same name: {first_few(twice)}; rename all but one")
    if reserved := [name for name in names[1:] if _is_id_name(name)]:
        raise InputError(f"{where}: {reserved[0]!r} is a name of the column of sample IDs, which is the first; rename this column")
    return names


def _unknown_id_name(names: list[str]) -> str:
    known = f"{ID_NAME}, id, sampleid, #SampleID, sample_name, sample_id, Run, or nothing"
    if len(names) == 1:
        return f"no tab, comma or semicolon is in {names[0][:60]!r}, which should name the columns; {_ADVICE}"
    return f"the first column is called {names[0][:60]!r}, which is no name for sample IDs; call it {known}"


def _fitted(row: list[str], header: Sequence[str], where: str) -> list[str]:
    """A row with as many cells as the header. InputError for one with more, or without an ID."""
    beyond = [cell for cell in row[len(header) :] if cell]
    if beyond:
        names = f"there are {len(header)} columns (the last is {header[-1]!r})"
        raise InputError(f"{where}: has {len(row)} values, and {names}: {beyond[0][:60]!r} is beyond them; is a value split?")
    if not row[0]:
        raise InputError(f"{where}: has no sample ID in its first column; name the sample, or remove the line")
    return [*row[: len(header)], *[""] * (len(header) - len(row))]
