"""UniFrac of whole tables and of batches, beside scikit-bio and ssu: `python -m benchmarks.unifrac`."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
from biom import Table
from scipy import sparse
from skbio import TreeNode
from skbio.diversity import beta_diversity

from aam.data.dataset import Collate, SampleDataset
from aam.data.newick import write_tree
from aam.data.phylogeny import Phylogeny
from aam.data.simulate import simulate
from aam.data.table import FeatureTable, read_table
from aam.distances.matrix import unifrac_matrix
from aam.distances.unifrac import UniFrac
from aam.options import ReadOptions, UniFracMetric
from benchmarks.measure import Row, Run, interleave, parser_of, timed
from benchmarks.targets import target
from benchmarks.workload import SIMULATED

METRICS: tuple[UniFracMetric, ...] = ("unweighted", "weighted_normalized", "generalized")
_ALPHA = 0.5
# Above this, simulated samples, single precision, one repeat.
_LARGE = 5_000
# What scikit-bio calls them; it is given up to this many samples.
_SKBIO = {"unweighted": "unweighted_unifrac", "weighted_normalized": "weighted_unifrac"}
_SKBIO_SAMPLES = 100
# Seconds of ssu (unifrac-tools 1.2) on the oral table with 2 threads, fp64, on the machine of benchmarks/targets.py.
_QUOTED = {"unweighted": 1.7, "weighted_normalized": 6.0}

ALL_PAIRS = {
    "samples": "d",
    "drawn": "",
    "ASVs per sample": ".1f",
    "metric": "",
    "dtype": "",
    "s": ".3f",
    "pairs/s": ".3g",
    "skbio s": ".2f",
    "x skbio": ".1f",
    "difference": ".1e",
}
COMMAND = {"samples": "d", "metric": "", "s": ".2f", "matrix alone s": ".2f", "ssu s": ".2f", "ssu quoted s": ".1f"}
PER_BATCH = {"samples": "d", "metric": "", "ms": ".2f", "skbio ms": ".0f", "x skbio": ".1f"}
TARGETS = {"what": "", "against": "", "reached": ".3g", "at least": ".3g", "aim for": ".3g", "met": ""}


@dataclass(frozen=True, eq=False)
class Community:
    """A table and its tree, and how its samples came to be."""

    table: FeatureTable
    tree: TreeNode
    drawn: str

    @property
    def samples(self) -> int:
        return len(self.table.sample_ids)

    @property
    def phylogeny(self) -> Phylogeny:
        return Phylogeny.from_tree(self.tree, self.table.feature_ids)

    def of_size(self, samples: int) -> Community:
        """A random part of the samples, or all, or more by `resample`."""
        if samples > self.samples:
            return Community(resample(self.table, samples), self.tree, "mixed")
        rows = np.sort(np.random.default_rng(0).choice(self.samples, samples, replace=False))
        return Community(self.table.select_samples([self.table.sample_ids[row] for row in rows]), self.tree, self.drawn)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Table and tree as files."""
        biom, newick = folder / "table.biom", folder / "tree.nwk"
        with h5py.File(biom, "w") as handle:
            Table(sparse.csr_matrix(self.table.counts.T), self.table.feature_ids, self.table.sample_ids).to_hdf5(handle, "AAM")
        write_tree(self.tree, newick)
        return biom, newick


def resample(table: FeatureTable, number: int, seed: int = 0) -> FeatureTable:
    """`number` new samples, each a mixture of two real ones.

    The shares are Dirichlet(1/2, 1/2), so that one of the two mostly dominates, and the reads multinomial, as many as the first of
    them has: samples stay about as sparse, and as unlike each other, as real ones are.
    """
    rng = np.random.default_rng(seed)
    counts, depths = table.counts, table.depths
    columns, reads = [], []
    for first, second in rng.integers(len(depths), size=(number, 2)):
        share = rng.dirichlet((0.5, 0.5))
        mixed = share[0] * counts[[first], :] / depths[first] + share[1] * counts[[second], :] / depths[second]
        drawn = rng.multinomial(depths[first], mixed.data / mixed.data.sum())
        columns.append(mixed.indices[drawn > 0])
        reads.append(drawn[drawn > 0])
    indptr = np.cumsum([0, *map(len, columns)])
    mixed = sparse.csr_array((np.concatenate(reads), np.concatenate(columns), indptr), shape=(number, counts.shape[1]))
    mixed.sort_indices()
    return FeatureTable(mixed, tuple(f"mixed{row}" for row in range(number)), table.feature_ids)


