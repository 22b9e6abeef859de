"""Every distance and diversity, of a batch beside its pretraining step and of a whole table beside scikit-bio:
`python -m benchmarks.measures`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from skbio.diversity import alpha_diversity, beta_diversity
from skbio.stats.composition import clr, rclr

from aam.distances.registry import MEASURES, batch_form
from aam.distances.whole import measure_table
from benchmarks.measure import Outcome, Row, Run, interleave, parser_of
from benchmarks.unifrac import Spent, read_community
from benchmarks.workload import SIMULATED, SIZES, TASKS, Workload, read_subject

NEW = [name for name in MEASURES if MEASURES[name].module != "unifrac"]
_SKBIO: dict[str, Callable[[np.ndarray], object]] = {
    "bray_curtis": lambda counts: beta_diversity("braycurtis", counts).data,
    "jaccard": lambda counts: beta_diversity("jaccard", counts > 0).data,
    "aitchison": lambda counts: beta_diversity("euclidean", clr(counts + 1), validate=False).data,
    "robust_aitchison": lambda counts: beta_diversity("euclidean", np.nan_to_num(rclr(counts)), validate=False).data,
    "shannon": lambda counts: alpha_diversity("shannon", counts).to_numpy(),
    "richness": lambda counts: alpha_diversity("sobs", counts).to_numpy(),
}

PER_BATCH = {"samples": "d", "metric": "", "ms": ".2f", "of the step": ".3%"}
WHOLE = {
    "metric": "",
    "cpu s": ".3f",
    "skbio cpu s": ".2f",
    "x skbio": ".0f",
    "difference": ".1e",
    "command cpu s": ".2f",
    "MB": ".0f",
}


def processor(call: Callable[[], Outcome]) -> tuple[float, Outcome]:
    """Seconds of the processor that a call took in this process, and what it returned."""
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


def measure_batch(run: Run, work: Workload) -> None:
    """All measures of one batch, and pretraining steps of such batches, in turn."""
    batch, subject = next(work.batches(distances=False)), work.subject
    arguments = (batch.columns, batch.counts, batch.sample_index)
    n_asvs = len(subject.study.table.feature_ids)
    forms = {name: batch_form(name, n_asvs, subject.phylogeny) for name in MEASURES}
    variants: dict[str, Callable[[], object]] = {name: partial(form, *arguments) for name, form in forms.items()}
    variants["pretraining step"] = TASKS["pretrain"](work)
    times = interleave(variants, run.repeats(7), run.device)
    ms = {name: 1e3 * statistics.median(seconds for seconds, _ in measured) for name, measured in times.items()}
    ms[f"all but UniFrac ({len(NEW)})"] = sum(ms[name] for name in NEW)
    for name, value in ms.items():
        run.add(
            "per batch", {"samples": work.batch_size, "metric": name, "ms": value, "of the step": value / ms["pretraining step"]}
        )


def measure_whole(run: Run, name: str, data: Path) -> None:
    """All measures of the whole table, in this process and as a command; scikit-bio's where it has one."""
    community = read_community(name, data)
    table, phylogeny = community.table, community.phylogeny
    dense = table.counts.toarray()
    with tempfile.TemporaryDirectory() as folder:
        biom, newick = community.write(Path(folder))
        for metric, measure in MEASURES.items():
            run.say(f"{metric} of {community.samples} samples")
            ours = partial(measure_table, table, metric, phylogeny if measure.on_tree else None)
            seconds, (_, found) = min((processor(ours) for _ in range(3)), key=lambda pair: pair[0])
            row: Row = {"metric": metric, "cpu s": seconds}
            if metric in _SKBIO:
                row["skbio cpu s"], reference = processor(partial(_SKBIO[metric], dense))
                row |= {"x skbio": row["skbio cpu s"] / seconds, "difference": float(np.abs(found - reference).max())}
            words = ["distances", "--table", str(biom), "--metric", metric, *(["--tree", str(newick)] if measure.on_tree else [])]
            output = f"{folder}/{metric}{'.h5' if measure.pairs else '.tsv'}"
            command = [sys.executable, "-m", "aam", *words, "--output", output]
            spent = Spent.on(command, run.arguments.threads)
            run.add("whole table", row | {"command cpu s": spent.processor, "MB": spent.memory})


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = parser_of("measures", __doc__ or "")
    parser.add_argument("--table", help=f"folder below --data, or {SIMULATED} (default: oral)")
    parser.add_argument("--batch-size", type=int, help="samples of the batch (default: 64)")
    arguments = parser.parse_args(argv)
    run = Run.start("measures", arguments)
    quick = arguments.quick
    name = arguments.table or (SIMULATED if quick else "oral")
    subject = read_subject(name, arguments.data)
    measure_batch(run, Workload(subject, SIZES["tiny" if quick else "public"], arguments.batch_size or (8 if quick else 64)))
    measure_whole(run, name, arguments.data)
    run.finish({"per batch": PER_BATCH, "whole table": WHOLE}, NOTES)


NOTES = [
    "per batch: medians, variants in turn; the step has forward and backward pass, optimiser, and unweighted UniFrac.",
    "cpu s: processor seconds, the least of three, of a table in memory. difference: largest one from scikit-bio.",
    "command cpu s, MB: the whole command `aam distances`, start, reading and writing included, and its peak memory, once.",
]

if __name__ == "__main__":
    main()
