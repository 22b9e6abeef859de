"""Files that are there whole or not at all, on a disk that is full."""

import errno
import resource
import signal

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from aam.writing import whole, write_text

WRITERS = {
    "text": lambda path: path.write_text("x" * 100_000),
    "numpy": lambda path: np.save(path.open("wb"), np.ones(100_000)),
    "hdf5": lambda path: h5py.File(path, "w").create_dataset("x", data=np.random.default_rng(0).random(100_000)).file.close(),
    "safetensors": lambda path: save_file({"x": torch.ones(100_000)}, path),
    "torch": lambda path: torch.save(torch.ones(100_000), path.open("wb")),
}


@pytest.fixture
def full_disk():
    """No file above 20 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, heard)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_one_error_of_the_system_and_the_file_before_stays(tmp_path, full_disk, writer):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(OSError, match="file") as caught, whole(path) as new:
        WRITERS[writer](new)
    assert caught.value.errno in (errno.EFBIG, errno.ENOSPC)
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_folders_take_the_place_of_folders(tmp_path):
    for text in ("first", "second"):
        with whole(tmp_path / "folder") as new:
            new.mkdir()
            write_text(new / "inner.txt", text)
        assert (tmp_path / "folder" / "inner.txt").read_text() == text
    with pytest.raises(ZeroDivisionError), whole(tmp_path / "folder") as new:
        new.mkdir()
        raise ZeroDivisionError
    assert (tmp_path / "folder" / "inner.txt").read_text() == "second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
