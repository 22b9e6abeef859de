import gzip
import sys

import h5py
import numpy as np
import pytest
import torch
from skbio import DistanceMatrix

from aam.distances.files import read_distances, write_distances
from aam.distances.precomputed import PrecomputedDistances
from aam.errors import InputError

IDS = ["2538.10", "s b", "s'c", "sé"]
SUFFIXES = (".h5", ".hdf5", ".npy", ".tsv", ".txt", ".lsmat", ".NPY")


@pytest.fixture
def matrix():
    points = np.random.default_rng(0).random((4, 2))
    return np.linalg.norm(points[:, None] - points, axis=2)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_written_distances_read_back_in_any_order(tmp_path, matrix, suffix):
    path = tmp_path / f"distances.v1{suffix}"
    write_distances(path, matrix, IDS)
    np.testing.assert_array_equal(read_distances(path, IDS), matrix)
    chosen = [3, 0, 2]
    aligned = read_distances(path, [IDS[row] for row in chosen])
    np.testing.assert_array_equal(aligned, matrix[np.ix_(chosen, chosen)])
    expected = {path.name, "distances.v1.ids.txt"} if suffix.lower() == ".npy" else {path.name}
    assert {entry.name for entry in tmp_path.iterdir()} == expected


@pytest.mark.parametrize(("suffix", "dtype"), [(".h5", np.float32), (".npy", np.float32), (".tsv", np.float64)])
def test_precision_is_that_of_the_file(tmp_path, matrix, suffix, dtype):
    path = tmp_path / f"distances{suffix}"
    write_distances(path, matrix.astype(np.float32), IDS)
    again = read_distances(path, IDS)
    assert again.dtype == dtype
    np.testing.assert_allclose(again, matrix, rtol=1e-6)


def test_hdf5_is_that_of_unifrac_binaries(tmp_path, matrix):
    path = tmp_path / "distances.h5"
    write_distances(path, matrix, [*IDS[:3], "d"])
    theirs = DistanceMatrix.read(path, format="binary_dm")
    assert list(theirs.ids) == [*IDS[:3], "d"]
    np.testing.assert_array_equal(theirs.data, matrix)
    with h5py.File(path) as handle:
        assert (handle["format"][0], handle["version"][0]) == (b"BDSM", b"2020.12")
        # How unifrac.h5unifrac reads it.
        assert [item.decode("ascii") for item in handle["order"][:]] == [*IDS[:3], "d"]
        np.testing.assert_array_equal(handle["matrix"][:, :], matrix)


@pytest.mark.parametrize("matrix_format", ["binary_dm", "lsmat"])
def test_files_of_scikit_bio(tmp_path, matrix, matrix_format):
    path = tmp_path / {"binary_dm": "theirs.h5", "lsmat": "theirs.tsv"}[matrix_format]
    DistanceMatrix(matrix, IDS).write(str(path), format=matrix_format)
    np.testing.assert_allclose(read_distances(path, IDS[::-1]), matrix[::-1, ::-1], rtol=1e-15)
    ours = tmp_path / "ours.tsv"
    write_distances(ours, matrix, IDS)
    np.testing.assert_array_equal(DistanceMatrix.read(str(ours), format="lsmat").data, matrix)


@pytest.mark.parametrize("ids", [np.array([item.encode() for item in IDS]), IDS], ids=["fixed length", "variable length"])
@pytest.mark.parametrize("name", ["matrix", "matrix:0"])
def test_layouts_of_hdf5(tmp_path, matrix, name, ids):
    with h5py.File(tmp_path / "distances.h5", "w") as handle:
        handle["order"] = ids
        handle[name] = matrix
    np.testing.assert_array_equal(read_distances(tmp_path / "distances.h5", IDS), matrix)


def test_lsmat_comments_and_empty_lines(tmp_path):
    path = tmp_path / "distances.tsv"
    path.write_text("# made by hand\n\n\ta\t#b\r\na\t0\t0.5\r\n#b\t0.5\t0\r\n\n")
    np.testing.assert_array_equal(read_distances(path, ["#b", "a"]), [[0, 0.5], [0.5, 0]])


@pytest.mark.parametrize("suffix", [".h5", ".npy", ".tsv"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda matrix: matrix.__setitem__((1, 2), 0.9), "not symmetric"),
        (lambda matrix: matrix.__setitem__((2, 2), 0.1), "above 0 to themselves"),
        (lambda matrix: matrix.__setitem__((0, 1), np.nan), "missing or infinite"),
        (lambda matrix: matrix.__setitem__((0, 1), np.inf), "missing or infinite"),
        (lambda matrix: matrix.__setitem__(([0, 1], [1, 0]), -0.5), "negative"),
    ],
)
def test_matrices_that_are_no_distances(tmp_path, matrix, suffix, change, message):
    change(matrix)
    path = tmp_path / f"distances{suffix}"
    write_distances(path, matrix, IDS)
    with pytest.raises(InputError, match=message):
        read_distances(path, IDS)


