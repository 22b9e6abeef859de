"""A community with ids and metadata values that nobody else has, and a look for them in every byte that a tracker writes."""

import importlib.util
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from biom import Table
from scipy.sparse import csr_matrix

from aam.data.simulate import simulate, write_simulation
from aam.data.table import read_table

INSTALLED = [name for name in ("mlflow", "wandb", "trackio") if importlib.util.find_spec(name)]
# What says where a server is, of the one who runs the tests.
SERVERS = ("MLFLOW_TRACKING_URI", "WANDB_BASE_URL", "WANDB_MODE", "TRACKIO_SERVER_URL", "TRACKIO_SPACE_ID", "TRACKIO_WRITE_TOKEN")
_CLASSES, _SEXES = {"case": "zzplantedcase", "control": "zzplantedcontrol"}, {"female": "qqplantedwoman", "male": "qqplantedman"}


def needs(name):
    """Skip a test where a tracker is not installed."""
    if name not in INSTALLED:
        pytest.skip(f"{name} is not installed: pip install '.[{name}]'")


def plant(folder):
    """A small community in `folder`, whose sample ids, classes, levels, groups and numbers are planted."""
    write_simulation(simulate(0, n_samples=60, n_asvs=60, length=40), folder)
    table = read_table(folder / "table.biom")
    names = {name: f"plantedsample{place:03}x" for place, name in enumerate(table.sample_ids)}
    with h5py.File(folder / "table.biom", "w") as handle:
        ids = [names[name] for name in table.sample_ids]
        Table(csr_matrix(table.counts.T), table.feature_ids, ids).to_hdf5(handle, "test")
    metadata = pd.read_csv(folder / "metadata.tsv", sep="\t", index_col=0)
    metadata.index = metadata.index.map(names)
    metadata["disease"] = metadata["disease"].map(_CLASSES)
    metadata["sex"] = metadata["sex"].map(_SEXES)
    metadata["subject"] = "plantedsubject" + metadata["subject"].astype(str)
    metadata["age"] = (metadata["age"] + np.random.default_rng(0).random(len(metadata)) / 100).round(6)
    metadata.to_csv(folder / "metadata.tsv", sep="\t")


def secrets_of(community, run):
    """By what they are, byte strings that nobody may be told: ids, texts, and numbers as text and as binary floats."""
    metadata = pd.read_csv(community / "metadata.tsv", sep="\t", index_col=0)
    words = {*metadata.index, *metadata["subject"], *_CLASSES.values(), *_SEXES.values()}
    found = {word: [word.encode()] for word in words}
    predicted = [path for path in (run / "predictions.tsv", run / "predictions_probabilities.tsv") if path.is_file()]
    numbers = {f"age {value}": value for value in metadata["age"]}
    for path in predicted:
        frame = pd.read_csv(path, sep="\t", index_col=0).select_dtypes("number")
        numbers |= {f"predicted {value}": value for value in frame.to_numpy().ravel()}
    for name, value in numbers.items():
        # 0.4 may be a score as well.
        if len(text := f"{value:.6g}") >= 7:
            found[name] = [text.encode(), struct.pack("<d", value), struct.pack(">d", value)]
    return found


def leaked(secrets, *folders):
    """Which secrets are in which files below the folders, by name too."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        content = str(path.relative_to(path.parents[2])).encode() + path.read_bytes()
        found += [f"{name} in {path}" for name, forms in secrets.items() if any(form in content for form in forms)]
    return found


def environment(**more):
    """Of a process that runs a command: nobody's servers but those given."""
    kept = {name: value for name, value in os.environ.items() if name not in SERVERS}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def start(*arguments, **more):
    """`aam` as a process of its own: trackers look at the environment once."""
    command = [sys.executable, "-m", "aam", *map(str, arguments)]
    return subprocess.Popen(command, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process, code=0):
    """What it wrote to standard error, and nothing to standard output."""
    out, said = process.communicate(timeout=240)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert out == ""
    return said


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """A server of MLflow or trackio on this machine, which keeps what it is told below `folder`."""

    def __init__(self, name, folder):
        folder.mkdir()
        self.name, self.folder, self.port = name, folder, free_port()
        url, token = f"http://127.0.0.1:{self.port}", "plantedtoken"
        if name == "mlflow":
            store = ["--backend-store-uri", f"sqlite:///{folder}/db", "--artifacts-destination", str(folder / "files")]
            command = ["-m", "mlflow", "server", *store, "--port", str(self.port), "--workers", "1"]
            self.told = {"MLFLOW_TRACKING_URI": url}
        else:
            command = ["-c", f"import trackio; trackio.show(open_browser=False, host='127.0.0.1', server_port={self.port})"]
            self.told = {"TRACKIO_SERVER_URL": url, "TRACKIO_WRITE_TOKEN": token}
        its = {"TRACKIO_DIR": str(folder / "dir"), "TRACKIO_WRITE_TOKEN": token, "MLFLOW_DISABLE_TELEMETRY": "true"}
        out = (folder.parent / f"{name}.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, *command], env=environment(**its), stdout=out, stderr=out, start_new_session=True, cwd=folder.parent
        )

    def wait(self):
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    # It listens before it answers.
                    time.sleep(2)
                    return self
            time.sleep(0.2)
        raise RuntimeError(Path(self.folder.parent / f"{self.name}.log").read_text())

    def kill(self):
        import signal

        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
