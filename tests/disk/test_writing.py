"""Files that are there whole or not at all, on a disk that is full."""

import errno
import resource
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from aam.data.hdf5 import writing_hdf5
from aam.disk.writing import whole, write_text


def write_hdf5(path, values):
    with writing_hdf5(path) as file, h5py.File(file, "w") as handle:
        handle["x"] = values


WRITERS = {
    "text": lambda path: path.write_text("x" * 100_000),
    "numpy": lambda path: np.save(path.open("wb"), np.ones(100_000)),
    "hdf5": lambda path: write_hdf5(path, np.random.default_rng(0).random(100_000)),
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


@pytest.mark.parametrize("kilobytes", [1, 4, 8])
def test_a_full_disk_does_not_crash_what_writes_hdf5(tmp_path, kilobytes):
    """libhdf5 does, when what it could not write is freed or the process ends."""
    script = (
        "import resource, sys; from pathlib import Path; import numpy as np\n"
        "from aam.distances.files import write_distances\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * int(sys.argv[2]), resource.RLIM_INFINITY))\n"
        "try: write_distances(Path(sys.argv[1]), np.zeros((60, 60)), [f's{number}' for number in range(60)])\n"
        "except OSError as error: sys.exit(7 if error.errno == 27 else 8)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "d.h5", str(kilobytes)], check=False)
    assert done.returncode == 7
    assert not list(tmp_path.iterdir())


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
