"""Pretraining steps of the public implementation and of this one beside each other: `python -m benchmarks.beside CHECKOUT`.

Each side is a process of its own that waits (`paced.py`); turn after turn, each does its steps while the others stand still.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT, Row, Run, parser_of

# What the public command takes by default.
_PUBLIC_BATCH = 8
COLUMNS = {
    "what": "",
    "batch": "d",
    "steps": "d",
    "wall s/step": ".2f",
    "processor s/step": ".2f",
    "samples/s": ".3g",
    "samples/processor s": ".3g",
    "x public, wall": ".1f",
    "x public, processor": ".1f",
    "peak GB": ".2f",
}


@dataclass(frozen=True)
class Turn:
    """One turn of one side: samples, steps, and their seconds by the wall's clock and by the processor's."""

    samples: int
    steps: int
    wall: float
    processor: float


class Side:
    """A process that waits to do steps of `batch_size` samples, `steps` in a turn. `what`: what a step is, as the table says."""

    def __init__(self, what: str, batch_size: int, steps: int, arguments: Sequence[str], threads: int, folder: Path) -> None:
        self.what, self.batch_size, self.steps = what, batch_size, steps
        self._log = folder / f"{what}, {batch_size}.log"
        paths = [str(ROOT), str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-P", str(ROOT / "benchmarks" / "paced.py"), *arguments]
        with self._log.open("w") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )
        self.used = self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._log.stem} ended: {self._log.read_text(errors='replace').strip()[-2000:]}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def turn(self) -> Turn:
        """Do the steps of one turn."""
        assert self._process.stdin is not None
        start, before = time.perf_counter(), self.used["processor"]
        for _ in range(self.steps):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            self.used = self._answer()
        wall, processor = time.perf_counter() - start, self.used["processor"] - before
        return Turn(self.steps * self.batch_size, self.steps, wall, processor)

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def row_of(turns: Sequence[Turn], public: Sequence[Turn]) -> Row:
    """Medians over the turns of one side; its multiples of the public side are those of the same turn."""

    def rates(turns: Sequence[Turn], clock: str) -> list[float]:
        return [turn.samples / getattr(turn, clock) for turn in turns]

    row: Row = {"steps": sum(turn.steps for turn in turns)}
    for clock, rate in (("wall", "samples/s"), ("processor", "samples/processor s")):
        row[f"{clock} s/step"] = statistics.median(getattr(turn, clock) / turn.steps for turn in turns)
        row[rate] = statistics.median(rates(turns, clock))
        pairs = zip(rates(turns, clock), rates(public, clock), strict=True)
        row[f"x public, {clock}"] = statistics.median(ours / theirs for ours, theirs in pairs)
    return row


def start_sides(run: Run, folder: Path, stack: ExitStack) -> list[Side]:
    """The public side first, which is given UniFrac of the whole table; then ours, each with as many samples in a turn."""
    arguments, data = run.arguments, run.arguments.data / "oral"
    table, matrix = str(data / "table.biom"), str(folder / "unifrac.h5")
    command = ["unifrac", "--table", table, "--tree", str(data / "tree.nwk"), "--output", matrix]
    subprocess.run([sys.executable, "-m", "aam", *command], check=True, capture_output=True)
    public = ["public", str(arguments.checkout.resolve()), table, matrix, str(folder / "public")]
    size, few, many = ("tiny", 4, 8) if arguments.quick else ("public", 8, 64)
    plans = [("public", _PUBLIC_BATCH, 1, public)]
    plans += [
        (task, batch_size, many // batch_size, ["own", str(arguments.data), size, str(batch_size), task])
        for batch_size in (few, many)
        for task in ("pretrain", "pretrain, bf16")
    ]
    sides = []
    for what, batch_size, steps, command in plans:
        run.say(f"starting {what}, {batch_size}")
        sides.append(Side(what, batch_size, steps, command, arguments.threads, folder))
        stack.callback(sides[-1].end)
    return sides


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = parser_of("beside", __doc__ or "")
    parser.add_argument("checkout", type=Path, help="a checkout of the public implementation")
    run = Run.start("beside", parser.parse_args(argv))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sides = start_sides(run, Path(folder), stack)
        turns: list[list[Turn]] = []
        for number in range(1 + run.repeats(3)):
            turns.append([side.turn() for side in sides])
            seconds = ", ".join(f"{turn.wall:.1f} ({turn.processor:.1f})" for turn in turns[-1])
            run.say(f"turn {number}, seconds (of the processor): {seconds}")
        # Without the first turn: memory is taken in it, and optimisers make their state.
        public, *_ = by_side = list(zip(*turns[1:], strict=True))
        for side, its_turns in zip(sides, by_side, strict=True):
            what = {"what": side.what, "batch": side.batch_size, "peak GB": side.used["peak"] / 1e9}
            run.add("pretraining", {**what, **row_of(its_turns, public)})
    notes = [
        "Public: its own command, loader, trainer and defaults, UniFrac known beforehand. Ours: public size, UniFrac in the step.",
        "Medians of turns; x public: samples per second over the public side's of the same turn. Peak: of the whole process.",
    ]
    run.finish({"pretraining": COLUMNS}, notes)


if __name__ == "__main__":
    main()
