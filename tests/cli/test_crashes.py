"""See crashes.py, which forks and so needs a process of its own."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_run_ends_the_same_whatever_happened_to_it():
    command = [sys.executable, "-m", "tests.cli.crashes", "--kills", "6"]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["killed"]["kills"] == 6
    assert found["killed"]["in a save"] > 0
    assert found["signalled"] == {"SIGINT": 130, "SIGTERM": 143, "SIGUSR1": 138, "SIGHUP": 129}
    assert found["group"] == {"SIGTERM": 143}
    assert found["early"] == {"SIGINT": 130, "SIGTERM": 143, "SIGUSR1": 138}
    assert found["lost"] == {"code": 1}
    assert set(found["full"].values()) == {2}