def by_skbio(community: Community, metric: str) -> np.ndarray:
    """Distances of all samples."""
    table = community.table
    options = {"normalized": True} if metric == "weighted_normalized" else {}
    counts = table.counts.toarray()
    return beta_diversity(_SKBIO[metric], counts, table.sample_ids, tree=community.tree, taxa=table.feature_ids, **options).data


def by_ssu(files: tuple[Path, Path], metric: str, threads: int) -> float | None:
    """Seconds that the program takes with reading its files and writing the matrix; None where it is absent."""
    if shutil.which("ssu") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        command = ["ssu", "-i", str(files[0]), "-t", str(files[1]), "-o", f"{folder}/distances", "-m", metric, "-n", str(threads)]
        if metric == "generalized":
            command += ["-a", str(_ALPHA)]
        seconds, _ = timed(partial(subprocess.run, command, capture_output=True, check=True), "cpu")
    return seconds


def by_command(files: tuple[Path, Path], metric: str, threads: int) -> float:
    """Seconds of `aam unifrac`, start, reading and writing included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "aam", "unifrac", "--table", str(files[0]), "--tree", str(files[1]), "--metric", metric]
        command += ["--alpha", str(_ALPHA), "--output", f"{folder}/distances.h5"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        seconds, _ = timed(partial(subprocess.run, command, capture_output=True, check=True, env=environment), "cpu")
    return seconds


def measure_all_pairs(run: Run, community: Community, metrics: Sequence[UniFracMetric]) -> None:
    """All pairs of samples, metrics in turn; scikit-bio too where there are few."""
    samples, phylogeny = community.samples, community.phylogeny
    run.say(f"all pairs of {samples} samples")
    large = samples >= _LARGE
    dtype = torch.float32 if large else torch.float64
    few = samples <= _SKBIO_SAMPLES
    matrix = partial(unifrac_matrix, community.table.counts, phylogeny, alpha=_ALPHA, dtype=dtype, device=run.device)

    def distances(metric: UniFracMetric) -> np.ndarray | None:
        found = matrix(metric=metric)
        # Large ones are not kept: they take gigabytes.
        return found if few else None

    variants: dict[str, Callable[[], np.ndarray | None]] = {metric: partial(distances, metric) for metric in metrics}
    times = interleave(variants, 1 if large else run.repeats(3), run.device, warm_up=0 if large else 1)
    for metric, measured in times.items():
        seconds = statistics.median(s for s, _ in measured)
        row: Row = {"samples": samples, "drawn": community.drawn, "metric": metric, "dtype": str(dtype).removeprefix("torch.")}
        row |= {"ASVs per sample": community.table.counts.nnz / samples, "s": seconds}
        row["pairs/s"] = samples * (samples - 1) / 2 / seconds
        own = measured[0][1]
        if own is not None and metric in _SKBIO:
            row["skbio s"], reference = timed(partial(by_skbio, community, metric), "cpu")
            row |= {"x skbio": row["skbio s"] / seconds, "difference": float(np.abs(own - reference).max())}
        run.add("all pairs", row)


def measure_command(run: Run, community: Community) -> None:
    """`aam unifrac` on the whole table, and ssu where it is installed: in turn."""
    alone = {row["metric"]: row["s"] for row in run.parts["all pairs"] if row["samples"] == community.samples}
    with tempfile.TemporaryDirectory() as folder:
        files = community.write(Path(folder))
        for metric in METRICS:
            run.say(f"aam unifrac --metric {metric}")
            threads = run.arguments.threads
            pairs = [(by_command(files, metric, threads), by_ssu(files, metric, threads)) for _ in range(run.repeats(3))]
            row: Row = {"samples": community.samples, "metric": metric, "s": statistics.median(own for own, _ in pairs)}
            others = [other for _, other in pairs if other is not None]
            row |= {"matrix alone s": alone.get(metric), "ssu s": statistics.median(others) if others else "absent"}
            if community.drawn == "oral":
                row["ssu quoted s"] = _QUOTED.get(metric)
            run.add("command", row)


def measure_batches(run: Run, community: Community, sizes: Sequence[int]) -> None:
    """One random batch of each size, as a training step has it."""
    for size in sizes:
        run.say(f"batch of {size} samples")
        few = community.of_size(size)
        source = SampleDataset(few.table, ReadOptions(), 0)
        # The tokens play no part.
        collate = Collate(np.ones((len(few.table.feature_ids), 2), dtype=np.uint8))
        batch = collate([source[0, row] for row in range(size)]).to(run.device)
        arguments = (batch.columns, batch.counts, batch.sample_index)
        modules: dict[str, UniFrac] = {metric: UniFrac(few.phylogeny, metric, _ALPHA).to(run.device) for metric in METRICS}
        variants = {metric: partial(module, *arguments) for metric, module in modules.items()}
        for metric, measured in interleave(variants, run.repeats(9), run.device).items():
            row: Row = {"samples": size, "metric": metric, "ms": 1e3 * statistics.median(s for s, _ in measured)}
            if size <= _SKBIO_SAMPLES and metric in _SKBIO:
                seconds, _ = timed(partial(by_skbio, few, metric), "cpu")
                row |= {"skbio ms": 1e3 * seconds, "x skbio": 1e3 * seconds / row["ms"]}
            run.add("per batch", row)


def add_targets(run: Run) -> None:
    """The command against ssu, measured in this run or else quoted."""
    for row in run.parts["command"]:
        other = row.get("ssu quoted s") if row["ssu s"] == "absent" else row["ssu s"]
        if other is not None:
            against = "ssu, quoted" if row["ssu s"] == "absent" else "ssu"
            run.add("targets", target(f"aam unifrac, {row['metric']}", against, other / row["s"], 1, 5))
            if row["matrix alone s"]:
                run.add("targets", target(f"the matrix alone, {row['metric']}", against, other / row["matrix alone s"], 1, 5))


def read_community(name: str, data: Path) -> Community:
    """A real table below `data`, or the simulated one."""
    if name == SIMULATED:
        simulation = simulate(0, n_samples=40, n_asvs=60, length=40)
        return Community(simulation.table, simulation.tree, name)
    from skbio import TreeNode

    tree = TreeNode.read(str(data / name / "tree.nwk"), format="newick", convert_underscores=False)
    return Community(read_table(data / name / "table.biom"), tree, name)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = parser_of("unifrac", __doc__ or "")
    parser.add_argument("--table", help=f"folder below --data, or {SIMULATED} (default: oral)")
    parser.add_argument("--samples", nargs="+", type=int, help="sizes of tables (default: 100 to 20000)")
    parser.add_argument("--batch-sizes", nargs="+", type=int, help="sizes of batches (default: 8 64 256)")
    arguments = parser.parse_args(argv)
    quick = arguments.quick
    run = Run.start("unifrac", arguments)
    run.say("reading the table")
    community = read_community(arguments.table or (SIMULATED if quick else "oral"), arguments.data)
    usual = [20, community.samples, 60] if quick else [100, 500, community.samples, 5_000, 10_000, 20_000]
    for samples in arguments.samples or usual:
        measure_all_pairs(run, community.of_size(samples), METRICS if samples <= _LARGE else METRICS[:2])
    measure_batches(run, community, arguments.batch_sizes or ([8] if quick else [8, 64, 256]))
    measure_command(run, community)
    add_targets(run)
    run.finish({"all pairs": ALL_PAIRS, "per batch": PER_BATCH, "command": COMMAND, "targets": TARGETS}, NOTES)


NOTES = [
    "Medians; metrics in turn. Tables of 5,000 samples and more: one repeat, single precision.",
    "mixed: each sample drawn from a Dirichlet(1/2, 1/2) mixture of two real ones with as many reads as one of them has.",
    "difference: largest one between a distance and scikit-bio's. generalized: alpha 0.5, which scikit-bio lacks.",
    "ssu quoted: unifrac-tools 1.2, oral, fp64, 2 threads, measured on another day: compare where ssu itself is absent only.",
]

if __name__ == "__main__":
    main()
