"""Tables larger than memory: pretraining steps read from disk and from memory, and prediction: `python -m benchmarks.streaming`.

One simulated table is written (once, 12 minutes) below --folder, and tables of its first samples with the tree of all ASVs, so that
batches are alike and only the table grows. Each row is a process of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import torch

from benchmarks.measure import ROOT, Row, Run, parser_of
from benchmarks.peak import highest

_SIZES, _QUICK_SIZES = (2_000, 20_000, 200_000), (200, 400)
_ASVS_PER_SAMPLE = 2.5
_WARM_UP, _BATCH = 2, 32
_CUT_AT_ONCE = 4096


@dataclass(frozen=True)
class Task:
    """What a process measures."""

    folder: str
    stream: bool
    steps: int
    threads: int

    def run(self) -> Row:
        """In a process of its own."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
        command = [sys.executable, "-m", "benchmarks.streaming", "--task", json.dumps(vars(self))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{self}: {done.stderr.strip()[-2000:] or f'ended by signal {-done.returncode}'}")
        row: Row = json.loads(done.stdout.splitlines()[-1])
        return row


def measure(task: Task) -> Row:
    """Set up as `aam pretrain` does, take steps, and embed some samples."""
    from aam.data.dataset import Collate, SampleDataset, make_loader
    from aam.disk.cache import Cache
    from aam.learners.pretraining import commonest_letters, first_draws
    from aam.models import SequenceEncoder
    from aam.models.inference import TableSamples, embed_samples
    from aam.options import GroupOptions, ModelOptions, PretrainObjectives, ReadOptions, TableOptions, TreeOptions
    from aam.study.reading import read_samples
    from aam.study.tree import on_given_distances
    from aam.training.objectives import label_free
    from aam.training.objectives.taught import UNIFRAC
    from aam.training.step import Step

    torch.set_num_threads(task.threads)
    begin = time.perf_counter()
    folder = Path(task.folder)
    study = read_samples(TableOptions(table=folder / "table.biom", stream=task.stream), ReadOptions(), GroupOptions())
    tree = TreeOptions(tree=folder.parent / "tree.nwk")
    distance = on_given_distances(study, tree, Cache(None), ignore_missing=False).distance
    assert distance is not None
    commonest_letters(study, study.rows)
    dataset = SampleDataset(study.table, ReadOptions(), 0)
    torch.manual_seed(0)
    encoder = SequenceEncoder(ModelOptions(), 150)
    encoder.asv_encoder.gradient_checkpointing = True
    probe = first_draws(dataset, study, study.rows)
    encoder.calibrate(probe.asv_tokens, probe.asv_index, probe.counts)
    batches = endless(make_loader(dataset, Collate(study.asv_tokens), study.rows, _BATCH, shuffle=True))
    set_up = time.perf_counter() - begin
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=1e-4)
    parts: dict[str, list[float]] = {"read": [], "unifrac": [], "step": []}
    distinct = []
    for number in range(_WARM_UP + task.steps):
        start = time.perf_counter()
        batch = next(batches)
        read = time.perf_counter()
        # Timed by itself; loaders make it a part of the batch.
        distances = distance(batch.columns, batch.counts).float()
        compared = time.perf_counter()
        step = Step.alone(replace(batch, measured={"unifrac": distances}))
        losses = label_free.self_supervised_losses(label_free.self_supervised(encoder, step, PretrainObjectives(), UNIFRAC), step)
        label_free.total_loss(losses, {"unifrac": 1.0, "nucleotide": 0.1}).backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        end = time.perf_counter()
        if number >= _WARM_UP:
            for name, seconds in (("read", read - start), ("unifrac", compared - read), ("step", end - start)):
                parts[name].append(seconds)
            distinct.append(len(batch.asv_columns))
    encoder.eval()
    rows = np.arange(min(len(study), _BATCH * task.steps))
    begin = time.perf_counter()
    embed_samples(encoder, TableSamples(dataset, study.asv_tokens, rows), 64)
    return {
        "samples": len(study),
        "ASVs": len(study.table.feature_ids),
        "from": "disk" if task.stream else "memory",
        "set-up s": set_up,
        # Means: blocks are read now and then, and then for many samples.
        "step ms": 1e3 * statistics.mean(parts["step"]),
        "reading ms": 1e3 * statistics.mean(parts["read"]),
        "UniFrac ms": 1e3 * statistics.mean(parts["unifrac"]),
        "distinct ASVs": statistics.mean(distinct),
        "samples/s": _BATCH / statistics.mean(parts["step"]),
        "embed samples/s": len(rows) / (time.perf_counter() - begin),
        "peak GB": highest("cpu") / 1e9,
    }