@pytest.mark.parametrize("suffix", [".h5", ".npy", ".tsv"])
def test_samples_that_the_file_lacks(tmp_path, matrix, suffix):
    path = tmp_path / f"distances{suffix}"
    write_distances(path, matrix, IDS)
    wanted = [*IDS, *(f"x{number}" for number in range(7))]
    with pytest.raises(InputError, match=r"7 of 11 samples have no distances there: x0, x1, x2, x3, x4 ... \(2 more\)"):
        read_distances(path, wanted)
    write_distances(path, matrix, ["a", "b", "a", "c"])
    with pytest.raises(InputError, match="duplicate sample ids: a"):
        read_distances(path, ["a"])
    if suffix != ".tsv":
        write_distances(path, matrix[:3], IDS)
        with pytest.raises(InputError, match=r"4 ids, but a matrix of shape \(3, 4\)"):
            read_distances(path, IDS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.h5", None, "no such file"),
        ("absent.npy", None, "no such file"),
        ("absent.tsv", None, "No such file"),
        ("distances.csv", "a,b", "unknown format"),
        ("distances.h5", "text", "broken HDF5 file"),
        ("distances.npy", "text", "not a distance matrix"),
        ("distances.tsv", "a\tb\na\t0\n", "header must start with a tab"),
        ("distances.tsv", "", "header must start with a tab"),
        ("distances.tsv", "\ta\tb\na\t0\t1\n", r"2 ids, but a matrix of shape \(1, 2\)"),
        ("distances.tsv", "\ta\tb\nb\t0\t1\na\t1\t0\n", "row 1 is of 'b', where the header has 'a'"),
        ("distances.tsv", "\ta\na\t0\nb\t0\n", "row 2 is of 'b', where the header has 'nothing more'"),
        ("distances.tsv", "\ta\tb\na\t0\nb\t1\t0\n", "row 'a' has 1 value for 2 ids"),
        ("distances.tsv", "\ta\tb\na\t0\tx\nb\t1\t0\n", "could not convert"),
        ("distances.tsv", "\ta\tb\na\t0\t0_5\nb\t1\t0\n", "could not convert string to float: '0_5'"),
        ("distances.h5.gz", "text", "only text is read from a .gz; gunzip it first"),
        ("distances.gz", "text", r"/distances.gz: unknown format of distances '.gz'"),
    ],
)
def test_broken_files(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_distances(path, ["a"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["distances.tsv.gz", "distances.TXT.GZ", "distances.lsmat.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_text_in_a_gz_and_as_spreadsheets_write_it(tmp_path, matrix, name, encoding):
    write_distances(tmp_path / "plain.tsv", matrix, IDS)
    text = (tmp_path / "plain.tsv").read_text(encoding="utf-8").replace("\n", "\r\n")
    (tmp_path / name).write_bytes(gzip.compress(text.encode(encoding)))
    np.testing.assert_array_equal(read_distances(tmp_path / name, IDS), matrix)
    (tmp_path / "distances.tsv").write_bytes(text.encode(encoding))
    np.testing.assert_array_equal(read_distances(tmp_path / "distances.tsv", IDS), matrix)


def test_numpy_without_ids_and_hdf5_without_matrix(tmp_path, matrix):
    np.save(tmp_path / "distances.npy", matrix)
    with pytest.raises(InputError, match=r"^[^(]*holds no sample ids; put them, one a line, in distances.ids.txt"):
        read_distances(tmp_path / "distances.npy", IDS)
    with h5py.File(tmp_path / "other.h5", "w") as handle:
        handle["order"] = IDS
    with pytest.raises(InputError, match="matrix:0"):
        read_distances(tmp_path / "other.h5", IDS)


@pytest.mark.skipif(sys.platform != "linux", reason="read first in a process of its own on Linux alone")
@pytest.mark.parametrize("place", [1729, 2131])
def test_a_byte_with_which_the_library_crashes_or_never_ends(tmp_path, place):
    """As h5py 3.16 lays out the file; with another version these bytes may be harmless, and others not."""
    path = tmp_path / "distances.h5"
    with h5py.File(path, "w") as handle:
        handle["format"] = np.array([b"BDSM"])
        handle["version"] = np.array([b"2020.12"])
        handle.create_dataset("order", data=["a", "b", "c"], dtype=h5py.string_dtype())
        handle["matrix"] = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0.0]])
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="broken HDF5 file"):
        read_distances(path, ["a", "b", "c"])


def test_failed_write_leaves_the_old_file(tmp_path, matrix):
    path = tmp_path / "distances.tsv"
    write_distances(path, matrix, IDS)
    with pytest.raises(ValueError, match="longer"):
        write_distances(path, matrix, IDS[:2])
    np.testing.assert_array_equal(read_distances(path, IDS), matrix)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_batch_distances(matrix):
    distances = PrecomputedDistances(matrix)
    unused = torch.zeros(3, 5, dtype=torch.int64)
    batch = distances(unused, unused.double(), torch.tensor([2, 0, 2]))
    np.testing.assert_array_equal(batch, matrix[np.ix_([2, 0, 2], [2, 0, 2])])
    assert not distances.state_dict()
