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
from biom import Table
from biom.err import errstate
from biom.exception import BiomException
from scipy import sparse

from aam.data.hdf5 import bounded, read_texts, try_first
from aam.errors import InputError, one_line

_MATRIX = "sample/matrix"
# Of indices that are checked at a time, and of samples.
_AT_ONCE, _SAMPLES_AT_ONCE = 2**22, 256
_BROKEN = (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, MemoryError, OverflowError, BiomException)


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


def read_json(content: bytes, path: Path) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """Sparse [M, N], feature ids and sample ids."""
    with reading(path):
        document = json.loads(content)
        # Before a matrix of that shape is made.
        if document["shape"] != [len(document["rows"]), len(document["columns"])]:
            raise InputError(f"{path}: broken BIOM table (its shape is not that of its rows and columns); is the file complete?")
        if document["matrix_type"] == "sparse":
            places = [(row, column) for row, column, _ in document["data"]]
            if not all(type(number) is int for place in places for number in place) or len(set(places)) < len(places):
                raise InputError(f"{path}: broken BIOM table (counts of no place, or two of one); is the file complete?")
        # biom would refuse duplicate ids without naming them; they are checked, with names, in read_table.
        with errstate(obsdup="ignore", sampdup="ignore"):
            table = Table.from_json(document)
        return table.matrix_data, tuple(map(str, table.ids("observation"))), tuple(map(str, table.ids()))
