"""BIOM tables: the HDF5 of version 2, whose samples are read by slice, and the JSON of version 1. Structure is checked here, before
anything is made of it; what the numbers may be, in `table`.

Source: https://biom-format.org/documentation/format_versions/biom-2.1.html
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy import sparse

from aam.data.hdf5 import bounded, read_texts, try_first
from aam.data.kinds import kind_of_hdf5
from aam.data.numbers import finite_number
from aam.errors import InputError, one_line

_MATRIX = "sample/matrix"
# Of indices that are checked at a time, and of samples.
_AT_ONCE, _SAMPLES_AT_ONCE = 2**22, 256
_BROKEN = (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, MemoryError, OverflowError)


@dataclass(frozen=True)
class BiomIndex:
    """Where each sample of an HDF5 table begins, int64 [N + 1], and its ids."""

    starts: np.ndarray
    feature_ids: tuple[str, ...]
    sample_ids: tuple[str, ...]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Make one line of whatever a broken file makes libraries say."""
    try:
        yield
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(f"{path}: broken BIOM table ({one_line(error)}); is the file complete?") from error


def index_of(handle: h5py.File, path: Path) -> BiomIndex:
    """Read where samples begin and the ids, and check that the parts fit together. To be called within `reading`."""
    if not {"observation", "sample"} & set(handle):
        raise InputError(f"{path}: {kind_of_hdf5(list(handle))}, not a feature table in BIOM 2.1, whose counts are in {_MATRIX}")
    indptr = bounded(handle, f"{_MATRIX}/indptr", path)
    starts = indptr[:].astype(np.int64)
    features, samples = (read_texts(handle, f"{axis}/ids", path) for axis in ("observation", "sample"))
    indices, data = (bounded(handle, f"{_MATRIX}/{name}", path) for name in ("indices", "data"))
    fit = len(starts) == len(samples) + 1 and starts[0] == 0 and (np.diff(starts) >= 0).all()
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu" or data.dtype.kind not in "iuf":
        raise InputError(f"{path}: broken BIOM table (its counts or their places are no numbers); is the file complete?")
    if not fit or indices.shape != data.shape or indices.shape != (starts[-1],):
        raise InputError(f"{path}: broken BIOM table (its parts do not fit together); is the file complete?")
    for first in range(0, len(indices), _AT_ONCE):
        part = indices[first : first + _AT_ONCE]
        if not 0 <= part.min() <= part.max() < len(features):
            raise InputError(f"{path}: broken BIOM table (counts of features that are not there); is the file complete?")
    return BiomIndex(starts, features, samples)


def read_samples(handle: h5py.File, index: BiomIndex, first: int, end: int) -> sparse.csr_array:
    """Samples `first` to before `end`, float64 [samples, M], columns sorted."""
    begin, stop = int(index.starts[first]), int(index.starts[end])
    data, indices = (handle[f"{_MATRIX}/{name}"][begin:stop] for name in ("data", "indices"))
    starts = index.starts[first : end + 1] - begin
    shape = (end - first, len(index.feature_ids))
    return sparse.csr_array((data.astype(np.float64), indices.astype(np.int64), starts), shape=shape)


def read_hdf5(content: bytes, path: Path) -> tuple[sparse.csr_array, BiomIndex]:
    """All samples, float64 [N, M]."""

    def read() -> tuple[sparse.csr_array, BiomIndex]:
        with reading(path), h5py.File(io.BytesIO(content)) as handle:
            index = index_of(handle, path)
            return read_samples(handle, index, 0, len(index.sample_ids)), index

    try_first(read, path, len(content))
    return read()


def open_hdf5(path: Path) -> BiomIndex:
    """What is in a file whose samples will be read by slice; all of it is read once, some at a time."""

    def read() -> BiomIndex:
        with reading(path), h5py.File(path) as handle:
            return index_of(handle, path)

    def read_all() -> None:
        index = read()
        with reading(path), h5py.File(path) as handle:
            for first in range(0, len(index.sample_ids), _SAMPLES_AT_ONCE):
                read_samples(handle, index, first, min(first + _SAMPLES_AT_ONCE, len(index.sample_ids)))

    try_first(read_all, path, path.stat().st_size)
    return read()


