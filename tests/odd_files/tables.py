"""Odd tables, and other files in their place."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import biom
import h5py
import numpy as np
from scipy import sparse

from tests.odd_files import ASVS, COUNTS, SAMPLES, SEQUENCES, Odd, fasta_text, metadata_text, put, table_text, tree_text

BLANKS = [name + " " * (number % 4 == 0) for number, name in enumerate(ASVS)]
HASHES = [hashlib.md5(sequence.encode(), usedforsecurity=False).hexdigest() for sequence in SEQUENCES]
GENERA = [f"Genus{letter}" for letter in "abcdefghijklmnopqrst"]
UUIDS = [hashlib.md5(name.encode(), usedforsecurity=False).hexdigest() for name in SAMPLES]
NUMBERS = [str(number) for number in range(101, 101 + len(SAMPLES))]
TAXA = [f"k__Bacteria; p__{'ABCD'[number % 4]}" for number in range(len(ASVS))]


def of(name: str, content: str | bytes) -> Callable[[Path], dict[str, Path]]:
    """A table of that content."""
    return lambda folder: {"table": put(folder, name, content)}


def named(name: str, content: str | bytes, names: Sequence[str]) -> Callable[[Path], dict[str, Path]]:
    """A table whose features are named so, with its sequences and its tree."""

    def write(folder: Path) -> dict[str, Path]:
        return {
            "table": put(folder, name, content),
            "rep_seqs": put(folder, f"{name}.fasta", fasta_text(names)),
            "tree": put(folder, f"{name}.nwk", tree_text(names)),
        }

    return write


def quoted(text: str) -> str:
    return f'"{text}"'


def by_samples(
    corner: str | None,
    separator: str = "\t",
    quote: Callable[[str], str] = str,
    names: Sequence[str] = ASVS,
    samples: Sequence[str] = SAMPLES,
) -> str:
    """One row for each sample; no first cell in the header where `corner` is None, as R leaves it."""
    header = [*([] if corner is None else [quote(corner)]), *map(quote, names)]
    rows = [[quote(sample), *map(str, reads)] for sample, reads in zip(samples, COUNTS, strict=True)]
    return "\n".join(separator.join(row) for row in [header, *rows]) + "\n"


def by_features(corner: str | None, separator: str = "\t", quote: Callable[[str], str] = str, names: Sequence[str] = ASVS) -> str:
    header = [*([] if corner is None else [quote(corner)]), *map(quote, SAMPLES)]
    rows = [[quote(name), *(str(reads[asv]) for reads in COUNTS)] for asv, name in enumerate(names)]
    return "\n".join(separator.join(row) for row in [header, *rows]) + "\n"


def with_columns(**columns: Sequence[str]) -> str:
    """The sound table with columns behind the counts."""
    _, header, *rows = table_text().splitlines()
    rows = ["\t".join([row, *values]) for row, *values in zip(rows, *columns.values(), strict=True)]
    return "\n".join(["\t".join([header, *(name.replace("_", " ") for name in columns)]), *rows]) + "\n"


def shared(labels: Sequence[str] = ("0.03",)) -> str:
    """What mothur's make.shared writes, which ends its lines with a tab."""
    rows = [[label, sample, "20", *map(str, reads)] for label in labels for sample, reads in zip(SAMPLES, COUNTS, strict=True)]
    return "\n".join("\t".join(row) + "\t" for row in [["label", "Group", "numOtus", *ASVS], *rows]) + "\n"


def count_table() -> str:
    """What mothur's count.seqs writes."""
    rows = [[name, *(reads[asv] for reads in COUNTS)] for asv, name in enumerate(ASVS)]
    lines = [[row[0], sum(row[1:]), *row[1:]] for row in rows]
    return "\n".join("\t".join(map(str, line)) for line in [["Representative_Sequence", "total", *SAMPLES], *lines]) + "\n"


def hdf5(names: Sequence[str] = ASVS, samples: Sequence[str] = SAMPLES) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as handle:
        biom.Table(sparse.csr_matrix(np.array(COUNTS, dtype=float).T), names, samples).to_hdf5(handle, "test")
    return content.getvalue()


