"""One real explanation with its checks, in a process of its own, whose peak memory is that of the explanation:
`python -m benchmarks.explained FOLDER [--whole]` with a folder that `benchmarks.explanations` made ready.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aam.disk.json_files import write_json
from aam.explain import features
from aam.explain.agreement import agreement
from aam.explain.deletion import by_deletion
from aam.explain.run import Explanation
from aam.explain.summary import summarise
from aam.options import GroupOptions, ReadOptions, TableOptions, TargetOptions
from aam.saved.load import load
from aam.study.reading import read_samples
from aam.study.study import Study
from benchmarks.peak import highest, restart_peak

# Of the models that are compared; the first one's predictions are explained.
SEEDS = (0, 1)


def explain(folder: Path) -> dict[str, Any]:
    """What is measured of the explanation of the held-out samples of a question, which is written into `folder/explained`.

    folder: holds request.json (table, rep_seqs, column, group, confounder), held_out.tsv, and a run of `aam train` for each seed.
    """
    asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    study, explanation, cost = _explained(folder, asked, folder / "held_out.tsv", folder / "explained")
    reader = load(folder / f"seed-{SEEDS[1]}").reader(study)
    first, second = (
        explanation.importances[0],
        summarise(by_deletion(reader, features.asvs(study.table.feature_ids), study.rows), study.labels(asked["group"])),
    )
    return {
        "verdict": explanation.verdict,
        **cost,
        "named_first": None if explanation.named_first is None else asdict(explanation.named_first.moved),
        "listed": None if explanation.listed is None else asdict(explanation.listed.moved),
        "curve": None if explanation.curves is None else asdict(explanation.curves.better),
        # First of what it is compared with: the same model with shuffled weights.
        "shuffled": asdict(explanation.compared[0].found),
        "between_seeds": asdict(agreement(first, second, study.counts)),
        # What only one sample has matters as that sample's other ASVs have it.
        "between_seeds_of_two": asdict(agreement(first, second, study.counts, first.samples >= 2)),
    }


def explain_whole(folder: Path) -> dict[str, Any]:
    """What it costs to explain all samples of the table."""
    asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    return _explained(folder, asked, Path(asked["metadata"]), folder / "whole")[2]


def _explained(folder: Path, asked: dict[str, Any], metadata: Path, output: Path) -> tuple[Study, Explanation, dict[str, Any]]:
    """Samples, their explanation by the model of the first seed, which is written to `output`, and what it cost from reading on."""
    base, start = restart_peak("cpu"), time.perf_counter()
    fitted, study = load(folder / f"seed-{SEEDS[0]}"), _read(asked, metadata)
    explanation = fitted.explain(study, group_column=asked["group"], confounder_column=asked["confounder"])
    output.mkdir(exist_ok=True)
    explanation.write(output)
    cost = {
        "samples": len(study),
        "occurrences": int(study.counts.nnz),
        "seconds": time.perf_counter() - start,
        "peak_bytes": highest("cpu"),
        "base_bytes": base,
    }
    return study, explanation, cost


def _read(asked: dict[str, Any], metadata: Path) -> Study:
    files = TableOptions(
        table=Path(asked["table"]),
        rep_seqs=Path(asked["rep_seqs"]) if asked["rep_seqs"] else None,
        ignore_missing=True,
    )
    samples = GroupOptions(metadata=(metadata,), group_column=asked["group"])
    target = TargetOptions(metadata_column=asked["column"])
    return read_samples(files, ReadOptions(), samples, target, confounder_column=asked["confounder"])


def main() -> int:
    """Explain, and write result.json, or whole.json."""
    folder, whole = Path(sys.argv[1]), "--whole" in sys.argv[2:]
    write_json(folder / ("whole.json" if whole else "result.json"), (explain_whole if whole else explain)(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
