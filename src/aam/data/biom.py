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

from aam.data.files import HARMLESS, MOST_EXPANSION, one_line
from aam.errors import InputError

_MATRIX = "sample/matrix"
# Of indices that are checked at a time.
_AT_ONCE = 2**22
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
    starts = _bounded(handle, f"{_MATRIX}/indptr", path)[:].astype(np.int64)
    features, samples = (tuple(map(_text, _bounded(handle, f"{axis}/ids", path)[:])) for axis in ("observation", "sample"))
    indices, data = (_bounded(handle, f"{_MATRIX}/{name}", path) for name in ("indices", "data"))
    fit = len(starts) == len(samples) + 1 and starts[0] == 0 and (np.diff(starts) >= 0).all()
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
    with reading(path), h5py.File(io.BytesIO(content)) as handle:
        index = index_of(handle, path)
        return read_samples(handle, index, 0, len(index.sample_ids)), index


def read_json(content: bytes, path: Path) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """Sparse [M, N], feature ids and sample ids."""
    with reading(path):
        document = json.loads(content)
        # Before a matrix of that shape is made.
        if document["shape"] != [len(document["rows"]), len(document["columns"])]:
            raise InputError(f"{path}: broken BIOM table (its shape is not that of its rows and columns); is the file complete?")
        # biom would refuse duplicate ids without naming them; they are checked, with names, in read_table.
        with errstate(obsdup="ignore", sampdup="ignore"):
            table = Table.from_json(document)
        return table.matrix_data, tuple(map(str, table.ids("observation"))), tuple(map(str, table.ids()))


def _bounded(handle: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """A list in the file, which is no longer than so many bytes may hold."""
    dataset = handle[name]
    size = dataset.size * dataset.dtype.itemsize
    if dataset.ndim != 1 or size > max(HARMLESS, MOST_EXPANSION * dataset.id.get_storage_size()):
        raise InputError(f"{path}: broken BIOM table ({name} claims {dataset.size:,} values); is the file complete?")
    return dataset


def _text(name: bytes | str) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else str(name)
