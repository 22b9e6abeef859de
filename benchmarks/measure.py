"""What every benchmark shares: its options, the clock, the machine's own speed, and how results are printed and kept."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

ROOT = Path(__file__).parent.parent
Row = dict[str, Any]
Outcome = TypeVar("Outcome")

# Side of the square matrices whose product is the machine's own speed.
_PRODUCT_SIDE = {"cpu": 2048, "cuda": 8192}
_QUICK_PRODUCT_SIDE = 256
_GIGA = 1e9


def parser_of(name: str, description: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    tables = os.environ.get("AAM_TEST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(tables), help="folder of the real tables (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results", help=f"folder for {name}.json")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, help="timed repeats of each row (default: as the benchmark needs)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs: its figures mean nothing")
    return parser


@dataclass
class MatrixRate:
    """Rates of square matrix products, measured throughout a run: GFLOP/s by data type."""

    device: str
    side: int
    samples: dict[str, list[float]] = field(default_factory=lambda: {"fp32": [], "bf16": []})

    def measure(self, name: str) -> float:
        """One more sample of `name`, fp32 or bf16."""
        dtype = torch.float32 if name == "fp32" else torch.bfloat16
        first, second = (torch.rand(self.side, self.side, device=self.device).to(dtype) for _ in range(2))
        if not self.samples[name]:
            first @ second
        seconds, _ = timed(lambda: first @ second, self.device)
        rate = 2 * self.side**3 / seconds / _GIGA
        self.samples[name].append(rate)
        return rate

    def median(self, name: str) -> float:
        """Median of the run so far."""
        return statistics.median(self.samples[name])


@dataclass
class Run:
    """One run of a benchmark: its arguments, the rate of the machine, and the rows that it found."""

    name: str
    arguments: argparse.Namespace
    rate: MatrixRate
    parts: dict[str, list[Row]] = field(default_factory=dict)

    @classmethod
    def start(cls, name: str, arguments: argparse.Namespace) -> Run:
        """Set the threads and measure the machine a first time."""
        warnings.filterwarnings("ignore", message=".*self.trainer. reference is not registered.*")
        torch.set_num_threads(arguments.threads)
        side = _QUICK_PRODUCT_SIDE if arguments.quick else _PRODUCT_SIDE[arguments.device]
        run = cls(name, arguments, MatrixRate(arguments.device, side))
        run.measure_rates()
        return run

    @property
    def device(self) -> str:
        return self.arguments.device

    def measure_rates(self) -> None:
        """Both rates, three times in turn."""
        for _ in range(3):
            self.rate.measure("fp32")
            self.rate.measure("bf16")

    def repeats(self, usual: int) -> int:
        """How often a row is timed."""
        return self.arguments.repeats or (2 if self.arguments.quick else usual)

    def say(self, message: str) -> None:
        """Progress, on standard error."""
        print(f"{self.name}: {message}", file=sys.stderr, flush=True)

    def add(self, part: str, row: Row) -> Row:
        """Keep a row of one part of the result."""
        self.parts.setdefault(part, []).append(row)
        return row

    def finish(self, columns: Mapping[str, Mapping[str, str]], notes: Sequence[str] = ()) -> None:
        """Print the parts named in `columns` (part: column: format) with the notes below, and write everything as JSON."""
        self.measure_rates()
        environment = environment_of(self.arguments, self.rate)
        print(f"{self.name}: " + ", ".join(f"{name} {value}" for name, value in environment.items()))
        for part, formats in columns.items():
            if rows := self.parts.get(part):
                print(f"\n{part}\n{text_table(rows, formats)}")
        print("".join(f"\n{note}" for note in notes), flush=True)
        options = {key: str(value) if isinstance(value, Path) else value for key, value in vars(self.arguments).items()}
        result = {"benchmark": self.name, "environment": environment, "arguments": options, **self.parts, "notes": list(notes)}
        self.arguments.output.mkdir(parents=True, exist_ok=True)
        path = self.arguments.output / f"{self.name}.json"
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        self.say(f"wrote {path}")


def environment_of(arguments: argparse.Namespace, rate: MatrixRate) -> Row:
    """What the figures of a run depend on."""
    facts: Row = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": arguments.threads,
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
    }
    if arguments.device == "cuda":
        facts["gpu"] = torch.cuda.get_device_name()
    for name in ("fp32", "bf16"):
        facts[f"{name}_gflops"] = round(rate.median(name), 1)
    facts["product_side"] = rate.side
    return facts


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def timed(work: Callable[[], Outcome], device: str) -> tuple[float, Outcome]:
    """Seconds that `work` takes, the device's queue emptied before and after, and what it returns."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    outcome = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, outcome


def interleave(
    variants: Mapping[str, Callable[[], Outcome]], repeats: int, device: str, warm_up: int = 1
) -> dict[str, list[tuple[float, Outcome]]]:
    """Time the variants in turn, round after round, so that a machine that slows down slows all of them."""
    times: dict[str, list[tuple[float, Outcome]]] = {name: [] for name in variants}
    for turn in range(warm_up + repeats):
        for name, work in variants.items():
            measured = timed(work, device)
            if turn >= warm_up:
                times[name].append(measured)
    return times


def text_table(rows: Sequence[Row], formats: Mapping[str, str]) -> str:
    """Rows as aligned text: columns in the order of `formats`, numbers as their format says, "-" for what a row lacks."""
    cells = [list(formats)]
    cells += [[_cell(row.get(name), spec) for name, spec in formats.items()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    is_text = [all(isinstance(row.get(name), str | None) for row in rows) for name in formats]
    lines = []
    for line in cells:
        padded = (text.ljust(width) if left else text.rjust(width) for text, width, left in zip(line, widths, is_text, strict=True))
        lines.append("  ".join(padded).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _cell(value: object, spec: str) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else format(value, spec)
