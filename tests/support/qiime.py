"""QIIME 2 as it is installed beside, in a Python of its own: Debian's packages, or a conda environment on the path."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

QIIME = shutil.which("qiime")
needs_qiime = pytest.mark.skipif(QIIME is None, reason="QIIME 2 is not installed")
# Paths by the type that each must have -> how many rows each has as metadata; what is wrong with one ends it.
_LOAD = """
import sys, qiime2
for path, expected in zip(sys.argv[1::2], sys.argv[2::2]):
    artifact = qiime2.Artifact.load(path)
    artifact.validate('max')
    assert str(artifact.type) == expected, (path, artifact.type)
    has = artifact.has_metadata()
    print(path, artifact.view(qiime2.Metadata).id_count if has else len(artifact.view(__import__('skbio').DistanceMatrix).ids))
"""


def _environment():
    # Ours is not theirs.
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def python_of_qiime():
    """The Python that QIIME 2 runs in."""
    return Path(QIIME).read_text(encoding="utf-8").splitlines()[0].removeprefix("#!").split()[0]


def qiime(*arguments):
    """Run a command of QIIME 2; what it printed."""
    words = [QIIME, *map(str, arguments)]
    run = subprocess.run(words, capture_output=True, text=True, timeout=300, env=_environment(), check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def load_in_qiime(types):
    """Have QIIME 2 load, validate and view artifacts, by path with the type that each must have; rows by path."""
    words = [word for path, semantic_type in types.items() for word in (str(path), semantic_type)]
    run = subprocess.run(
        [python_of_qiime(), "-c", _LOAD, *words], capture_output=True, text=True, timeout=300, env=_environment(), check=False
    )
    assert run.returncode == 0, run.stderr
    return {Path(line.rpartition(" ")[0]): int(line.rpartition(" ")[2]) for line in run.stdout.splitlines()}
