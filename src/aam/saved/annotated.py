"""Predictions and embeddings beside the table that they are of, as AnnData (.h5ad), written without anndata.

Source: https://anndata.readthedocs.io/en/stable/fileformat-prose.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from aam import __version__
from aam.data.hdf5 import writing_hdf5
from aam.data.metadata import Metadata
from aam.disk.writing import whole
from aam.parallel.ranks import by_first
from aam.study.study import Study

SUFFIX = ".h5ad"
# Names of what AAM adds; scanpy finds an embedding as X_NAME.
EMBEDDING, DISTANCES, _ADDED = "X_aam", "aam_distances", "aam_"


@by_first
def write_annotated(
    path: Path,
    study: Study,
    metadata: Metadata | None,
    *,
    columns: Mapping[str, np.ndarray] | None = None,
    embeddings: np.ndarray | None = None,
    distances: np.ndarray | None = None,
    of_asvs: np.ndarray | None = None,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write the table of a study with its metadata, and what a model says of it.

    X: counts, float32 (float64 where they are too large); obs: the metadata, and `columns` [N] under names that begin with aam_;
    var: ``sequence``, where ASVs have one; obsm["X_aam"]: embeddings [N, D]; obsp["aam_distances"]: distances [N, N] between them,
    float32; varm["X_aam"]: embeddings of ASVs [M, D]; uns["aam"]: facts by name, and the version of AAM.
    """
    table = study.table
    obs = (
        {}
        if metadata is None
        else {str(name): _column_of(metadata, str(name), table.sample_ids) for name in metadata.typed.columns}
    )
    obs |= {f"{_ADDED}{name}": values for name, values in (columns or {}).items()}
    var = {} if study.sequences is None else {"sequence": np.array(study.sequences, dtype=object)}
    with whole(path) as new, writing_hdf5(new) as file, h5py.File(file, "w") as handle:
        _encode(handle, "anndata", "0.1.0")
        _write_counts(handle, study.counts)
        _write_frame(handle, "obs", table.sample_ids, obs)
        _write_frame(handle, "var", table.feature_ids, var)
        _write_arrays(handle, "obsm", {EMBEDDING: embeddings})
        _write_arrays(handle, "obsp", {DISTANCES: None if distances is None else distances.astype(np.float32)})
        _write_arrays(handle, "varm", {EMBEDDING: of_asvs})
        for name in ("varp", "layers"):
            _write_arrays(handle, name, {})
        about = _dict(_dict(handle, "uns"), "aam")
        for name, text in {"version": __version__, **(facts or {})}.items():
            _encode(about.create_dataset(name, data=text, dtype=h5py.string_dtype()), "string", "0.2.0")


def _column_of(metadata: Metadata, name: str, ids: Sequence[str]) -> np.ndarray:
    """Numbers as they are, all else as text, None where missing."""
    values = metadata.typed[name].reindex(list(ids))
    if values.dtype.kind in "fiu":
        return values.to_numpy(dtype=np.float64)
    texts = metadata.texts(name).reindex(list(ids))
    return np.array([None if pd.isna(text) else str(text) for text in texts], dtype=object)


def _encode(place: Any, kind: str, version: str) -> None:
    place.attrs["encoding-type"], place.attrs["encoding-version"] = kind, version


def _dict(handle: h5py.Group, name: str) -> h5py.Group:
    group = handle.create_group(name)
    _encode(group, "dict", "0.1.0")
    return group


def _write_array(group: h5py.Group, name: str, values: np.ndarray) -> None:
    if values.dtype == object:
        texts = group.create_dataset(name, data=values.tolist(), shape=values.shape, dtype=h5py.string_dtype())
        _encode(texts, "string-array", "0.2.0")
    else:
        _encode(group.create_dataset(name, data=values), "array", "0.2.0")


def _write_arrays(handle: h5py.Group, name: str, arrays: Mapping[str, np.ndarray | None]) -> None:
    group = _dict(handle, name)
    for key, values in arrays.items():
        if values is not None:
            _write_array(group, key, values)


def _write_counts(handle: h5py.Group, counts: sparse.csr_array) -> None:
    group = handle.create_group("X")
    _encode(group, "csr_matrix", "0.1.0")
    group.attrs["shape"] = np.array(counts.shape, dtype=np.int64)
    exact = np.float32 if counts.data.max(initial=0) < 2**24 else np.float64
    group.create_dataset("data", data=counts.data.astype(exact))
    kind = np.int32 if max(counts.nnz, *counts.shape) < 2**31 else np.int64
    group.create_dataset("indices", data=counts.indices.astype(kind))
    group.create_dataset("indptr", data=counts.indptr.astype(kind))


def _write_frame(handle: h5py.Group, name: str, ids: Sequence[str], columns: Mapping[str, np.ndarray]) -> None:
    group = handle.create_group(name)
    _encode(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    _write_array(group, "_index", np.array(ids, dtype=object))
    # A slash would be a folder in the file.
    named = {column.replace("/", "_"): values for column, values in columns.items()}
    group.attrs.create("column-order", data=list(named), shape=(len(named),), dtype=h5py.string_dtype())
    for column, values in named.items():
        if values.dtype == object and name == "obs":
            _write_levels(group, column, values)
        else:
            _write_array(group, column, values)


def _write_levels(group: h5py.Group, name: str, values: np.ndarray) -> None:
    """Text as codes and levels, which can be missing, as anndata itself writes it."""
    factor = pd.Categorical(values)
    made = group.create_group(name)
    _encode(made, "categorical", "0.2.0")
    made.attrs["ordered"] = False
    _write_array(made, "codes", np.asarray(factor.codes))
    _write_array(made, "categories", np.array([str(level) for level in factor.categories], dtype=object))