def endless(loader: torch.utils.data.DataLoader) -> Iterator:
    """Batches of epoch after epoch."""
    while True:
        yield from loader


def cut(whole: Path, folder: Path, samples: int) -> None:
    """Write the first samples of a table, with the ASVs that they have."""
    from aam.data.simulate_large import write_biom
    from aam.data.stream import open_tables, used_columns

    table = open_tables([whole / "table.biom"])
    used = used_columns(table.counts, np.arange(samples))
    place = np.zeros(table.counts.shape[1], dtype=np.int64)
    place[used] = np.arange(len(used))

    def parts() -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
        for start in range(0, samples, _CUT_AT_ONCE):
            some = table.counts[np.arange(start, min(start + _CUT_AT_ONCE, samples))]
            bounds = zip(some.indptr[:-1], some.indptr[1:], strict=True)
            yield [(place[some.indices[first:end]], some.data[first:end]) for first, end in bounds]

    folder.mkdir(exist_ok=True)
    with h5py.File(folder / "table.biom", "w") as handle:
        write_biom(handle, list(table.sample_ids[:samples]), [table.feature_ids[column] for column in used], parts())


def main(argv: Sequence[str] | None = None) -> None:
    """Write the tables that are not there, measure, print, write."""
    parser = parser_of("streaming", __doc__ or "")
    parser.add_argument("--folder", type=Path, default=Path("streaming-tables"), help="where the simulated tables are kept")
    parser.add_argument("--steps", type=int, default=60, help="timed steps of each row (default: %(default)s)")
    parser.add_argument("--in-memory-up-to", type=int, default=200_000, help="largest table that is measured in memory too")
    parser.add_argument("--task", help="(what a process of this benchmark is told to measure)")
    arguments = parser.parse_args(argv)
    if arguments.task:
        print(json.dumps(measure(Task(**json.loads(arguments.task)))))
        return
    from aam.data.simulate_large import simulate_to_disk

    run = Run.start("streaming", arguments)
    sizes = _QUICK_SIZES if arguments.quick else _SIZES
    whole = arguments.folder / str(sizes[-1])
    if not (whole / "table.biom").is_file():
        run.say(f"writing {sizes[-1]} samples")
        simulate_to_disk(whole, 0, sizes[-1], round(_ASVS_PER_SAMPLE * sizes[-1]))
        (whole / "tree.nwk").rename(arguments.folder / "tree.nwk")
    for size in sizes:
        folder = arguments.folder / str(size)
        if not (folder / "table.biom").is_file():
            cut(whole, folder, size)
        for stream in (False, True):
            if stream or size <= arguments.in_memory_up_to:
                row = Task(str(folder.absolute()), stream, 5 if arguments.quick else arguments.steps, arguments.threads).run()
                run.add("steps", row)
                run.say(", ".join(f"{name} {value}" for name, value in row.items()))
    formats = {
        "samples": "d",
        "ASVs": "d",
        "from": "",
        "set-up s": ".0f",
        "step ms": ".0f",
        "reading ms": ".1f",
        "UniFrac ms": ".1f",
    }
    formats |= {"distinct ASVs": ".0f", "samples/s": ".1f", "embed samples/s": ".0f", "peak GB": ".2f"}
    note = f"Pretraining at defaults (width 64, 2 layers) with gradient checkpointing, batches of {_BATCH}; UniFrac in a step."
    run.finish({"steps": formats}, [note])


if __name__ == "__main__":
    main()
