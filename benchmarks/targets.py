"""What the project set out to reach, beside what a run reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.measure import Row

# The public implementation at its defaults (D 128, 4 layers, 1,024 ASVs x 151 nt, batch 8) on 2 cores whose fp32 matrix product ran
# at PUBLIC_MATRIX_RATE GFLOP/s: samples/s and gigabytes.
PUBLIC_RATES = {"pretrain": 0.18, "train": 0.18, "predict": 0.87}
PUBLIC_GIGABYTES = 8.1
PUBLIC_MATRIX_RATE = 153

Parts = Mapping[str, Sequence[Row]]


def target(what: str, against: str, reached: float, at_least: float, aim_for: float, smaller: bool = False) -> Row:
    """One row: met is "no", "at least" or "aim"."""
    sign = -1 if smaller else 1
    met = "aim" if sign * reached >= sign * aim_for else "at least" if sign * reached >= sign * at_least else "no"
    return {"what": what, "against": against, "reached": reached, "at least": at_least, "aim for": aim_for, "met": met}


def targets_of(parts: Parts, table: str, size: str, batch_sizes: Sequence[int], device: str) -> list[Row]:
    """The targets that `benchmarks.throughput` covers, at one table and size; `batch_sizes` smallest first.

    What is compared with the public implementation, measured on a CPU, is left out on another device and at other sizes.
    """
    few, many = batch_sizes[0], batch_sizes[-1]
    steps = {(row["what"], row["batch"]): row for row in parts["steps"] if (row["table"], row["size"]) == (table, size)}
    rows = []
    if device == "cpu" and size == "public":
        rows += [
            target(f"pretrain, batch {many}", "public", steps["pretrain", many]["x public"], 60, 150),
            target(f"pretrain, batch {few}", "public", steps["pretrain", few]["x public"], 25, 60),
            target(f"predict the whole {table} table", "public", steps["predict", many]["x public"], 150, 500),
            target(f"pretrain, batch {many}, bf16", "public", steps["pretrain, bf16", many]["x public"], 60, 150),
            target(f"pretrain, batch {few}, bf16", "public", steps["pretrain, bf16", few]["x public"], 25, 60),
            target(f"predict the whole {table} table, bf16", "public", steps["predict, bf16", many]["x public"], 150, 500),
        ]
    for row in parts["epochs"]:
        if (row["table"], row["size"]) == (table, size):
            rows.append(target(f"frozen epoch, batch {row['batch']}", "unfrozen epoch", row["ratio"], 50, 200))
    if device == "cpu" and size == "public":
        peak = steps["pretrain", few]["peak MB"] * 2**20
        rows.append(target(f"peak memory, pretrain, batch {few}", "public / it", PUBLIC_GIGABYTES * 1e9 / peak, 5, 10))
    for row in parts["ASV encoder"]:
        if row["precision"] == "fp32":
            rows.append(target(f"ASV encoder, {row['ASVs']:.0f} ASVs, fp32", "fp32 matrix rate", row["of fp32 rate"], 0.6, 0.75))
        else:
            rows.append(target(f"ASV encoder, {row['ASVs']:.0f} ASVs, bf16", "fp32", row["x fp32"], 2, 2))
    for row in parts["UniFrac of a batch"]:
        if (row["table"], row["size"]) == (table, size):
            rows.append(target(f"UniFrac of a batch of {row['batch']}", "its step", row["share"], 0.05, 0.01, smaller=True))
    rows += [target(row["command"], "seconds", row["s"], 1.0, 0.3, smaller=True) for row in parts["start-up"]]
    return rows
