"""Embeddings as files, and the distances between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist, squareform

from aam.data.metadata import Metadata
from aam.disk.qza import METADATA, write_table
from aam.disk.writing import whole, write_text
from aam.distances.files import write_distances
from aam.ensemble.novelty import Measured
from aam.parallel.ranks import by_first
from aam.saved import annotated
from aam.saved.ordination import columns_to_colour, ordinate
from aam.saved.ordination_files import write_ordination
from aam.saved.predictions import beside, write_novelty
from aam.study.study import Study


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings [N, D] of the samples of a study, their metadata and novelty as far as they are known; space: what distances
    between them stand for; model: its name.
    """

    study: Study
    metadata: Metadata | None
    embeddings: np.ndarray
    measured: Measured | None
    space: str | None
    model: str

    def write(self, path: Path, distances: Path | None = None) -> None:
        """Write them and the novelty, and the distances between them where these are asked for: of an .h5ad all into it."""
        ids, inside = self.study.table.sample_ids, path.suffix == annotated.SUFFIX
        if inside:
            facts = {"model": self.model, **({"space": self.space} if self.space else {})}
            columns = {} if self.measured is None else self.measured.columns()
            between = distances_between(self.embeddings) if distances == path else None
            annotated.write_annotated(
                path, self.study, self.metadata, columns=columns, embeddings=self.embeddings, distances=between, facts=facts
            )
        else:
            if self.measured is not None:
                write_novelty(beside(path, "novelty"), ids, self.measured)
            write_embeddings(path, ids, self.embeddings)
        if distances is not None and distances != path:
            write_embedding_distances(distances, ids, self.embeddings)

    def write_ordination(self, path: Path, title: str, colour_by: str | None) -> None:
        """Write their principal coordinates, with a page and a picture (see `aam.saved.ordination_files.write_ordination`)."""
        ids, novelty = self.study.table.sample_ids, {} if self.measured is None else self.measured.columns()
        columns = columns_to_colour(ids, self.metadata, novelty, colour_by)
        space = f"what the encoder makes of {self.space or 'the samples'}"
        write_ordination(path, ordinate(ids, self.embeddings), columns, title, space)


@by_first
def write_embeddings(path: Path, ids: Sequence[str], embeddings: np.ndarray) -> None:
    """TSV with ids in the first column, as QIIME 2 metadata, or such an artifact (.qza), or .npy float32 [N, D] with the ids in
    `<name>.ids.txt`.
    """
    if path.suffix == ".npy":
        write_text(path.with_suffix(".ids.txt"), "".join(f"{name}\n" for name in ids))
        with whole(path) as new:
            np.save(new, embeddings)
        return
    columns = [f"dim_{dimension}" for dimension in range(1, embeddings.shape[1] + 1)]
    write_table(path, pd.DataFrame(embeddings, index=pd.Index(ids, name="id"), columns=columns), METADATA)


@by_first
def write_asv_embeddings(path: Path, study: Study, embeddings: np.ndarray, model: str) -> None:
    """Embeddings [M, D] of the ASVs of a study, as those of samples."""
    if path.suffix == annotated.SUFFIX:
        annotated.write_annotated(path, study, study.full_metadata, of_asvs=embeddings, facts={"model": model})
    else:
        write_embeddings(path, study.table.feature_ids, embeddings)


def distances_between(embeddings: np.ndarray) -> np.ndarray:
    """Euclidean distances float64 [N, N] between embeddings [N, D], which is what distances between samples are learned as."""
    return squareform(pdist(embeddings.astype(np.float64)))


@by_first
def write_embedding_distances(path: Path, ids: Sequence[str], embeddings: np.ndarray) -> None:
    """The distances between embeddings (`distances_between`), in the format of the suffix."""
    write_distances(path, distances_between(embeddings), ids)
