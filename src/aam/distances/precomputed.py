"""Distance matrices on disk, aligned to samples by id, and as a batch distance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import dropwhile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from aam.data.hdf5 import bounded, read_texts, try_first, writing_hdf5
from aam.disk.writing import whole, write_text
from aam.errors import InputError, first_few, one_line

# Largest difference between d(i, j) and d(j, i) that is rounding of a file, not a fault: float32, or six digits in a text.
ROUNDING = 1e-5


class PrecomputedDistances(nn.Module):
    """A matrix as a batch distance. It moves with the model but is not saved with it."""

    matrix: Tensor

    def __init__(self, matrix: np.ndarray) -> None:
        """`matrix`: distances [N, N] in the order that `sample_index` counts in."""
        super().__init__()
        self.register_buffer("matrix", torch.from_numpy(matrix), persistent=False)

    def forward(self, columns: Tensor, counts: Tensor, sample_index: Tensor) -> Tensor:
        """Distances [B, B] of the samples `sample_index`, int64 [B]; `columns` and `counts` are unused: the signature is shared."""
        return self.matrix[sample_index.unsqueeze(1), sample_index]


def read_distances(path: Path, sample_ids: Sequence[str]) -> np.ndarray:
    """Distances [N, N] between `sample_ids` in that order, float32 if the file is, else float64; the file may hold more samples.

    Formats, by suffix: HDF5 (.h5, .hdf5) as unifrac-binaries and scikit-bio's ``binary_dm`` write it; .npy with the ids, one a
    line, in ``<name>.ids.txt`` beside it; LSMat (.tsv, .txt, .lsmat), the square table with ids that scikit-bio and QIIME 2 export.
    InputError for a file that cannot be read, for samples that it lacks, and for a matrix that is not one of distances.
    """
    reader, _ = _format(path)
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
    rows = {sample_id: row for row, sample_id in enumerate(ids)}
    if len(rows) < len(ids):
        raise InputError(f"{path}: duplicate ids: {first_few(name for name, times in Counter(ids).items() if times > 1)}")
    if missing := [sample_id for sample_id in sample_ids if sample_id not in rows]:
        raise InputError(f"{path}: {len(missing)} of {len(sample_ids)} samples have no distances there: {first_few(missing)}")
    order = np.array([rows[sample_id] for sample_id in sample_ids], dtype=np.int64)
    aligned = np.ascontiguousarray(matrix[order][:, order], dtype=np.float32 if matrix.dtype == np.float32 else np.float64)
    _check(aligned, path)
    return aligned


def write_distances(path: Path, matrix: np.ndarray, sample_ids: Sequence[str]) -> None:
    """Write distances [N, N] for `read_distances`, in the format of the suffix; the file appears when it is complete."""
    _, writer = _format(path)
    if path.suffix.lower() == ".npy":
        write_text(_ids_file(path), "".join(f"{sample_id}\n" for sample_id in sample_ids))
    with whole(path) as new:
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


def _read_lsmat(path: Path) -> tuple[list[str], np.ndarray]:
    with path.open(encoding="utf-8-sig") as lines:
        # Comments may come before the header alone: an id may start with "#".
        content = dropwhile(lambda line: line.startswith("#"), (line for line in lines if line.strip()))
        rows = (line.rstrip("\r\n").split("\t") for line in content)
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
                raise ValueError(f"row {cells[0].strip()!r} has {len(cells) - 1} values for {len(ids)} ids")
            matrix[row] = cells[1:]
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
}


def _format(path: Path) -> tuple[Reader, Writer]:
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: unknown format of distances {path.suffix!r}; use one of {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()]