def hdf5_of(**parts: Any) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as handle:
        for name, value in parts.items():
            handle[name] = value
    return content.getvalue()


def from_r(**changes: Any) -> str:
    """BIOM 1 as biomformat::write_biom writes it: dense, metadata as bare lists or numbers, small things unboxed."""
    document = {
        "id": {},
        "format": "Biological Observation Matrix 1.0.0-dev",
        "type": "OTU table",
        "generated_by": "biomformat 1.30.0",
        "date": "2026-01-01 00:00:00",
        "matrix_type": "dense",
        "matrix_element_type": "int",
        "shape": [len(ASVS), len(SAMPLES)],
        "rows": [{"id": name, "metadata": ["k__Bacteria", f"p__{number % 4}"]} for number, name in enumerate(ASVS)],
        "columns": [{"id": name, "metadata": number} for number, name in enumerate(SAMPLES)],
        "data": np.array(COUNTS).T.tolist(),
    }
    return json.dumps(document | changes)


def triples(kind: Callable[[int], float]) -> list[list[float]]:
    return [
        [kind(asv), kind(sample), kind(reads[asv])] for asv in range(len(ASVS)) for sample, reads in enumerate(COUNTS) if reads[asv]
    ]


def qza(content: bytes, version: str, semantic_type: str = "FeatureTable[Frequency]", member: str = "feature-table.biom") -> bytes:
    """An artifact as QIIME 2 of that archive version packs it."""
    root = "6f2b1c7e-5b1a-4d0e-9a53-0c0d6a1f2b3c"
    about = f"uuid: {root}\ntype: {semantic_type}\nformat: BIOMV210DirFmt\n"
    files: dict[str, str | bytes] = {
        "VERSION": f"QIIME 2\narchive: {version}\nframework: 2026.1.0\n",
        "metadata.yaml": about,
        f"data/{member}": content,
    }
    major = float(version)
    if major >= 1:
        files |= {"provenance/metadata.yaml": about, "provenance/action/action.yaml": "action: {type: import}\n"}
    if 5 <= major < 7:
        files["checksums.md5"] = f"d41d8cd98f00b204e9800998ecf8427e  data/{member}\n"
    if major >= 7:
        note = "provenance/annotations/0a1b2c3d"
        files |= {
            "metadata.yaml": f"{about}data-size: 12.0 KiB",
            "checksums.sha512": f"{'0' * 128}  data/{member}\n",
            "provenance/conda-env.yaml": "dependencies:\n- qiime2\n",
            f"{note}/metadata.yaml": "id: 0a1b2c3d\ntype: Note\n",
            f"{note}/note.txt": "A note.\n",
        }
    # The annotations come first: nothing says that the archive's own metadata do.
    return zip_of({f"{root}/{name}": files[name] for name in sorted(files, reverse=True)})


