"""UniFrac of whole tables and of batches, beside scikit-bio and ssu: `python -m benchmarks.unifrac`."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
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
# From here on, one repeat.
_LARGE = 5_000
# What scikit-bio calls them; it is given up to this many samples.
_SKBIO = {"unweighted": "unweighted_unifrac", "weighted_normalized": "weighted_unifrac"}
_SKBIO_SAMPLES = 100
# How many times as fast as ssu the command shall be, at least and as the aim.
_TIMES = {"unweighted": (2, 4), "weighted_normalized": (4, 8), "generalized": (8, 15)}

# Seconds of the clock and of the processor, and peak memory, of a command. By a small process, because what is started by another
# counts the memory of that one as its own.
_MEASURE = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6]))
sys.exit(os.waitstatus_to_exitcode(status))
"""

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
COMMAND = {
    "samples": "d",
    "metric": "",
    "first s": ".1f",
    "s": ".2f",
    "cpu s": ".2f",
    "MB": ".0f",
    "ssu s": ".2f",
    "ssu cpu s": ".2f",
    "ssu MB": ".0f",
    "x s": ".2f",
    "x cpu": ".2f",
    "x MB": ".2f",
}
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


@dataclass(frozen=True)
class Spent:
    """What a process took: seconds of the clock and of the processor, and its peak memory in MB (10^6 bytes)."""

    wall: float
    processor: float
    memory: float

    @classmethod
    def on(cls, command: Sequence[str], threads: int, **environment: str) -> Spent:
        """Run a command; CalledProcessError where it fails."""
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), **environment}
        # Compiled files are kept, as they are where a package is installed.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        run = subprocess.run([sys.executable, "-c", _MEASURE, *command], env=environment, stdout=subprocess.PIPE, check=True)
        return cls(*json.loads(run.stdout))

    @classmethod
    def median(cls, several: Sequence[Spent]) -> Spent:
        """Of each."""
        return cls(*(statistics.median(values) for values in zip(*(astuple(spent) for spent in several), strict=True)))


def by_ssu(files: tuple[Path, Path], metric: str, threads: int) -> Spent:
    """The whole program, in double precision as ours, with an HDF5 file of the distances and no ordination."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["ssu", "-i", str(files[0]), "-t", str(files[1]), "-o", f"{folder}/distances", "-m", f"{metric}_fp64"]
        return Spent.on([*command, "-r", "hdf5_fp64", "--pcoa", "0", "-a", str(_ALPHA)], threads)


def by_command(files: tuple[Path, Path], metric: str, threads: int, **environment: str) -> Spent:
    """`aam unifrac`, start, reading and writing included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "aam", "unifrac", "--table", str(files[0]), "--tree", str(files[1]), "--metric", metric]
        return Spent.on([*command, "--alpha", str(_ALPHA), "--output", f"{folder}/distances.h5"], threads, **environment)


def first_time(files: tuple[Path, Path], metric: str, threads: int) -> Spent:
    """`aam unifrac` where nothing has been compiled for this machine yet."""
    with tempfile.TemporaryDirectory() as folder:
        return by_command(files, metric, threads, NUMBA_CACHE_DIR=folder)


def measure_all_pairs(run: Run, community: Community, metrics: Sequence[UniFracMetric]) -> None:
    """All pairs of samples, metrics in turn; scikit-bio too where there are few."""
    samples, phylogeny = community.samples, community.phylogeny
    run.say(f"all pairs of {samples} samples")
    large = samples >= _LARGE
    dtype = np.float32 if run.device == "cuda" else np.float64
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
        row: Row = {"samples": samples, "drawn": community.drawn, "metric": metric, "dtype": dtype.__name__}
        row |= {"ASVs per sample": community.table.counts.nnz / samples, "s": seconds}
        row["pairs/s"] = samples * (samples - 1) / 2 / seconds
        own = measured[0][1]
        if own is not None and metric in _SKBIO:
            row["skbio s"], reference = timed(partial(by_skbio, community, metric), "cpu")
            row |= {"x skbio": row["skbio s"] / seconds, "difference": float(np.abs(own - reference).max())}
        run.add("all pairs", row)


def measure_command(run: Run, community: Community, metrics: Sequence[UniFracMetric], *, first: bool = True) -> None:
    """`aam unifrac` on the whole table, and ssu where it is installed: in turn."""
    with tempfile.TemporaryDirectory() as folder:
        files = community.write(Path(folder))
        for metric in metrics:
            run.say(f"aam unifrac --metric {metric}, {community.samples} samples")
            threads = run.arguments.threads
            row: Row = {"samples": community.samples, "drawn": community.drawn, "metric": metric}
            if first:
                row["first s"] = first_time(files, metric, threads).wall
                by_command(files, metric, threads)
            programs = [by_command, by_ssu] if shutil.which("ssu") else [by_command]
            rounds = [[program(files, metric, threads) for program in programs] for _ in range(run.repeats(5) if first else 1)]
            own, *others = (Spent.median(several) for several in zip(*rounds, strict=True))
            row |= {"s": own.wall, "cpu s": own.processor, "MB": own.memory}
            for other in others:
                row |= {"ssu s": other.wall, "ssu cpu s": other.processor, "ssu MB": other.memory}
                row |= {"x s": other.wall / own.wall, "x cpu": other.processor / own.processor, "x MB": own.memory / other.memory}
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
    """The command against ssu where that is installed, and the largest table."""
    for row in run.parts["command"]:
        if "ssu s" not in row:
            continue
        what = f"{row['metric']}, {row['samples']} samples"
        large = row["samples"] >= _LARGE
        if not large:
            run.add("targets", target(what, "seconds of ssu", row["x s"], *_TIMES[row["metric"]]))
            run.add("targets", target(what, "processor seconds of ssu", row["x cpu"], *_TIMES[row["metric"]]))
        most = 1 if large else 2
        run.add("targets", target(f"{what}, peak memory", "ssu", row["x MB"], most, most, smaller=True))
    for row in run.parts["all pairs"]:
        if (row["samples"], row["metric"]) == (20_000, "weighted_normalized"):
            run.add("targets", target("all pairs of 20000 samples, weighted", "seconds", row["s"], 40, 15, smaller=True))


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
    parser.add_argument("--command-samples", nargs="+", type=int, help="further sizes of tables for the commands, unweighted")
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
    measure_command(run, community, METRICS)
    for samples in arguments.command_samples or ():
        measure_command(run, community.of_size(samples), METRICS[:1], first=False)
    add_targets(run)
    run.finish({"all pairs": ALL_PAIRS, "per batch": PER_BATCH, "command": COMMAND, "targets": TARGETS}, NOTES)


NOTES = [
    "Medians; metrics and programs in turn. All pairs of 5,000 samples and more: one repeat.",
    "mixed: each sample drawn from a Dirichlet(1/2, 1/2) mixture of two real ones with as many reads as one of them has.",
    "difference: largest one between a distance and scikit-bio's. generalized: alpha 0.5, which scikit-bio lacks.",
    "command: whole programs in double precision, HDF5 out. first s: seconds where nothing is compiled yet, after installation.",
    "x s, x cpu: seconds of ssu (unifrac-tools) over ours; x MB: our peak memory over that of ssu.",
]

if __name__ == "__main__":
    main()
