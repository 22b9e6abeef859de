"""Peak memory of a task, measured in a process of its own."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.measure import ROOT, timed
from benchmarks.workload import TASKS, Work, Workload

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Peak:
    """Bytes before the first step (imports, data and model), the most during the steps, and each step's seconds and work."""

    base: int
    peak: int
    steps: list[tuple[float, Work]]

    @property
    def above(self) -> int:
        return self.peak - self.base


def measure_peak(work: Workload, task: str, steps: int, threads: int) -> Peak:
    """Run `steps` steps of a task of `benchmarks.workload.TASKS` in a fresh process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder) / "request.pickle"
        request.write_bytes(pickle.dumps((work, task, steps, threads)))
        command = [sys.executable, "-m", "benchmarks.peak", str(request)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{task}: {done.stderr.strip()[-2000:] or f'ended by signal {-done.returncode}'}")
    result = json.loads(done.stdout.splitlines()[-1])
    return Peak(result["base"], result["peak"], [(seconds, Work(**fields)) for seconds, fields in result["steps"]])


def restart_peak(device: str) -> int:
    """Forget the highest use of memory so far; return bytes in use now."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    if not _STATUS.is_file():
        return highest(device)
    # ru_maxrss of a new process starts at what its parent had, and reading data can take more than a step.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return highest(device)


def highest(device: str) -> int:
    """Most bytes in use since `restart_peak`, or since the start where the system does not tell."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    if _STATUS.is_file():
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    # Kilobytes, but on macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """The process that is measured."""
    warnings.filterwarnings("ignore")
    work, task, steps, threads = pickle.loads(Path(sys.argv[1]).read_bytes())
    torch.set_num_threads(threads)
    step = TASKS[task](work)
    base = restart_peak(work.device)
    measured = [timed(step, work.device) for _ in range(steps)]
    result = {"base": base, "peak": highest(work.device), "steps": [(seconds, vars(done)) for seconds, done in measured]}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
