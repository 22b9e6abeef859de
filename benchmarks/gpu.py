"""A build on one GPU, in a few minutes: `benchmarks/gpu.sh` runs it on two builds in turn, and prints one beside the other.

It uses what `benchmarks.workload` has had since version 0.1.0, so that the same file measures an older checkout:
`PYTHONPATH=CHECKOUT/src:CHECKOUT python benchmarks/gpu.py --output FILE`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import text_table
from benchmarks.workload import DEFAULT_COMPUTE, SIMULATED, SIZES, TASKS, Work, Workload, read_subject

FP32, BF16 = DEFAULT_COMPUTE, replace(DEFAULT_COMPUTE, mixed_precision="bf16")
WIDE = replace(SIZES["public"], embedding_dim=768, attention_heads=12, attention_layers=6)
_SECONDS, _WARM_UP = 6.0, 4
# What the project set out to reach: at least, and the aim.
TARGETS = {
    "pretrain 64 bf16, samples/s": ("x old", 10, 20),
    "pretrain 256 bf16, samples/s": ("x old", 20, 40),
    "pretrain 256 bf16, TFLOP/s": ("", 25, 40),
    "pretrain 64 bf16 D 768, TFLOP/s": ("", 120, 200),
    "pretrain 256, bf16 over fp32": ("", 1.5, 2.5),
    "pretrain 64 bf16, share of the time that the card computes": ("", 0.8, 0.95),
    "pretrain 256 bf16, share of the time that the card computes": ("", 0.8, 0.95),
    "embed oral, s": ("x old", 10, 10),
    "predict oral, s": ("x old", 10, 10),
}
Figures = dict[str, float]


def wait(device: str) -> None:
    """For everything that was asked of the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def timed_steps(step: Callable[[], Work], device: str, seconds: float) -> tuple[float, list[Work]]:
    """Seconds of steps one after the other, not waited for one by one, and what they did."""
    for _ in range(_WARM_UP):
        step()
    wait(device)
    done, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds:
        done.append(step())
    wait(device)
    return time.perf_counter() - start, done


