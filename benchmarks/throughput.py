"""Samples per second, memory and useful arithmetic of every kind of step: `python -m benchmarks.throughput`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from aam.options import ComputeOptions, TrainComputeOptions, TrainFitOptions
from aam.training.fit import fit
from aam.training.frozen import HeadModule
from benchmarks.measure import Row, Run, interleave, parser_of
from benchmarks.peak import measure_peak
from benchmarks.targets import PUBLIC_GIGABYTES, PUBLIC_MATRIX_RATE, PUBLIC_RATES, targets_of
from benchmarks.workload import SIMULATED, SIZES, TASKS, Subject, Work, Workload, embedded_loader, read_subject, train_module

STEPS = ("pretrain", "pretrain, bf16", "train", "train, frozen base", "validation")
WHOLE_TABLE = ("predict", "predict, bf16", "embed")
LEARNING = ("pretrain", "train")
_FROZEN_EPOCHS = 5
# Samples in the batches of one row, so that small batches are more: at least 5 are timed, and 3 in the search of the peak.
_SAMPLES_TIMED, _SAMPLES_IN_PEAK = 160, 80
_GIGA = 1e9

ROWS = {
    "table": "",
    "size": "",
    "batch": "d",
    "what": "",
    "ms": ".2f",
    "samples/s": ".4g",
    "ASVs": ".0f",
    "nt/s": ".3g",
    "GFLOP/s": ".1f",
    "of fp32 rate": ".1%",
    "x reference": ".3g",
    "x public": ".1f",
    "peak MB": ".0f",
    "above base MB": ".0f",
}
ENCODER = {
    "batch": "d",
    "precision": "",
    "ASVs": ".0f",
    "ms": ".1f",
    "GFLOP/s": ".1f",
    "of fp32 rate": ".1%",
    "of bf16 rate": ".1%",
    "x fp32": ".2f",
}
EPOCHS = {"table": "", "size": "", "batch": "d", "unfrozen s": ".2f", "frozen s": ".4f", "ratio": ".1f"}
UNIFRAC = {"table": "", "size": "", "batch": "d", "unifrac ms": ".2f", "pretrain ms": ".1f", "share": ".2%"}
TARGETS = {"what": "", "against": "", "reached": ".4g", "at least": ".3g", "aim for": ".3g", "met": ""}
STARTUP = {"command": "", "s": ".2f"}


def describe(times: Sequence[tuple[float, Work]]) -> Row:
    """Medians over the repeats of one row."""
    _, work = times[0]
    row: Row = {
        "ms": 1e3 * statistics.median(seconds for seconds, _ in times),
        "samples/s": statistics.median(done.samples / seconds for seconds, done in times),
    }
    if work.asvs:
        row["ASVs"] = statistics.median(done.asvs for _, done in times)
        row["nt/s"] = statistics.median(done.nucleotides / seconds for seconds, done in times)
        row["GFLOP/s"] = statistics.median(done.flops / seconds / _GIGA for seconds, done in times)
    return row


def measure_combination(run: Run, work: Workload, size: str) -> None:
    """All kinds of steps of one table, size and batch, in turn, and after each round the machine's own rate."""
    what = {"table": work.subject.name, "size": size, "batch": work.batch_size}
    run.say(", ".join(map(str, what.values())))
    variants: dict[str, Callable[[], Work | None]] = {name: TASKS[name](work) for name in (*STEPS, "unifrac")}
    # Small batches differ most in their distinct ASVs. Every kind of step sees the same ones.
    repeats = run.repeats(max(5, _SAMPLES_TIMED // work.batch_size))
    times = interleave({**variants, "rate": lambda: rate_sample(run)}, repeats, run.device)
    tables = {name: TASKS[name](work) for name in WHOLE_TABLE}
    times |= interleave({**tables, "rate": lambda: rate_sample(run)}, run.repeats(3), run.device, warm_up=0)
    rows = {name: describe([(s, done) for s, done in times[name] if done]) for name in (*STEPS, *WHOLE_TABLE)}
    steps_per_second = {name: 1e3 / row["ms"] for name, row in rows.items()}
    pretrain_ms, unifrac_ms = rows["pretrain"]["ms"], 1e3 * statistics.median(s for s, _ in times["unifrac"])
    run.add("UniFrac of a batch", {**what, "unifrac ms": unifrac_ms, "pretrain ms": pretrain_ms, "share": unifrac_ms / pretrain_ms})
    for name, row in rows.items():
        run.add("steps", {**what, "what": name, **row})
    steps = max(3, _SAMPLES_IN_PEAK // work.batch_size)
    for row in run.parts["steps"][-len(rows) :]:
        # A process each, so the first alone where nothing but the code is tried.
        if not run.arguments.quick or row["what"] == "pretrain":
            peak = measure_peak(work, row["what"], 1 if row["what"] in WHOLE_TABLE else steps, run.arguments.threads)
            row |= {"peak MB": peak.peak / 2**20, "above base MB": peak.above / 2**20}
    batches = work.subject.samples / work.batch_size
    frozen = frozen_epoch(work)
    unfrozen = batches / steps_per_second["train"]
    run.add("epochs", {**what, "unfrozen s": unfrozen, "frozen s": frozen, "ratio": unfrozen / frozen})


def rate_sample(run: Run) -> None:
    """One more sample of the machine's rate."""
    run.rate.measure("fp32")


def frozen_epoch(work: Workload) -> float:
    """Seconds of an epoch of `aam train --freeze-base` over the whole table, with all that Lightning does around it.

    A tenth of the samples is validated, too, and the best model kept: that is in it. The one pass of the base is not.
    """
    starts: list[float] = []

    class Timed(HeadModule):
        def on_train_epoch_start(self) -> None:
            starts.append(time.perf_counter())

    training, validation = embedded_loader(work, work.rows), embedded_loader(work, work.rows[::10], shuffle=False)
    module = train_module(work, Timed, freeze_base=True)
    module.fit_options = TrainFitOptions(batch_size=work.batch_size, epochs=_FROZEN_EPOCHS, patience=_FROZEN_EPOCHS)
    with tempfile.TemporaryDirectory() as folder:
        fit(module, (training, validation), TrainComputeOptions(), Path(folder), "val/target_mae", False)
    return statistics.median(later - earlier for earlier, later in pairwise(starts[1:]))


def measure_reference(run: Run, work: Workload, size: str) -> None:
    """Speed-up over the tests' reference, in a process of its own: one sample, padded."""
    if run.device != "cpu":
        return
    seconds = {}
    for task in ("reference forward", "reference step"):
        run.say(f"{work.subject.name}, {size}, {task}: one sample padded to {work.pad_to} ASVs")
        peak = measure_peak(work, task, 1, run.arguments.threads)
        seconds[task] = peak.steps[0][0]
        what = {"table": work.subject.name, "size": size, "what": task, "ms": 1e3 * seconds[task], "samples/s": 1 / seconds[task]}
        run.add("steps", {**what, "batch": 1, "peak MB": peak.peak / 2**20, "above base MB": peak.above / 2**20})
    for row in run.parts["steps"]:
        if (row["table"], row["size"]) == (work.subject.name, size) and row["what"] in (*STEPS, *WHOLE_TABLE):
            task = "reference step" if row["what"].startswith(LEARNING) else "reference forward"
            row["x reference"] = row["samples/s"] * seconds[task]


def compare_with_public(run: Run) -> None:
    """Fractions of the machine's rate, and multiples of the public implementation at its defaults, scaled to this machine."""
    rate = run.rate.median("fp32")
    for row in run.parts["steps"]:
        if "GFLOP/s" in row:
            row["of fp32 rate"] = row["GFLOP/s"] / rate
        task = row["what"].removesuffix(", bf16")
        if row["size"] == "public" and task in PUBLIC_RATES and run.device == "cpu":
            row["x public"] = row["samples/s"] / (PUBLIC_RATES[task] * rate / PUBLIC_MATRIX_RATE)


def measure_encoder(run: Run, subject: Subject, size: str, batch_sizes: Sequence[int]) -> None:
    """The ASV encoder alone in fp32 and bf16, the machine's rates measured between."""
    for batch_size in batch_sizes:
        run.say(f"ASV encoder, batch {batch_size}")
        work = Workload(subject, SIZES[size], batch_size, device=run.device)
        variants: dict[str, Callable[[], Work | float]] = {
            "no": TASKS["ASV encoder"](work),
            "rate": lambda: run.rate.measure("fp32"),
            "bf16": TASKS["ASV encoder"](replace(work, compute=ComputeOptions(mixed_precision="bf16"))),
            "bf16 rate": lambda: run.rate.measure("bf16"),
        }
        times = interleave(variants, run.repeats(7), run.device)
        rates = {
            name: statistics.median(rate for _, rate in times[name] if isinstance(rate, float)) for name in ("rate", "bf16 rate")
        }
        rows = {name: describe([(s, done) for s, done in times[name] if isinstance(done, Work)]) for name in ("no", "bf16")}
        for name, row in rows.items():
            relative = {"of fp32 rate": row["GFLOP/s"] / rates["rate"], "x fp32": rows["no"]["ms"] / row["ms"]}
            if name == "bf16":
                relative["of bf16 rate"] = row["GFLOP/s"] / rates["bf16 rate"]
            run.add("ASV encoder", {"batch": batch_size, "precision": "fp32" if name == "no" else name, **row, **relative})


def measure_startup(run: Run) -> None:
    """Seconds until help is there."""
    for arguments in (["--help"], ["train", "--help"]):
        command = [sys.executable, "-m", "aam", *arguments]
        times = []
        for _ in range(run.repeats(5)):
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            times.append(time.perf_counter() - start)
        run.add("start-up", {"command": " ".join(["aam", *arguments]), "s": statistics.median(times)})


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = parser_of("throughput", __doc__ or "")
    parser.add_argument("--tables", nargs="+", help=f"folders below --data, or {SIMULATED} (default: oral ecam)")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), help="models (default: public small)")
    parser.add_argument("--batch-sizes", nargs="+", type=int, help="samples per batch (default: 8 64)")
    parser.add_argument("--no-reference", action="store_true", help="leave out the slow reference")
    arguments = parser.parse_args(argv)
    quick = arguments.quick
    tables = arguments.tables or ([SIMULATED] if quick else ["oral", "ecam"])
    sizes = arguments.sizes or (["tiny"] if quick else ["public", "small"])
    batch_sizes = arguments.batch_sizes or ([4] if quick else [8, 64])
    run = Run.start("throughput", arguments)
    for index, name in enumerate(tables):
        run.say(f"reading {name}")
        subject = read_subject(name, arguments.data)
        if index == 0:
            measure_encoder(run, subject, sizes[0], batch_sizes)
        for size in sizes:
            work = Workload(subject, SIZES[size], batch_sizes[0], device=run.device, pad_to=16 if quick else 1024)
            for batch_size in batch_sizes:
                measure_combination(run, replace(work, batch_size=batch_size), size)
            if not arguments.no_reference:
                measure_reference(run, work, size)
    measure_startup(run)
    compare_with_public(run)
    for row in targets_of(run.parts, tables[0], sizes[0], batch_sizes, run.device):
        run.add("targets", row)
    parts = {
        "steps": ROWS,
        "ASV encoder": ENCODER,
        "epochs": EPOCHS,
        "UniFrac of a batch": UNIFRAC,
        "start-up": STARTUP,
        "targets": TARGETS,
    }
    run.finish(parts, notes(run))


def notes(run: Run) -> list[str]:
    """How to read the tables."""
    rate = f"x {run.rate.median('fp32'):.1f} / {PUBLIC_MATRIX_RATE} GFLOP/s (this run's fp32 rate over theirs)"
    public = f"{PUBLIC_RATES['pretrain']} samples/s pretraining, {PUBLIC_RATES['predict']} predicting"
    return [
        "A step has its batch from the project's own loader. Medians; kinds of steps measured in turn, on the same batches.",
        f"ASVs: distinct ones. Peak: most in {_SAMPLES_IN_PEAK} samples' batches, at least 3, in a process of its own.",
        "GFLOP/s: useful arithmetic (benchmarks/arithmetic.py), real positions only; a backward pass counts as two forward ones.",
        "x reference: one sample at a time by tests/support/reference.py.",
        f"x public: {public}, {rate}; {PUBLIC_GIGABYTES} GB.",
        "An unfrozen epoch is its steps alone; a frozen one is as `aam train` runs it, with validation and checkpoints.",
    ]


if __name__ == "__main__":
    main()
