"""Odd metadata, and other files in their place."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.odd_files import AGES, SAMPLES, SITES, SUBJECTS, Odd, fasta_text, metadata_text, put, table_text
from tests.support.formats import qza_bytes

SOUND = metadata_text()
COMMAS = metadata_text(",")
NUMBERS = [str(age) for age in AGES]
CELLS = (SAMPLES, NUMBERS, SITES, SUBJECTS)
LINES = SOUND.splitlines()


def of(name: str, content: str | bytes, **options: Any) -> Callable[[Path], dict[str, Any]]:
    """Metadata of that content."""
    return lambda folder: {"metadata": put(folder, name, content), **options}


def two(first: str, second: str) -> Callable[[Path], dict[str, Any]]:
    """Metadata in two files."""
    return lambda folder: {"metadata": (put(folder, "first.tsv", first), put(folder, "second.csv", second))}


def replaced(values: Sequence[str], by: str, every: int = 8) -> list[str]:
    """The values, some of them another one."""
    return [by if row % every == 0 else value for row, value in enumerate(values)]


def quoted(corner: str | None, separator: str = "\t") -> str:
    """Text in quotation marks, as R writes it; no first cell in the header where `corner` is None."""
    names = [name for name in (corner, "age", "site", "subject") if name is not None]
    rows = [[f'"{sample}"', age, f'"{site}"', f'"{subject}"'] for sample, age, site, subject in zip(*CELLS, strict=True)]
    return "\n".join(separator.join(row) for row in [[f'"{name}"' for name in names], *rows]) + "\n"


def columns_of(lines: Sequence[str], separator: str, *places: int) -> str:
    """Some columns of the sound metadata."""
    return "".join(separator.join(line.split("\t")[place] for place in places) + "\n" for line in lines)


def workbook() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


def distances() -> str:
    rows = ["\t".join([first, *("0" if first == second else "1" for second in SAMPLES)]) for first in SAMPLES]
    return "\n".join(["\t".join(["", *SAMPLES]), *rows]) + "\n"


READ: dict[str, Callable[[Path], dict[str, Any]]] = {
    "commas": of("m.csv", COMMAS),
    "commas, quoted, of Windows": of("w.csv", "\ufeff" + quoted("sample-id", ",").replace("\n", "\r\n")),
    "commas, blanks after them": of("b.csv", COMMAS.replace(",", ", ")),
    "semicolons": of("s.csv", metadata_text(";")),
    "semicolons, a line for Excel": of("e.csv", "sep=;\n" + metadata_text(";")),
    "commas in names, semicolons between": of("n.csv", metadata_text(";", **{"weight (kg, dry)": NUMBERS, "a,b,c,d,e": SITES})),
    "barcodes of twenty digits": of("bc.tsv", metadata_text(barcode=[str(18446744073709551002 + row) for row in range(30)])),
    "UTF-16": of("u.txt", SOUND.encode("utf-16")),
    "gzip": of("m.tsv.gz", gzip.compress(SOUND.encode())),
    "carriage returns alone": of("mac.txt", SOUND.replace("\n", "\r")),
    "R, row names without a name": of("r.tsv", quoted(None)),
    "R, col.names=NA": of("na.tsv", quoted("")),
    "pandas, index without a name": of("p.csv", metadata_text(",", corner="")),
    "QIIME 1": of("map.txt", "# made in 2014\n" + metadata_text(corner="#SampleID")),
    "sample_id": of("id.tsv", metadata_text(corner="sample_id")),
    "SampleID": of("id2.tsv", metadata_text(corner="SampleID")),
    "a run table of NCBI": of("SraRunTable.txt", metadata_text(",", corner="Run")),
    "types declared": of("t.tsv", SOUND.replace("\n", "\n#q2:types\tnumeric\tcategorical\tcategorical\n", 1)),
    "blanks around": of("blanks.tsv", SOUND.replace("\t", " \t ").replace("S0", "  S0")),
    "blanks that do not break": of("nbsp.tsv", SOUND.replace("\t", "\u00a0\t")),
    "tabs at the ends": of("tabs.tsv", SOUND.replace("\n", "\t\t\n")),
    "lines without anything": of("empty_lines.tsv", SOUND.replace("\nS1", "\n\n#S99\t3\n\t\t\nS1") + "\n\n"),
    "an artifact of metadata": of("m.qza", qza_bytes(SOUND, "ImmutableMetadata", "metadata.tsv")),
    "a visualization of metadata": of("m.qzv", qza_bytes(SOUND, "Visualization", "metadata.tsv")),
    "two files": two(columns_of(LINES, "\t", 0, 1), columns_of([LINES[0], *LINES[:0:-1]], ",", 0, 2, 3)),
    "lines in another order, of other samples too": of("more.tsv", "\n".join([LINES[0], "X1\t\tgut\t", *LINES[:0:-1], "X2\t5"])),
    "a line break in a value": of("note.tsv", metadata_text(note=['"two\nlines"'] * 30)),
    "numbers with zeros at their ends": of("zeros.tsv", metadata_text(age=[f"{age}0" for age in AGES])),
    "a column without values": of("none.tsv", metadata_text(bmi=[""] * 30)),
    "words for missing in columns that are not used": of(
        "na_bmi.tsv", metadata_text(bmi=replaced(NUMBERS, "not provided"), smoker=replaced(SITES, "NA"))
    ),
    "odd names of columns": of(
        "names.tsv", metadata_text(**{"BMI (kg/m\u00b2)": NUMBERS, "select": SITES, "1": SITES, "a,b": SITES})
    ),
}  # fmt: skip
REFUSED: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "NA among numbers": (
        of("na.tsv", metadata_text(age=replaced(NUMBERS, "NA"))),
        r"column age: 4 of 30 values are not numbers: 'NA' \(4 samples: S01, S09, S17 .*--missing-values NA and --ignore-missing",
    ),
    "#N/A among numbers": (
        of("na2.tsv", metadata_text(age=replaced(NUMBERS, "#N/A"))),
        r"'#N/A' \(4 samples.* --missing-values '#N/A' and",
    ),
    "words given, samples not": (
        of("na3.tsv", metadata_text(age=replaced(NUMBERS, "NA")), missing_values=("NA",)),
        r"4 of 30 samples have no value in column age: S01.*--ignore-missing",
    ),
    "decimal commas": (
        of("comma.tsv", metadata_text(age=[age.replace(".", ",") for age in NUMBERS])),
        r"30 of 30 values are not numbers: '[0-9]+,[0-9]' .*with a decimal point, not a comma",
    ),
    "a unit": (
        of("unit.tsv", metadata_text(age=replaced(NUMBERS, "5 years"))),
        r"4 of 30 values are not numbers: '5 years' .*without a unit",
    ),
    "a number that is declared categorical": (
        of("cat.tsv", SOUND.replace("\n", "\n#q2:types\tcategorical\n", 1)),
        r"column age: #q2:types .* categorical; pass --classifier",
    ),
    "samples without a subject": (
        of("nobody.tsv", metadata_text(subject=replaced(SUBJECTS, ""))),
        r"4 of 30 samples have no value in column subject: S01",
    ),
    "metadata in Latin-1": (
        of("latin.tsv", SOUND.replace("skin", "peau brûlée", 1).encode("latin-1")),
        r"line 4, column 3: 'peau br\xfblée' is not text in UTF-8",
    ),
    "an ID twice": (of("twice.tsv", SOUND + "S07\t3\tgut\tP01\n"), r"the sample ID 'S07' is there twice \(lines 8 and 32\)"),
    "a column twice": (
        of("column.tsv", SOUND.replace("site", "age", 1)),
        r"line 1: columns have the same name: 'age' \(columns 2, 3\)",
    ),
    "a value too many": (of("ragged.csv", COMMAS.replace("gut", "gut, left", 1)), r"line 2: has 5 values, and there are 4 columns"),
    "a quotation mark that is not closed": (
        of("quote.tsv", SOUND.replace("gut", '"gut', 1)),
        r"line 2: .*is a quotation mark not closed",
    ),
    "no column of IDs": (of("no_ids.tsv", metadata_text(corner="patient")), r"line 1: the first column is called 'patient'"),
    "IDs in lower case": (
        of("lower.tsv", SOUND.replace("\nS", "\ns")),
        r"no sample of the table is in the metadata: .*upper and lower case",
    ),
    "a column in both files": (two(SOUND, COMMAS), r"second.csv: the column age is in .*first.tsv, too"),
    "a workbook": (of("m.xlsx", workbook()), r"an Excel workbook"),
    "distances for metadata": (of("d.tsv", distances()), r"is a matrix of distances between samples, not metadata"),
    "a table for metadata": (of("t2.tsv", table_text()), r"the metadata has no column age; columns: S01, S02"),
    "sequences for metadata": (of("s.fasta", fasta_text()), r"is sequences \(FASTA\), not metadata"),
    "an artifact of sequences": (
        of("s.qza", qza_bytes(fasta_text(), "FeatureData[Sequence]", "dna.fasta")),
        r"FeatureData\[Sequence\], which holds no metadata",
    ),
    "nothing": (of("nothing.tsv", ""), r"holds no metadata"),
}  # fmt: skip

METADATA = [*(Odd(name, write) for name, write in READ.items()), *(Odd(name, *rest) for name, rest in REFUSED.items())]
