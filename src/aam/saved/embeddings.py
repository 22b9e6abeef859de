"""Embeddings as files, and the distances between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist, squareform

from aam.disk.qza import METADATA, write_table
from aam.disk.writing import whole, write_text
from aam.distances.files import write_distances
from aam.parallel.ranks import by_first


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
def write_embedding_distances(path: Path, ids: Sequence[str], embeddings: np.ndarray) -> None:
    """Euclidean distances [N, N] between embeddings [N, D], which is what distances between samples are learned as."""
    write_distances(path, squareform(pdist(embeddings.astype(np.float64))), ids)
