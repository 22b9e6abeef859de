"""The threads that a run is allotted: the least of what the machine, the container, SLURM and the user say."""

import os

import pytest
import torch

from aam.parallel.threads import allotted_threads, cgroup_cores, use_allotted_threads


@pytest.fixture
def machine(monkeypatch):
    """A machine of 64 cores, of which nothing is said yet."""
    before = torch.get_num_threads()
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    torch.set_num_threads(64)
    yield monkeypatch
    torch.set_num_threads(before)


@pytest.fixture
def allotted(tmp_path):
    """The threads that are allotted in a control group whose quota is said by `cores`; by default by none."""

    def of(processes=1, cores=None):
        (tmp_path / "own").write_text("0::/job\n")
        group(tmp_path / "job", cpu__max="max 100000" if cores is None else f"{cores * 100_000} 100000")
        return allotted_threads(processes, tmp_path, tmp_path / "own")

    return of


def test_the_least_counts(machine, allotted):
    assert allotted() == 64
    machine.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    assert allotted() == 16
    assert allotted(cores=8) == 8
    torch.set_num_threads(7)
    assert allotted(cores=8) == 7
    machine.setenv("SLURM_CPUS_PER_TASK", "6")
    assert allotted(cores=8) == 6
    machine.setenv("OMP_NUM_THREADS", " 4,2")
    assert allotted(cores=8) == 4
    machine.setenv("OMP_NUM_THREADS", "100")
    assert allotted(cores=8) == 6


@pytest.mark.parametrize("nothing", ["", "0", "-1", "many", "0x4"])
def test_what_is_no_number_says_nothing(machine, allotted, nothing):
    machine.setenv("OMP_NUM_THREADS", nothing)
    assert allotted() == 64


def test_processes_share_what_is_not_said_of_one_of_them(machine, allotted):
    assert allotted(4) == 16
    assert allotted(100) == 1
    machine.setenv("SLURM_CPUS_PER_TASK", "10")
    assert allotted(4) == 10


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


@pytest.mark.parametrize(
    ("own", "groups", "cores"),
    [
        ("0::/job/step\n", {"job/step": {"cpu__max": "150000 100000"}}, 2),
        ("0::/job/step\n", {"job/step": {"cpu__max": "max 100000"}, "job": {"cpu__max": "300000 100000"}}, 3),
        # In a container the path may be the host's.
        ("0::/docker/12ab\n", {"": {"cpu__max": "50000 100000"}}, 1),
        (
            "5:memory:/x\n4:cpu,cpuacct:/docker/1\n",
            {"cpu,cpuacct/docker/1": {"cpu__cfs_quota_us": "250000", "cpu__cfs_period_us": "100000"}},
            3,
        ),
        ("4:cpu,cpuacct:/docker/1\n", {"cpu,cpuacct": {"cpu__cfs_quota_us": "-1", "cpu__cfs_period_us": "100000"}}, 64),
        ("4:cpuset:/a\n", {"cpuset/a": {"cpu__cfs_quota_us": "100000", "cpu__cfs_period_us": "100000"}}, 64),
        ("0::/\n", {"": {"cpu__max": "what"}}, 64),
        ("0::/../..\n", {}, 64),
    ],
)
def test_quotas_of_control_groups(machine, tmp_path, own, groups, cores):
    for place, files in groups.items():
        group(tmp_path / "cgroup" / place, **files)
    (tmp_path / "own").write_text(own)
    assert cgroup_cores(tmp_path / "cgroup", tmp_path / "own") == cores


def test_no_control_groups(machine, tmp_path):
    assert cgroup_cores(tmp_path, tmp_path / "absent") == 64


def test_torch_and_the_libraries_use_no_more(machine):
    from threadpoolctl import ThreadpoolController

    machine.setenv("OMP_NUM_THREADS", "1")
    before = {library.filepath: library.num_threads for library in ThreadpoolController().lib_controllers}
    try:
        use_allotted_threads()
        assert torch.get_num_threads() == 1
        assert {library.num_threads for library in ThreadpoolController().lib_controllers} == {1}
    finally:
        for library in ThreadpoolController().lib_controllers:
            library.set_num_threads(before[library.filepath])