def computing(step: Callable[[], Work], steps: int) -> float:
    """Seconds that the GPU computes in so many steps."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(steps):
            step()
        wait("cuda")
    return sum(event.self_device_time_total for event in profile.key_averages()) / 1e6


def pretraining(work: Workload, name: str, seconds: float, share: bool) -> Figures:
    """Rates of pretraining steps, and the share of the time that the card computes."""
    step = TASKS["pretrain"](work)
    took, done = timed_steps(step, work.device, seconds)
    figures = {
        f"{name}, samples/s": sum(one.samples for one in done) / took,
        f"{name}, TFLOP/s": sum(one.flops for one in done) / took / 1e12,
        f"{name}, ms a step": 1e3 * took / len(done),
    }
    if share and work.device == "cuda":
        steps = max(3, len(done) // 4)
        figures[f"{name}, share of the time that the card computes"] = computing(step, steps) / steps / (took / len(done))
    if work.device == "cuda":
        figures[f"{name}, GB"] = torch.cuda.max_memory_allocated() / 2**30
        torch.cuda.reset_peak_memory_stats()
    return figures


def commands(data: Path, quick: bool) -> Figures:
    """Seconds of whole commands on oral: embed, and predict (the number of ASVs of a sample, which is not learned here)."""
    table, tree, metadata = (str(data / "oral" / name) for name in ("table.biom", "tree.nwk", "metadata.tsv"))
    size = ["--embedding-dim", "128", "--attention-layers", "4", "--epochs", "1", "--max-steps", "2"]
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        encoder, model, out = f"{scratch}/encoder", f"{scratch}/model", f"{scratch}/out.tsv"
        run("pretrain", "--table", table, "--tree", tree, *size, "--output-dir", encoder)
        for_age = ["--metadata", metadata, "--metadata-column", "age", "--ignore-missing"]
        if "--recipe" in run("train", "--help"):
            for_age += ["--recipe", "transformer"]
        run("train", "--table", table, *for_age, "--pretrained-encoder", encoder, *size[4:], "--output-dir", model)
        for command, source in (("embed", encoder), ("predict", model)):
            times = []
            for _ in range(1 if quick else 2):
                start = time.perf_counter()
                run(command, "--model", source, "--table", table, "--output", out, "--overwrite")
                times.append(time.perf_counter() - start)
            figures[f"{command} oral, s"] = min(times)
    return figures


def run(*arguments: str) -> str:
    """`aam` of the build that is measured, and what it printed."""
    done = subprocess.run([sys.executable, "-m", "aam", *arguments], capture_output=True, text=True, env=os.environ, check=False)
    if done.returncode:
        raise SystemExit(f"aam {' '.join(arguments)}\n{done.stderr}")
    return done.stdout


def measure(arguments: argparse.Namespace) -> None:
    """All figures of the build that is imported, each written as it is there."""
    data, device, quick = arguments.data, arguments.device, arguments.quick
    subject = read_subject(SIMULATED if quick else "oral", data)
    public, seconds = SIZES["tiny" if quick else "public"], 0.1 if quick else _SECONDS
    figures: Figures = {}

    def add(name: str, batch: int, compute: Any, size: Any = public, share: bool = False) -> None:
        work = Workload(subject, size, min(batch, subject.samples), compute=compute, device=device)
        figures.update(pretraining(work, name, seconds, share))
        if (both := [figures.get(f"pretrain 256 {kind}, samples/s") for kind in ("bf16", "fp32")]) and all(both):
            figures["pretrain 256, bf16 over fp32"] = both[0] / both[1]  # type: ignore[operator]
        arguments.output.write_text(json.dumps(figures, indent=1))
        say(f"{name}: {figures[f'{name}, samples/s']:.4g} samples/s")

    add("pretrain 64 bf16", 64, BF16, share=True)
    add("pretrain 64 fp32", 64, FP32)
    add("pretrain 256 bf16", 256, BF16, share=True)
    add("pretrain 256 fp32", 256, FP32)
    if not quick:
        add("pretrain 64 bf16 D 768", 64, BF16, WIDE)
        figures.update(commands(data, quick))
        arguments.output.write_text(json.dumps(figures, indent=1))
    if arguments.compiled:
        add("pretrain 256 bf16, compiled", 256, replace(BF16, compile_model=True))


def say(what: str) -> None:
    """Progress, on standard error."""
    print(what, file=sys.stderr, flush=True)


def table(old: Figures, new: Figures) -> list[dict[str, Any]]:
    """The two builds beside each other; times are compared the other way round."""
    rows = []
    for name, value in new.items():
        before = old.get(name)
        ratio = None if not before else (before / value if name.endswith((", s", "ms a step")) else value / before)
        row = {"what": name, "old": before, "new": value, "x old": ratio}
        if name in TARGETS:
            against, least, aim = TARGETS[name]
            reached = ratio if against else value
            row |= {"at least": least, "aim": aim, "met": "?" if reached is None else "yes" if reached >= least else "no"}
        rows.append({key: cell for key, cell in row.items() if cell is not None})
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure one build, or print two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("AAM_TEST_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, help="JSON file for the figures of the build on PYTHONPATH")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--compiled", action="store_true", help="measure the compiled model, too")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--table", type=Path, nargs=2, metavar=("OLD", "NEW"), help="print the figures of two builds")
    arguments = parser.parse_args(argv)
    if arguments.table:
        old, new = (json.loads(path.read_text()) for path in arguments.table)
        columns = {"what": "", "old": ".4g", "new": ".4g", "x old": ".3g", "at least": "g", "aim": "g", "met": ""}
        sys.stdout.write(text_table(table(old, new), columns) + "\n")
        return
    measure(arguments)


if __name__ == "__main__":
    main()
