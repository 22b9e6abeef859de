"""AnnData files (.h5ad) without anndata: the counts, the annotations of samples, and the sequences of features.

Source: https://anndata.readthedocs.io/en/stable/fileformat-prose.html
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from scipy import sparse

from aam.data.files import HDF5_SIGNATURE
from aam.data.hdf5 import bounded, read_texts, try_first
from aam.errors import InputError, first_few, one_line

log = logging.getLogger(__name__)

_PARTS = {"X", "obs", "var"}
# Where scanpy keeps the counts once X is normalised.
_COUNTS = "layers/counts"
_MARK = b"encoding-type"
_BROKEN = (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, MemoryError, OverflowError)
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Annotations:
    """Annotations of samples: columns by name, each as text [N], None where missing; numeric: the names of those of numbers."""

    ids: tuple[str, ...]
    columns: dict[str, list[str | None]]
    numeric: frozenset[str]


def is_h5ad(content: bytes, path: Path) -> bool:
    """Whether a file is AnnData, of 0.7 or newer. InputError for broken HDF5."""
    # BIOM has no such word: it need not be opened to be told.
    return content.startswith(HDF5_SIGNATURE) and _MARK in content and _read(lambda handle: set(handle) >= _PARTS, content, path)


def read_counts(content: bytes, path: Path) -> tuple[sparse.csr_array, tuple[str, ...], tuple[str, ...]]:
    """Counts float64 [N, M] of layers["counts"], where that is there, or X; IDs of features and of samples."""

    def read(handle: h5py.File) -> tuple[str, sparse.csr_array, tuple[str, ...], tuple[str, ...]]:
        name = _COUNTS if _COUNTS in handle else "X"
        features, samples = _ids(handle, "var", path), _ids(handle, "obs", path)
        return name, _matrix(handle, name, (len(samples), len(features)), path), features, samples

    name, counts, features, samples = _read(read, content, path)
    if name == _COUNTS:
        log.info('%s: counts are those of layers["counts"]', path)
    return counts, features, samples


def read_annotations(content: bytes, path: Path) -> Annotations:
    """Annotations of samples (obs). Columns that are written in another way than anndata writes since 0.8 are left out."""

    def read(handle: h5py.File) -> tuple[Annotations, list[str]]:
        if not set(handle) >= _PARTS:
            raise InputError(f"{path}: is an HDF5 file, but no AnnData (.h5ad)")
        ids, found, numeric, unread = _ids(handle, "obs", path), {}, set(), []
        for name in _column_names(handle, "obs"):
            column = _column(handle, f"obs/{name}", path)
            if column is None or len(column[0]) != len(ids):
                unread.append(name)
                continue
            found[name], is_number = column
            numeric |= {name} if is_number else set()
        return Annotations(ids, found, frozenset(numeric)), unread

    annotations, unread = _read(read, content, path)
    if unread:
        log.warning(
            "%s: columns of obs that AAM cannot read are left out: %s; anndata 0.8 or newer writes them anew",
            path,
            first_few(unread),
        )
    return annotations


def read_var_sequences(content: bytes, path: Path) -> dict[str, str] | None:
    """Sequences as written, by feature ID: the column ``sequence`` of var, in any case; None where there is none."""

    def read(handle: h5py.File) -> dict[str, str] | None:
        name = next((name for name in _column_names(handle, "var") if name.lower() == "sequence"), None)
        column = None if name is None else _column(handle, f"var/{name}", path)
        if column is None:
            return None
        return {feature: text or "" for feature, text in zip(_ids(handle, "var", path), column[0], strict=True)}

    return _read(read, content, path)


def _read(read: Callable[[h5py.File], Result], content: bytes, path: Path) -> Result:
    def whole() -> Result:
        with _reading(path), h5py.File(io.BytesIO(content)) as handle:
            return read(handle)

    try_first(whole, path, len(content))
    return whole()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Make one line of whatever a broken file makes libraries say."""
    try:
        yield
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(f"{path}: broken AnnData file ({one_line(error)}); is the file complete?") from error


def _ids(handle: h5py.File, axis: str, path: Path) -> tuple[str, ...]:
    if not isinstance(handle[axis], h5py.Group):
        raise InputError(f"{path}: written by anndata before 0.7; read it with a newer one and write it again")
    return read_texts(handle, f"{axis}/{_text(handle[axis].attrs.get('_index', '_index'))}", path)


def _column_names(handle: h5py.File, axis: str) -> list[str]:
    return [_text(name) for name in handle[axis].attrs["column-order"]]


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _matrix(handle: h5py.File, name: str, shape: tuple[int, int], path: Path) -> sparse.csr_array:
    if isinstance(handle[name], h5py.Dataset):
        matrix = sparse.csr_array(bounded(handle, name, path, dimensions=2)[:].astype(np.float64))
    else:
        kind = _text(handle[name].attrs.get("encoding-type", ""))
        if kind not in ("csr_matrix", "csc_matrix"):
            raise InputError(f"{path}: {name} is neither an array nor a sparse matrix ({kind or 'no encoding-type'})")
        parts = [bounded(handle, f"{name}/{part}", path)[:] for part in ("data", "indices", "indptr")]
        whole = (parts[0].astype(np.float64), parts[1].astype(np.int64), parts[2].astype(np.int64))
        own_shape = tuple(int(size) for size in handle[name].attrs["shape"])
        if own_shape != shape:
            raise InputError(f"{path}: {name} is {own_shape}, for {shape[0]} samples (obs) and {shape[1]} features (var)")
        written = (sparse.csr_array if kind == "csr_matrix" else sparse.csc_array)(whole, shape=shape)
        written.check_format(full_check=True)
        matrix = sparse.csr_array(written)
    if matrix.shape != shape:
        raise InputError(f"{path}: {name} is {matrix.shape}, for {shape[0]} samples (obs) and {shape[1]} features (var)")
    return matrix


def _column(handle: h5py.File, name: str, path: Path) -> tuple[list[str | None], bool] | None:
    """A column as text, and whether it is of numbers; None for one that is written in another way."""
    if isinstance(handle[name], h5py.Dataset):
        # Of anndata before 0.8: codes without their categories.
        return None if "categories" in handle[name].attrs else _values(handle, name, path)
    kind = _text(handle[name].attrs.get("encoding-type", ""))
    if kind == "categorical":
        levels, _ = _values(handle, f"{name}/categories", path) or ([], False)
        codes = bounded(handle, f"{name}/codes", path)[:]
        if len(codes) and int(codes.max()) >= len(levels):
            raise InputError(f"{path}: broken AnnData file ({name} has codes without a category); is the file complete?")
        # Also where its levels are numbers: they are names.
        return [levels[code] if code >= 0 else None for code in codes.tolist()], False
    if kind.startswith("nullable-") and (found := _values(handle, f"{name}/values", path)) is not None:
        masked = bounded(handle, f"{name}/mask", path)[:].tolist()
        return [None if gone else value for value, gone in zip(found[0], masked, strict=True)], found[1]
    return None


def _values(handle: h5py.File, name: str, path: Path) -> tuple[list[str | None], bool] | None:
    kind = bounded(handle, name, path).dtype.kind
    if kind in "OS":
        return list(read_texts(handle, name, path)), False
    values = bounded(handle, name, path)[:].tolist()
    if kind == "b":
        return [str(value) for value in values], False
    if kind not in "iuf":
        return None
    return [_number(value) for value in values], True


def _number(value: float) -> str | None:
    if not math.isfinite(value):
        return None
    return str(int(value)) if value == round(value) and abs(value) < 2**53 else repr(value)