def zip_of(files: dict[str, str | bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, inner in files.items():
            archive.writestr(name, inner)
    return content.getvalue()


def distances(names: Sequence[str] = SAMPLES) -> str:
    square = np.abs(np.subtract.outer(np.arange(len(names)), np.arange(len(names)))) / 100
    return "\n".join("\t".join([name, *row]) for name, row in zip(["", *names], [names, *square.astype(str)], strict=True)) + "\n"


def gzipped_sequences(folder: Path) -> dict[str, Path]:
    return {"rep_seqs": put(folder, "seqs.fasta.gz", gzip.compress(fasta_text().encode()))}


def sequences_of_a_mac(folder: Path) -> dict[str, Path]:
    return {"rep_seqs": put(folder, "seqs.mac.fasta", fasta_text().replace("\n", "\r"))}


SOUND = table_text()
CSV = by_features("OTU", ",").encode()
VERSIONS = ("0", "1", "4", "5", "6", "7.0", "7.1")
BARE = {"rows": [{"id": name, "metadata": None} for name in ASVS], "columns": [{"id": name} for name in SAMPLES]}
NAMED = {"matrix_type": "sparse", "data": triples(int), "rows": {name: {"id": name} for name in ASVS}}
ABOUT = "uuid: a\ntype: FeatureTable[Frequency]\n"
REPACKED = {"__MACOSX/a/._VERSION": b"\0", "a/metadata.yaml": ABOUT, "a/data/feature-table.biom": hdf5()}
SQUARE = np.zeros((3, 3))
H5AD = {"X": SQUARE, "obs/_index": [b"a"], "var/_index": [b"g"]}
XLSX = {"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<x/>"}
NEEDED = "not a feature table"

READ = {
    "blanks after ids": of("blanks.tsv", table_text(BLANKS)),
    "blanks after ids, BIOM": of("blanks.biom", hdf5(BLANKS)),
    "blanks around samples": of("around.tsv", table_text(samples=[f" {name}\u00a0" for name in SAMPLES])),
    "a tab at the end of every row": of("tabs.tsv", re.sub(r"^(ASV.*)$", r"\1\t", SOUND, flags=re.M)),
    "a tab at the end of every line": of("tabs_all.tsv", SOUND.partition("\n")[2].replace("\n", "\t\n")),
    "a tab at the end of the header": of("tabs_header.tsv", SOUND.replace("S30\n", "S30\t\n")),
    "line ends of Windows, mark": of("windows.tsv", "\ufeff" + SOUND.replace("\n", "\r\n")),
    "line ends of old Macs": of("mac.tsv", SOUND.replace("\n", "\r")),
    "UTF-16 of Excel": of("excel.txt", SOUND.encode("utf-16")),
    "no comment": of("no_comment.tsv", SOUND.partition("\n")[2]),
    "several comments": of("comments.tsv", "# made by us\n# twice\n" + SOUND),
    "header without #": of("no_hash.tsv", by_features("Feature ID")),
    "header without #, below a comment": of("comment_no_hash.tsv", "# of the third run\n" + by_features("OTU_ID")),
    "no first cell": of("no_first.tsv", by_features("")),
    "header one cell short": of("short.tsv", by_features(None)),
    "counts with a point": of("floats.tsv", re.sub(r"\t(\d+)", r"\t\1.0", SOUND)),
    "taxonomy": of("taxonomy.tsv", with_columns(taxonomy=TAXA)),
    "Taxon and Confidence": of("taxon.tsv", with_columns(Taxon=TAXA, Confidence=["0.97"] * 20)),
    "Consensus Lineage": of("lineage.tsv", with_columns(Consensus_Lineage=TAXA)),
    "ConsensusLineage in quotes": of("lineage_quoted.tsv", with_columns(ConsensusLineage=[f'"{name}"' for name in TAXA])),
    "ranks with odd first cells": of("odd_ranks.tsv", with_columns(Species=["nan", *TAXA[1:]], Genus=["1921", *TAXA[1:]])),
    "Confidence of 1 everywhere": of("sure.tsv", with_columns(Taxon=TAXA, Confidence=["1"] * 20)),
    "sizes of features": of("sizes.tsv", with_columns(size=[str(number) for number in range(900, 920)])),
    "a comment with a tab": of("tab_comment.tsv", "# made by\tme\n" + by_features("OTU ID")),
    "a comment as wide as the header": of("wide_comment.tsv", "# made" + "\tby" * 30 + "\n" + by_features("OTU ID")),
    "X of read.csv": of("x.csv", by_features("X", ",")),
    "Unnamed: 0 of pandas": of("unnamed.tsv", by_samples("Unnamed: 0")),
    "columns of ranks": of("ranks.tsv", with_columns(Kingdom=["Bacteria"] * 20, Genus=TAXA)),
    "CSV": of("table.csv", by_features("#OTU ID", ",")),
    "CSV with quotes": of("quoted.csv", by_features("", ",", quoted)),
    "CSV with semicolons": of("semicolons.csv", by_features("ASV", ";")),
    "CSV with empty columns and rows": of("excel.csv", by_features("OTU ID", ",").replace("\n", ",,\n") + ",,,,\n"),
    "R: rows are features, blanks, quotes": of("r.txt", by_features(None, " ", quoted)),
    "R: seqtab of sequences": named("seqtab.tsv", by_samples(None, "\t", quoted, SEQUENCES), SEQUENCES),
    "R: seqtab with blanks": named("seqtab.txt", by_samples(None, " ", quoted, SEQUENCES), SEQUENCES),
    "R: seqtab as CSV": named("seqtab.csv", by_samples("", ",", quoted, SEQUENCES), SEQUENCES),
    "samples as rows, short header": of("samples_short.tsv", by_samples(None)),
    "samples as rows, sample-id": of("samples.tsv", by_samples("sample-id")),
    "samples as rows, empty first cell": of("samples_empty.csv", by_samples("", ",")),
    "samples as rows, hashes": named("hashes.tsv", by_samples("index", names=HASHES), HASHES),
    "names of genera, samples as rows": named("genera.tsv", by_samples("SampleID", names=GENERA), GENERA),
    "mothur shared": of("final.shared", shared()),
    "mothur count table": of("final.count_table", count_table()),
    "TSV.gz": of("table.tsv.gz", gzip.compress(SOUND.encode())),
    "CSV.gz in two parts": of("table.csv.gz", gzip.compress(CSV[:999]) + gzip.compress(CSV[999:])),
    "BIOM 2.1": of("table.biom", hdf5()),
    "BIOM 2.1.gz": of("table.biom.gz", gzip.compress(hdf5())),
    "BIOM 1 of R": of("from_r.biom", from_r()),
    "BIOM 1 of R, no metadata": of("bare.biom", from_r(**BARE)),
    "BIOM 1, sparse, places with a point": of("sparse.biom", from_r(matrix_type="sparse", shape=[20.0, 30.0], data=triples(float))),
    "BIOM 1, rows as an object": of("rbiom.biom", from_r(**NAMED)),
    "BIOM 1, all boxed": of("boxed.biom", from_r(matrix_type=["dense"], rows=[{"id": [name], "metadata": {}} for name in ASVS])),
    "BIOM 1.gz": of("from_r.biom.gz", gzip.compress(from_r().encode())),
    **{f"QIIME 2 archive {version}": of(f"v{version}.qza", qza(hdf5(), version)) for version in VERSIONS},
    "QIIME 2 archive of BIOM 1": of("biom1.qza", qza(from_r().encode(), "2")),
    "QIIME 2 archive packed anew on a Mac": of("mac.qza", zip_of(REPACKED)),
    "a tab at the end of some rows": of("some_tabs.tsv", re.sub(r"^(ASV_0.*)$", r"\1\t\t", SOUND, flags=re.M)),
    "sequences.gz": gzipped_sequences,
    "sequences of old Macs": sequences_of_a_mac,
}  # fmt: skip

REFUSED = {
    "ids that blanks tell apart": (
        of("apart.tsv", table_text(["ASV_02 ", *ASVS[1:]])),
        r"feature ids that only blanks at their ends tell apart: ASV_02, 'ASV_02 '",
    ),
    "an id twice, with what cannot be seen": (
        of("twice.tsv", table_text(["ASV_02\u200b", "ASV_02\u200b", *ASVS[2:]])),
        r"duplicate feature ids: 'ASV_02\\u200b'",
    ),
    "sample without a name": (of("nameless.tsv", SOUND.replace("S02", "")), r"sample 2 of 30 has no id"),
    "nothing says what rows are": (
        named("undecided.tsv", by_features("", names=GENERA), GENERA),
        r"does not say whether rows are features or samples: begin the header with 'sample-id'",
    ),
    "header and names disagree": (
        of("disagree.tsv", by_samples("#OTU ID")),
        r"columns look like features \(ASV_01, ASV_02.*: if columns are features, begin the header with 'sample-id'; if they are "
        r"samples, give them names that do not look like features, such as S_ASV_01$",
    ),
    "UUIDs as samples": (
        of("uuids.tsv", by_samples("sample-id", names=GENERA, samples=UUIDS)),
        rf"rows look like features \({UUIDS[0]}.*if rows are features, begin the header with '#OTU ID'; if they are samples, give "
        rf"them names that do not look like features, such as S_{UUIDS[0]}$",
    ),
    "samples called ASV": (
        of("called_asv.tsv", by_samples("sample", names=GENERA, samples=[f"ASV{number}" for number in range(30)])),
        r"begins with sample, so columns are features, but rows look like features \(ASV0, ASV1 ",
    ),
    "a count with an underscore": (
        of("underscore.tsv", re.sub(r"ASV_01\t\d+", "ASV_01\t1_000", SOUND)),
        r"sample S01, feature ASV_01: '1_000' is no number",
    ),
    "a row of one cell": (of("short_row.tsv", SOUND + "ASV_21\n"), r"feature ASV_21 has 1 cell, the header 31"),
    "several labels": (of("several.shared", shared(("0.01", "0.03"))), r"2 labels \(0.01, 0.03\).*keep the lines of one"),
    "NA": (of("na.tsv", re.sub(r"ASV_01\t\d+", "ASV_01\tNA", SOUND)), r"sample S01, feature ASV_01: 'NA' is no number"),
    "an empty cell": (of("empty.csv", CSV.replace(b",2,", b",,", 1)), r"the cell is empty; every cell must be a count"),
    "a column of sums": (
        of("total.tsv", with_columns(Total=[str(sum(reads[asv] for reads in COUNTS)) for asv in range(20)])),
        r"sample Total is the sum of all others; take it out",
    ),
    "metadata for a table": (
        of("metadata_for_table.tsv", metadata_text()),
        r"are these metadata of samples\?",
    ),
    "sequences for a table": (of("seqs_for_table.fasta", fasta_text()), rf"sequences \(FASTA\); {NEEDED}"),
    "a tree for a table": (of("tree_for_table.nwk", tree_text()), rf"a tree \(newick\); {NEEDED}"),
    "distances for a table": (of("distances.tsv", distances()), rf"a matrix of distances; {NEEDED}"),
    "distances in HDF5": (of("distances.h5", hdf5_of(order=[b"a", b"b", b"c"], matrix=SQUARE)), r"a matrix of distances, not"),
    "h5ad": (of("cells.h5ad", hdf5_of(**H5AD)), r"an AnnData file \(.h5ad\), not a"),
    "xlsx": (of("table.xlsx", zip_of(XLSX)), r"an Excel workbook \(.xlsx\): save"),
    "a zipped table": (of("table.zip", zip_of({"table.tsv": SOUND})), r"a zip archive of 'table.tsv': unpack it first"),
    "artifact of a tree": (of("tree.qza", qza(b"(a,b);", "5", "Phylogeny[Rooted]", "tree.nwk")), r"type Phylogeny\[Rooted\]"),
    "artifact of shares": (
        of("shares.qza", qza(hdf5(), "5", "FeatureTable[RelativeFrequency]")),
        r"FeatureTable\[RelativeFrequency\], where FeatureTable\[Frequency\] is needed: AAM needs counts",
    ),
    "visualization": (of("view.qzv", qza(b"<html/>", "5", "Visualization", "index.html")), r"a QIIME 2 visualization \(.qzv\)"),
    "PDF": (of("paper.pdf", b"%PDF-1.7\n"), rf"a PDF; {NEEDED}"),
    "a web page": (of("table.html", "<!DOCTYPE html><html>404</html>"), rf"a web page \(HTML\).*{NEEDED}"),
    "other JSON": (of("other.json", '{"version": 3, "nodes": []}'), r"JSON of something else"),
    "Latin-1": (of("latin.tsv", SOUND.replace("S01", "S\u00e9").encode("latin-1")), r"text that is not in UTF-8: save it as UTF-8"),
    "broken gzip": (of("broken.tsv.gz", gzip.compress(SOUND.encode())[:-40]), r"broken gzip file .*is the file complete\?"),
}  # fmt: skip

TABLES = [*(Odd(name, write) for name, write in READ.items()), *(Odd(name, *rest) for name, rest in REFUSED.items())]
