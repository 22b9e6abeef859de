"""What a file is, said of one that is not what was wanted."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_SIGNATURES = (
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel file (.xls): save the sheet as text (tab-delimited)"),
    (b"\x1f\x8b", "a gzip file in a gzip file"),
    (b"BZh", "a bzip2 file: unpack it first"),
    (b"\xfd7zXZ\0", "an xz file: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd file: unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"RDX", "an R data file (.RData): write the table out in R"),
    (b"RDA", "an R data file (.RData): write the table out in R"),
    (b"X\n\0\0", "an R object (.rds): write the table out in R"),
    (b"PAR1", "a Parquet file: write it as text (tab-separated)"),
    (b"ARROW1", "an Arrow file: write it as text (tab-separated)"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x80", "a pickle, or binary data"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"#NEXUS", "a tree in Nexus format"),
)
# By the first letters of text that is no table.
_TEXTS = (
    (re.compile(r">"), "sequences (FASTA)"),
    (re.compile(r"@[^\n]*\n[^\n]*\n\+"), "reads (FASTQ)"),
    (re.compile(r"\(.*[(,:]", re.DOTALL), "a tree (newick)"),
    (re.compile(r"<(!doctype html|html)", re.IGNORECASE), "a web page (HTML): was the download refused?"),
    (re.compile(r"<"), "XML"),
    (re.compile(r"\["), "JSON of something else"),
    (re.compile(r"version https://git-lfs"), "a pointer of git LFS: fetch the file itself (git lfs pull)"),
    (re.compile(r'"?(#?otu ?id|feature[ -]?id)"?\t"?taxon"?(\t"?(confidence|consensus)"?)?\n', re.IGNORECASE), "a taxonomy"),
)


def kind_of(content: bytes) -> str | None:
    """What a file is, by its first bytes, where it is none of the formats that a table comes in."""
    for signature, kind in _SIGNATURES:
        if content.startswith(signature):
            return kind
    start = (
        content[:4096].removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").lstrip()
    )
    return next((kind for pattern, kind in _TEXTS if pattern.match(start)), None)


def kind_of_undecoded(content: bytes) -> str:
    """What a file is that is no text in UTF-8."""
    return "binary data" if b"\0" in content[:4096] else "text that is not in UTF-8: save it as UTF-8"


def kind_of_zip(names: Sequence[str]) -> str:
    """What a zip archive is, by the names of its members."""
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook (.xlsx): save the sheet as text (tab-delimited)"
    if any(name.startswith("word/") for name in names):
        return "a Word document"
    if "mimetype" in names and "content.xml" in names:
        return "an OpenDocument file: save the sheet as text (tab-delimited)"
    files = [name for name in names if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if files and all(name.endswith(".npy") for name in files):
        return "NumPy arrays (.npz)"
    return (
        f"a zip archive of {len(files)} files: unpack it first"
        if len(files) != 1
        else f"a zip archive of {files[0][:100]!r}: unpack it first"
    )


def kind_of_hdf5(names: Collection[str]) -> str:
    """What an HDF5 file is that is no BIOM, by the names in its root."""
    if {"X", "obs", "var"} <= set(names):
        return "an AnnData file (.h5ad)"
    if {"order", "matrix"} <= set(names):
        return "a matrix of distances"
    if {"row_attrs", "col_attrs"} <= set(names):
        return "a loom file"
    return "an HDF5 file of something else"
