"""How the cost of a pretraining step grows with everything that grows: `python -m benchmarks.scaling`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aam.options import ReadOptions
from benchmarks.measure import Row, Run, interleave, parser_of
from benchmarks.workload import SIMULATED, SIZES, Workload, pretrain_step, read_subject

COLUMNS = {
    "axis": "",
    "value": "d",
    "samples": "d",
    "ASVs": ".0f",
    "nt": ".0f",
    "GFLOP": ".2f",
    "ms": ".1f",
    "GFLOP/s": ".1f",
    "samples/s": ".4g",
}
LAWS = {"axis": "", "from": "d", "to": "d", "ms": ".2f", "ASVs": ".2f", "GFLOP": ".2f", "law": ""}
_GIGA = 1e9
# A power that is none.
_CONSTANT = 0.05


@dataclass(frozen=True)
class Axis:
    """What grows, on which table, and the values that it takes, in a full run and a quick one."""

    name: str
    table: str
    values: tuple[int, ...]
    quick: tuple[int, ...]

    def at(self, work: Workload, value: int) -> Workload:
        """The workload with one value of the axis."""
        if self.name == "samples per batch":
            return replace(work, batch_size=value)
        if self.name == "ASVs per sample":
            return replace(work, reads=ReadOptions(token_limit=value))
        if self.name == "nucleotides":
            return replace(work, subject=work.subject.cut(value))
        return replace(work, model=replace(work.model, embedding_dim=value))


AXES = (
    Axis("samples per batch", "oral", (4, 8, 16, 32, 64, 128, 256), (2, 4, 8)),
    Axis("ASVs per sample", "ecam", (8, 16, 32, 64, 128, 256), (2, 4, 8)),
    Axis("nucleotides", "ecam", (25, 50, 75, 100, 125, 150), (10, 20, 40)),
    Axis("width", "oral", (32, 64, 128, 256), (8, 16, 32)),
)


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of log y against log x: y grows as x to this power."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def law_of(axis: str, powers: Mapping[str, float]) -> str:
    """A sentence from the powers of the axis with which the time, the distinct ASVs and the useful arithmetic grow."""
    time = powers["ms"]
    if time < 0.9:
        shape = "less than in proportion"
    elif time <= 1.1:
        shape = "in proportion"
    else:
        shape = "more than in proportion"
    followed = {"the distinct ASVs": powers["ASVs"], "the useful arithmetic": powers["GFLOP"], f"the {axis}": 1.0}
    grows = {name: power for name, power in followed.items() if power > _CONSTANT}
    nearest = min(grows, key=lambda name: abs(grows[name] - time))
    return f"time grows as ({axis})^{time:.2f}, {shape}; nearest: {nearest} (^{grows[nearest]:.2f})"


def measure_axis(run: Run, axis: Axis, work: Workload) -> None:
    """A step at each value, values in turn."""
    values = axis.quick if run.arguments.quick else axis.values
    run.say(f"{axis.name} on {work.subject.name}: {', '.join(map(str, values))}")
    steps = {str(value): pretrain_step(axis.at(work, value)) for value in values}
    rows: list[Row] = []
    for value, times in interleave(steps, run.repeats(5), run.device).items():
        row: Row = {"axis": axis.name, "table": work.subject.name, "value": int(value), "samples": times[0][1].samples}
        row |= {"ASVs": statistics.median(done.asvs for _, done in times), "nt": statistics.median(w.nucleotides for _, w in times)}
        row |= {"GFLOP": statistics.median(done.flops for _, done in times) / _GIGA}
        row |= {"ms": 1e3 * statistics.median(seconds for seconds, _ in times)}
        row |= {"GFLOP/s": statistics.median(done.flops / seconds for seconds, done in times) / _GIGA}
        row |= {"samples/s": statistics.median(done.samples / seconds for seconds, done in times)}
        rows.append(run.add("steps", row))
    powers = {name: exponent(values, [row[name] for row in rows]) for name in ("ms", "ASVs", "GFLOP")}
    run.add("laws", {"axis": axis.name, "from": values[0], "to": values[-1], **powers, "law": law_of(axis.name, powers)})


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = parser_of("scaling", __doc__ or "")
    parser.add_argument("--size", choices=list(SIZES), help="model (default: small)")
    parser.add_argument("--batch-size", type=int, help="samples per batch where they do not grow (default: 32)")
    parser.add_argument("--table", help=f"folder below --data, or {SIMULATED}, for every axis (default: oral and ecam)")
    arguments = parser.parse_args(argv)
    quick = arguments.quick
    run = Run.start("scaling", arguments)
    names = [arguments.table or (SIMULATED if quick else axis.table) for axis in AXES]
    subjects = {name: read_subject(name, arguments.data) for name in dict.fromkeys(names)}
    model = SIZES[arguments.size or ("tiny" if quick else "small")]
    for axis, name in zip(AXES, names, strict=True):
        work = Workload(subjects[name], model, arguments.batch_size or (4 if quick else 32), device=run.device)
        measure_axis(run, axis, work)
        run.measure_rates()
    notes = [
        "A pretraining step with its batch; medians, values of an axis in turn. ASVs, nt: distinct ones of a batch. GFLOP: useful.",
        "laws: powers of the axis with which the time, the distinct ASVs and the useful arithmetic grow (log-log slopes).",
    ]
    run.finish({"steps": COLUMNS, "laws": LAWS}, notes)


if __name__ == "__main__":
    main()
