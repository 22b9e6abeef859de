"""QIIME 2 artifacts that hold one file each, written without QIIME 2: archives of version 5, which it reads since 2018.11."""

from __future__ import annotations

import hashlib
import platform
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aam import __version__
from aam.disk.writing import beside, remove, whole

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = ".qza"
# The release whose rules they follow; QIIME 2 wants one of its own here.
_RELEASE = "2022.11.1"
_CITATION = f"""@article{{framework|qiime2:{_RELEASE}|0,
 author = {{Bolyen, Evan and Rideout, Jai Ram and others}},
 doi = {{10.1038/s41587-019-0209-9}},
 journal = {{Nature Biotechnology}},
 pages = {{852-857}},
 title = {{Reproducible, interactive, scalable and extensible microbiome data science using QIIME 2}},
 volume = {{37}},
 year = {{2019}}
}}
"""


@dataclass(frozen=True)
class Artifact:
    """What QIIME 2 calls a file: its semantic type, the format of the folder ``data/``, the name in it, the format of the file."""

    semantic_type: str
    directory_format: str
    member: str
    file_format: str


REGRESSOR_PREDICTIONS = Artifact(
    "SampleData[RegressorPredictions]", "PredictionsDirectoryFormat", "predictions.tsv", "PredictionsFormat"
)
CLASSIFIER_PREDICTIONS = Artifact(
    "SampleData[ClassifierPredictions]", "PredictionsDirectoryFormat", "predictions.tsv", "PredictionsFormat"
)
PROBABILITIES = Artifact(
    "SampleData[Probabilities]", "ProbabilitiesDirectoryFormat", "class_probabilities.tsv", "ProbabilitiesFormat"
)
IMPORTANCE = Artifact("FeatureData[Importance]", "ImportanceDirectoryFormat", "importance.tsv", "ImportanceFormat")
DISTANCE_MATRIX = Artifact("DistanceMatrix", "DistanceMatrixDirectoryFormat", "distance-matrix.tsv", "LSMatFormat")
ALPHA_DIVERSITY = Artifact(
    "SampleData[AlphaDiversity]", "AlphaDiversityDirectoryFormat", "alpha-diversity.tsv", "AlphaDiversityFormat"
)
PCOA = Artifact("PCoAResults", "OrdinationDirectoryFormat", "ordination.txt", "OrdinationFormat")
BIPLOT = Artifact("PCoAResults % Properties('biplot')", PCOA.directory_format, PCOA.member, PCOA.file_format)
# Since QIIME 2 2023.5.
METADATA = Artifact("ImmutableMetadata", "ImmutableMetadataDirectoryFormat", "metadata.tsv", "ImmutableMetadataFormat")


@contextmanager
def whole_or_artifact(path: Path, artifact: Artifact) -> Iterator[Path]:
    """Where to write a file that is to be at `path`: as it is, or, where that ends in .qza, in a QIIME 2 artifact.

    It appears when it is complete (see `whole`).
    """
    if path.suffix != SUFFIX:
        with whole(path) as new:
            yield new
        return
    data = beside(path, "data")
    with whole(path) as new:
        try:
            yield data
            _pack(data, new, artifact)
        finally:
            remove(data)


def write_table(path: Path, frame: pd.DataFrame, artifact: Artifact, float_format: str | None = None) -> None:
    """Write a table as TSV with the names of its rows, as it is or in an artifact (see `whole_or_artifact`)."""
    with whole_or_artifact(path, artifact) as new, new.open("w", encoding="utf-8", newline="") as file:
        frame.to_csv(file, sep="\t", float_format=float_format)


def _pack(data: Path, new: Path, artifact: Artifact) -> None:
    """Write an archive of one data file. Its provenance begins with it, as that of a file that is imported."""
    name = str(uuid.uuid4())
    version = f"QIIME 2\narchive: 5\nframework: {_RELEASE}\n"
    about = f"uuid: {name}\ntype: {artifact.semantic_type}\nformat: {artifact.directory_format}\n"
    with data.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    texts = {
        "VERSION": version,
        "metadata.yaml": about,
        "provenance/VERSION": version,
        "provenance/metadata.yaml": about,
        "provenance/citations.bib": _CITATION,
        "provenance/action/action.yaml": _action(artifact, digest),
    }
    member = f"data/{artifact.member}"
    digests = {member: digest} | {
        place: hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for place, text in texts.items()
    }
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, text in texts.items():
            archive.writestr(f"{name}/{place}", text)
        with data.open("rb") as file, archive.open(f"{name}/{member}", "w", force_zip64=True) as packed:
            shutil.copyfileobj(file, packed)
        archive.writestr(f"{name}/checksums.md5", "".join(f"{found}  {place}\n" for place, found in digests.items()))


def _action(artifact: Artifact, digest: str) -> str:
    """action.yaml: what made the artifact, and with which software."""
    now = datetime.now(UTC).isoformat()
    return f"""execution:
    uuid: {uuid.uuid4()}
    runtime:
        start: {now}
        end: {now}
        duration: 0 microseconds

action:
    type: import
    format: {artifact.file_format}
    manifest:
    -   name: {artifact.member}
        md5sum: {digest}

environment:
    platform: {platform.system().lower()}-{platform.machine()}
    python: {platform.python_version()}
    framework:
        version: {_RELEASE}
        website: https://qiime2.org
        citations:
        - !cite 'framework|qiime2:{_RELEASE}|0'
    plugins: {{}}
    python-packages:
        attention-all-microbes: '{__version__}'
"""
