"""AnnData files by hand, as anndata writes them, and anndata itself where it is installed, here or in a Python of its own."""

import importlib.util
import io
import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from scipy import sparse

from aam.errors import InputError

# It wants an older pandas than AAM is tested with: a Python that has it, by its path.
ANNDATA = os.environ.get("AAM_ANNDATA_PYTHON") or (sys.executable if importlib.util.find_spec("anndata") else None)
needs_anndata = pytest.mark.skipif(
    ANNDATA is None, reason="anndata is not installed; AAM_ANNDATA_PYTHON names a Python that has it"
)

SAMPLES, FEATURES = ["2538.10", "s b", "10317.000003639"], ["f1", "f2", "f3", "f4"]
SEQUENCES = ["AAAA", "aaac", "AAAU", "AAAG"]
COUNTS = np.array([[3, 0, 0, 7], [0, 2, 0, 5], [1, 0, 0, 0]])


def run_anndata(program, *arguments):
    """Run a program that has anndata; the JSON that it prints last."""
    words = [ANNDATA, "-c", program, *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    run = subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def encode(place, kind, version="0.2.0"):
    place.attrs["encoding-type"], place.attrs["encoding-version"] = kind, version
    return place


def texts(group, name, values):
    return encode(group.create_dataset(name, data=values, dtype=h5py.string_dtype()), "string-array")


def numbers(group, name, values):
    return encode(group.create_dataset(name, data=np.array(values)), "array")


def categorical(group, name, codes, levels):
    made = encode(group.create_group(name), "categorical")
    made.attrs["ordered"] = False
    numbers(made, "codes", np.array(codes, np.int8))
    return texts(made, "categories", levels) if isinstance(levels[0], str) else numbers(made, "categories", levels)


def nullable(group, name, kind, values, mask):
    made = encode(group.create_group(name), f"nullable-{kind}", "0.1.0")
    put = texts if kind == "string-array" else numbers
    put(made, "values", values)
    numbers(made, "mask", mask)


def matrix(handle, name, values, kind="csr"):
    if kind == "dense":
        numbers(handle, name, values)
        return
    whole = {"csr": sparse.csr_array, "csc": sparse.csc_array}[kind](values)
    group = encode(handle.create_group(name), f"{kind}_matrix", "0.1.0")
    group.attrs["shape"] = np.array(values.shape)
    for part in ("data", "indices", "indptr"):
        group.create_dataset(part, data=getattr(whole, part))


def frame(handle, name, ids, columns=()):
    group = encode(handle.create_group(name), "dataframe")
    group.attrs["_index"] = "names"
    texts(group, "names", ids)
    group.attrs.create("column-order", data=list(columns), shape=(len(columns),), dtype=h5py.string_dtype())
    return group


def obs_columns(obs):
    numbers(obs, "age", [1.5, np.nan, 7])
    numbers(obs, "whole", [6, 7, 8])
    numbers(obs, "flag", [True, False, True])
    categorical(obs, "site", [1, -1, 0], ["gut", "1.10"])
    categorical(obs, "plate", [0, 1, 1], [1, 2])
    texts(obs, "note", ["a", "", "b\tc"])
    nullable(obs, "n", "integer", [1, 2, 3], [False, True, False])
    nullable(obs, "told", "boolean", [True, False, False], [True, False, False])
    nullable(obs, "name", "string-array", ["x", "", "z"], [False, True, False])


COLUMNS = ("age", "whole", "flag", "site", "plate", "note", "n", "told", "name")


def h5ad_bytes(kind="csr", values=COUNTS, change=lambda handle: None, sequence="sequence"):
    """A file of all encodings of columns; change: what is done to it at the end."""
    content = io.BytesIO()
    with h5py.File(content, "w") as handle:
        encode(handle, "anndata", "0.1.0")
        matrix(handle, "X", values.astype(np.float32), kind)
        obs_columns(frame(handle, "obs", SAMPLES, COLUMNS))
        var = frame(handle, "var", FEATURES, [sequence] if sequence else [])
        if sequence:
            texts(var, sequence, SEQUENCES)
        for name in ("obsm", "varm", "obsp", "varp", "layers", "uns"):
            encode(handle.create_group(name), "dict", "0.1.0")
        change(handle)
    return content.getvalue()


def all_of(*readers):
    """Readers of one file, one after the other; the last InputError of them goes on up."""

    def run(path):
        fault = None
        for read in readers:
            try:
                read(path)
            except InputError as error:
                fault = error
        if fault is not None:
            raise fault

    return run
