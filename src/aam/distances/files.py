"""Distance matrices on disk, aligned to samples by id."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

import numpy as np

from aam.data.files import decode, read_file, read_qza
from aam.data.hdf5 import bounded, read_texts, try_first, writing_hdf5
from aam.data.ids import read_ids
from aam.data.near_ids import near_ids
from aam.data.numbers import row_of_numbers
from aam.disk.qza import DISTANCE_MATRIX, whole_or_artifact
from aam.disk.writing import write_text
from aam.errors import InputError, counted, first_few, one_line, some_of

# Largest difference between d(i, j) and d(j, i) that is rounding of a file, not a fault: float32, or six digits in a text.
ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Distances:
    """Distances [n, n] between samples by id, as a file has them."""

    path: Path
    ids: Sequence[str]
    matrix: np.ndarray
    # What samples lack that are not in it.
    what = "distances"

    def between(self, sample_ids: Sequence[str]) -> np.ndarray:
        """Distances [N, N] in that order, float32 if the file is, else float64.

        InputError for samples that have none, and for values that are no distances.
        """
        rows = {sample_id: row for row, sample_id in enumerate(self.ids)}
        if missing := [sample_id for sample_id in sample_ids if sample_id not in rows]:
            problem = f"{some_of(len(missing), len(sample_ids), 'have no distances there')}: {first_few(missing)}"
            wanted = set(sample_ids)
            near = near_ids(missing, [name for name in self.ids if name not in wanted], "the matrix")
            raise InputError(f"{self.path}: {problem}{near}; remove them")
        order = np.array([rows[sample_id] for sample_id in sample_ids], dtype=np.int64)
        kind = np.float32 if self.matrix.dtype == np.float32 else np.float64
        aligned = np.ascontiguousarray(self.matrix[order][:, order], dtype=kind)
        _check(aligned, self.path)
        return aligned


def read_distances(path: Path, sample_ids: Sequence[str]) -> np.ndarray:
    """Distances [N, N] between `sample_ids` in that order, of a file that may hold more samples: see `open_distances`."""
    return open_distances(path).between(sample_ids)


def open_distances(path: Path) -> Distances:
    """The distances in a file; their values are checked when they are asked for.

    Formats, by suffix: HDF5 (.h5, .hdf5) as unifrac-binaries and scikit-bio's ``binary_dm`` write it; .npy with the ids, one a
    line, in ``<name>.ids.txt`` beside it; LSMat (.tsv, .txt, .lsmat, or one of them and .gz), the square table with ids that
    scikit-bio and QIIME 2 export; a QIIME 2 artifact of type DistanceMatrix (.qza).
    InputError for a file that cannot be read, and for a matrix that is not square, with an id for each row.
    """
    reader = _reader(path)
    try:
        ids, matrix = reader(path)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{error.filename or path}: there is no such file") from error
    except (OSError, LookupError, ValueError, EOFError, RuntimeError, TypeError, AttributeError, MemoryError) as error:
        raise InputError(f"{path}: not a distance matrix that can be read ({one_line(error)})") from error
    if matrix.shape != (len(ids), len(ids)):
        raise InputError(f"{path}: {len(ids)} ids, but a matrix of shape {matrix.shape}; it must be square, one row for each id")
    return Distances(path, read_ids(str(path), "sample", ids), matrix)


def write_distances(path: Path, matrix: np.ndarray, sample_ids: Sequence[str]) -> None:
    """Write distances [N, N] for `read_distances`, in the format of the suffix; the file appears when it is complete."""
    _, writer = _format(path)
    if path.suffix.lower() == ".npy":
        write_text(_ids_file(path), "".join(f"{sample_id}\n" for sample_id in sample_ids))
    with whole_or_artifact(path, DISTANCE_MATRIX) as new:
        writer(new, matrix, sample_ids)


def _check(matrix: np.ndarray, path: Path) -> None:
    if not np.isfinite(matrix).all():
        raise InputError(f"{path}: some distances are missing or infinite")
    if (matrix < 0).any():
        raise InputError(f"{path}: some distances are negative")
    if np.diagonal(matrix).any():
        raise InputError(f"{path}: some samples have a distance above 0 to themselves; is it a similarity matrix?")
    if not np.allclose(matrix, matrix.T, rtol=ROUNDING, atol=ROUNDING):
        raise InputError(f"{path}: the matrix is not symmetric, so its values are no distances")


def _read_hdf5(path: Path) -> tuple[list[str], np.ndarray]:
    import h5py

    def read() -> tuple[list[str], np.ndarray]:
        with h5py.File(path) as handle:
            # unifrac-binaries numbers the matrices when it subsamples several times.
            name = "matrix" if "matrix" in handle else "matrix:0"
            return list(read_texts(handle, "order", path)), bounded(handle, name, path, dimensions=2)[:]

    try_first(read, path, path.stat().st_size)
    return read()


def _write_hdf5(path: Path, matrix: np.ndarray, sample_ids: Sequence[str]) -> None:
    import h5py

    with writing_hdf5(path) as file, h5py.File(file, "w") as handle:
        handle["format"] = np.array([b"BDSM"])
        handle["version"] = np.array([b"2020.12"])
        handle.create_dataset("order", data=list(sample_ids), dtype=h5py.string_dtype())
        handle["matrix"] = matrix


def _ids_file(path: Path) -> Path:
    return path.with_suffix(".ids.txt")


def _read_npy(path: Path) -> tuple[list[str], np.ndarray]:
    matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    if not _ids_file(path).exists():
        raise InputError(f"{path}: .npy holds no sample ids; put them, one a line, in {_ids_file(path).name} beside it")
    return _ids_file(path).read_text(encoding="utf-8").splitlines(), matrix


def _write_npy(path: Path, matrix: np.ndarray, sample_ids: Sequence[str]) -> None:
    # Given a name, np.save would add its own suffix to .NPY.
    with path.open("wb") as handle:
        np.save(handle, matrix)


def _read_qza(path: Path) -> tuple[list[str], np.ndarray]:
    return _lsmat_of(read_qza(read_file(path), path, DISTANCE_MATRIX.semantic_type, DISTANCE_MATRIX.member))


def _read_lsmat(path: Path) -> tuple[list[str], np.ndarray]:
    return _lsmat_of(read_file(path))


def _lsmat_of(content: bytes) -> tuple[list[str], np.ndarray]:
    # One line at a time: a list of all would be as large as the file again.
    lines = (line[0] for line in re.finditer("[^\n]+", decode(content)) if line[0].strip())
    # Comments may come before the header alone: an id may start with "#".
    rows = (line.split("\t") for line in dropwhile(lambda line: line.startswith("#"), lines))
    header = [cell.strip() for cell in next(rows, ["no header"])]
    if header[0]:
        raise ValueError("the header must start with a tab, then the ids")
    ids = header[1:]
    matrix = np.empty((len(ids), len(ids)))
    done = 0
    for row, cells in enumerate(rows):
        if row == len(ids) or cells[0].strip() != ids[row]:
            raise ValueError(f"row {row + 1} is of {cells[0].strip()!r}, where the header has {(*ids, 'nothing more')[row]!r}")
        if len(cells) != len(ids) + 1:
            raise ValueError(f"row {cells[0].strip()!r} has {counted(len(cells) - 1, 'value')} for {counted(len(ids), 'id')}")
        matrix[row] = row_of_numbers(cells[1:])
        done += 1
    return ids, matrix[:done]


def _write_lsmat(path: Path, matrix: np.ndarray, sample_ids: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8") as handle:
        handle.write("".join(f"\t{sample_id}" for sample_id in sample_ids) + "\n")
        for sample_id, row in zip(sample_ids, matrix, strict=True):
            handle.write("\t".join([sample_id, *map(str, row)]) + "\n")


Reader = Callable[[Path], tuple[list[str], np.ndarray]]
Writer = Callable[[Path, np.ndarray, Sequence[str]], None]
HDF5, LSMAT = (_read_hdf5, _write_hdf5), (_read_lsmat, _write_lsmat)
FORMATS: dict[str, tuple[Reader, Writer]] = {
    **dict.fromkeys((".h5", ".hdf5"), HDF5),
    ".npy": (_read_npy, _write_npy),
    **dict.fromkeys((".tsv", ".txt", ".lsmat"), LSMAT),
    ".qza": (_read_qza, _write_lsmat),
}


def _reader(path: Path) -> Reader:
    """Of a matrix, or of a text of one in a .gz."""
    packed = path.with_suffix("")
    if path.suffix.lower() != ".gz" or packed.suffix.lower() not in FORMATS:
        return _format(path)[0]
    reader, _ = _format(packed)
    if reader is not _read_lsmat:
        raise InputError(f"{path}: of distances, only text is read from a .gz; gunzip it first")
    return reader


def _format(path: Path) -> tuple[Reader, Writer]:
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: unknown format of distances {path.suffix!r}; use one of {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()]