def read_json(content: str, path: Path) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """Sparse [M, N], feature ids and sample ids. Nothing else is read: metadata may be as R writes them."""
    with reading(path):
        document = json.loads(content)
        if not {"rows", "columns", "data"} <= set(document):
            found = ", ".join(map(ascii, list(document)[:5]))[:200]
            raise InputError(f"{path}: JSON of something else, not a feature table in BIOM 1: it has {found or 'nothing'}")
        features, samples = _json_ids(document, content, path)
        shape = (len(features), len(samples))
        # Before a matrix of that shape is made.
        if tuple(map(_unboxed, document["shape"])) != shape:
            raise InputError(f"{path}: broken BIOM table (its shape is not that of its rows and columns); is the file complete?")
        _refuse_texts(document["data"], path)
        data = np.array(document["data"], dtype=np.float64)
        dense = _unboxed(document.get("matrix_type", "sparse")) == "dense"
        matrix = _dense(data, shape, path) if dense else _sparse(data, shape, path)
        return matrix, features, samples


def _unboxed(value: Any) -> Any:
    """R may write one value as a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _json_ids(document: dict[str, Any], content: str, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """IDs of features and samples, as written."""
    features, samples = (_ids_of(document, axis, path) for axis in ("rows", "columns"))
    if any(isinstance(name, float) for name in (*features, *samples)):
        # 1.10 is not 1.1.
        written = json.loads(content, parse_float=str, parse_constant=str)
        features, samples = (_ids_of(written, axis, path) for axis in ("rows", "columns"))
    return tuple(map(str, features)), tuple(map(str, samples))


def _ids_of(document: dict[str, Any], axis: str, path: Path) -> list[Any]:
    """Of a list of objects with an ``id``, or of an object of such, as R writes a list with names."""
    parts = document[axis]
    if isinstance(parts, dict) and all(isinstance(part, dict) for part in parts.values()):
        parts = [{"id": name, **part} for name, part in parts.items()]
    listed = parts if isinstance(parts, list) else [None]
    ids = [_unboxed(part.get("id")) if isinstance(part, dict) else None for part in listed]
    if any(isinstance(name, bool) or not isinstance(name, (str, int, float)) for name in ids):
        wanted = f'{{"{axis}": [{{"id": "name", "metadata": null}}, ...]}}'
        raise InputError(f"{path}: broken BIOM table: its {axis} are not a list of objects with an id each, such as {wanted}")
    return ids


def _refuse_texts(data: Any, path: Path) -> None:
    """InputError for a count in quotes that is no number."""
    rows = data if isinstance(data, list) else ()
    texts = (cell for row in rows for cell in (row if isinstance(row, list) else (row,)) if isinstance(cell, str))
    if (wrong := next((text for text in texts if finite_number(text) is None), None)) is not None:
        raise InputError(
            f"{path}: broken BIOM table: {wrong[:100]!r} in its data is no number; every value must be a count of reads"
        )


def _dense(data: np.ndarray, shape: tuple[int, int], path: Path) -> sparse.csr_array:
    """Rows of counts; R writes them as a flat list where there is one sample, or one feature."""
    flat = data.ndim == 1 and data.size == shape[0] * shape[1] and (1 in shape or not data.size)
    if data.shape != shape and not flat:
        raise InputError(f"{path}: broken BIOM table (its data are not of its shape); is the file complete?")
    return sparse.csr_array(data.reshape(shape))


def _sparse(data: np.ndarray, shape: tuple[int, int], path: Path) -> sparse.csr_array:
    """Feature, sample and count in each row; R may write the one row of a table with one count as a flat list."""
    triples = data.reshape(-1, 3) if data.ndim == 1 and data.size in (0, 3) else data
    if triples.ndim != 2 or triples.shape[1] != 3:
        raise InputError(f"{path}: broken BIOM table (its data are not rows of feature, sample and count); is the file complete?")
    places = triples[:, :2]
    there = ((places >= 0) & (places < shape) & (places == np.floor(places))).all()
    # Beyond the range of integers, and what is no number, is not there.
    rows, columns = (places if there else np.zeros((0, 2))).T.astype(np.int64)
    if not there or len(np.unique(rows * max(1, shape[1]) + columns)) < len(triples):
        raise InputError(f"{path}: broken BIOM table (counts of no place, or two of one); is the file complete?")
    return sparse.csr_array((triples[:, 2], (rows, columns)), shape=shape)
