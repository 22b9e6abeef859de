"""How true AAM's explanations are: `python -m benchmarks.explanations`.

Of simulated tables whose truth is planted: how much of it is found, beside the permutation importance of a random forest. Of real
questions: whether taking out what is named first moves predictions further than taking out others, whether two seeds agree, and a
model with shuffled weights does not, and what it costs. What was run before is taken from the output folder; Markdown tables are
printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aam.disk.json_files import write_json
from aam.disk.writing import write_text
from aam.options import GroupOptions, ReadOptions, SampleOptions, TableOptions, TargetOptions
from aam.study.reading import read_samples
from benchmarks.accuracy import KNOWN, Question, markdown, opening
from benchmarks.explained import SEEDS
from benchmarks.measure import ROOT
from benchmarks.planted import MODELS, TRUTHS, found_of

PLANTED, REAL, WHOLE = "planted", "real", "whole"
# The table that is explained as a whole, for time and memory.
_LARGE = "oral"
_HELD_OUT = 0.2
_LABELS = {"ensemble": "AAM ensemble, deletion", "transformer": "AAM transformer, deletion", "forest": "forest, permutation"}
_GB = 1e9


def run_planted(truth: str, model: str, seed: int, output: Path) -> None:
    """Fit and explain; done where the result is there."""
    path = _planted_path(output, truth, model, seed)
    if path.is_file():
        return
    _say(f"{truth}, {model}, seed {seed}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, found_of(model, TRUTHS[truth].make(seed), seed))


def run_real(question: Question, data: Path, output: Path) -> None:
    """Train an ensemble for each seed on four fifths of the groups, and explain the others; each part once."""
    folder = output / REAL / question.name
    if (folder / "result.json").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "request.json").is_file():
        part(question, data, folder)
    for seed in SEEDS:
        if not (folder / f"seed-{seed}" / "model" / "config.json").is_file():
            _say(f"{question.name}, training, seed {seed}")
            _call(["aam", "train", *_training(question, folder, seed)])
    _say(f"{question.name}, explaining")
    _call(["benchmarks.explained", str(folder)])


def run_whole(question: Question, output: Path) -> None:
    """Explain all samples of a table with the model of the first seed, by `aam explain`; its seconds and peak memory."""
    folder = output / REAL / question.name
    path = folder / "whole.json"
    if path.is_file() or not (folder / f"seed-{SEEDS[0]}" / "model" / "config.json").is_file():
        return
    _say(f"{question.name}, explaining all samples")
    _call(["benchmarks.explained", str(folder), "--whole"])


def part(question: Question, data: Path, folder: Path) -> None:
    """Metadata of training and of held-out samples, groups kept whole, and request.json with what else `explained` needs."""
    table = data / question.table
    metadata, sequences = table / "metadata.tsv", table / "seqs.fasta"
    group, confounder, where = (_value(question, name) for name in ("--group-column", "--confounder-column", "--where"))
    files = TableOptions(table=table / "table.biom", rep_seqs=sequences if sequences.is_file() else None, ignore_missing=True)
    chosen = GroupOptions(metadata=(metadata,), group_column=group, where=where)
    target = TargetOptions(metadata_column=question.column)
    study = read_samples(files, ReadOptions(), chosen, target, confounder_column=confounder)
    labels = study.labels(question.column) if "--classifier" in question.options else None
    split = study.split(SampleOptions(metadata=(metadata,), group_column=group, test_fraction=_HELD_OUT), 0, labels)
    frame = pd.read_csv(metadata, sep="\t", dtype=str, keep_default_na=False, index_col=0)
    for name, rows in (("held_out", split.test), ("training", np.concatenate([split.train, split.val]))):
        write_text(folder / f"{name}.tsv", frame.loc[list(study.ids(np.sort(rows)))].to_csv(sep="\t"))
    named = {"column": question.column, "group": group, "confounder": confounder}
    paths = {"table": str(files.table), "rep_seqs": str(files.rep_seqs) if files.rep_seqs else None, "metadata": str(metadata)}
    write_json(folder / "request.json", named | paths)


def _training(question: Question, folder: Path, seed: int) -> list[str]:
    """Arguments of `aam train`: no sample of the training part is set aside."""
    asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    files = ["--table", asked["table"], "--metadata", str(folder / "training.tsv")]
    files += ["--rep-seqs", asked["rep_seqs"]] if asked["rep_seqs"] else []
    about = ["--metadata-column", question.column, *(["--classifier"] if "--classifier" in question.options else [])]
    about += ["--group-column", asked["group"]] if asked["group"] else []
    run = ["--test-fraction", "0", "--seed", str(seed), "--output-dir", str(folder / f"seed-{seed}"), "--overwrite"]
    return [*files, *about, "--ignore-missing", *run]


def _value(question: Question, name: str) -> str | None:
    """What an option of a question is, if it is among them."""
    return question.options[question.options.index(name) + 1] if name in question.options else None


def _call(module: Sequence[str]) -> None:
    subprocess.run([sys.executable, "-m", *module], check=True, cwd=ROOT)


def planted_table(output: Path) -> str:
    """A row for each truth that was run: the mean share of it that each model's explanation finds, over seeds, and its R²; empty
    for none. Of positions there is a second one, by exchanging letters of single ASVs.
    """
    rows = []
    for truth, planted in TRUTHS.items():
        found = {model: _planted_results(output, truth, model) for model in MODELS}
        if any(found.values()):
            rows.append([planted.title, *(_recall_cell(found[model], "recall") for model in MODELS)])
        if any("exchanged" in one for several in found.values() for one in several):
            rows.append(
                ["the same, letters of single ASVs exchanged", *(_recall_cell(found[model], "exchanged") for model in MODELS)]
            )
    return markdown(["planted truth", *(f"{_LABELS[model]}: recall (R², seeds)" for model in MODELS)], rows) if rows else ""


def _recall_cell(found: Sequence[dict[str, float]], way: str) -> str:
    if not found or way not in found[0]:
        return ""
    recall, r2 = (np.mean([one[name] for one in found]) for name in (way, "r2"))
    return f"{recall:.2f} ({r2:.2f}, {len(found)})"


def _planted_results(output: Path, truth: str, model: str) -> list[dict[str, float]]:
    paths = sorted((output / PLANTED).glob(f"{truth}-{model}-*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _planted_path(output: Path, truth: str, model: str, seed: int) -> Path:
    return output / PLANTED / f"{truth}-{model}-{seed}.json"


def real_table(output: Path) -> str:
    """A row for each question that was run; empty for none."""
    rows = []
    for question in KNOWN:
        path = output / REAL / question.name / "result.json"
        if path.is_file():
            rows.append([f"`{question.table}` {question.column}", *_real_cells(json.loads(path.read_text(encoding="utf-8")))])
    header = [
        "question",
        "held-out samples",
        "named first for each sample : others of like abundance (95 %)",
        "named first by the list : others",
        "deletion curve : random order (95 %)",
        "between seeds, Spearman: all ASVs, those of two samples or more",
        "shuffled weights: beside amount, in direction, as they are",
        "seconds, peak GB",
    ]
    return markdown(header, rows) if rows else ""


def _real_cells(result: dict[str, Any]) -> list[str]:
    shuffled, seeds, of_two = result["shuffled"], result["between_seeds"], result["between_seeds_of_two"]
    return [
        f"{result['samples']:,}",
        _estimate(result["named_first"]),
        _estimate(result["listed"]),
        _estimate(result["curve"], 2),
        f"{seeds['spread']:.2f}, {of_two['spread']:.2f}",
        f"{shuffled['beside_amount']:.2f}, {shuffled['signed']:.2f}, {shuffled['spread']:.2f}",
        f"{result['seconds']:.0f}, {result['peak_bytes'] / _GB:.1f}",
    ]


def _estimate(found: dict[str, float] | None, digits: int = 1) -> str:
    if found is None:
        return "unknown"
    value, low, high = (f"{found[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def whole_sentence(output: Path) -> str:
    """What the largest table takes as a whole; empty where it was not run."""
    path = output / REAL / _LARGE / "whole.json"
    if not path.is_file():
        return ""
    found = json.loads(path.read_text(encoding="utf-8"))
    return (
        f"All of `{_LARGE}` ({found['samples']:,} samples, {found['occurrences']:,} occurrences): {found['seconds'] / 60:.1f} "
        f"minutes, {found['peak_bytes'] / _GB:.1f} GB."
    )


def report_of(output: Path) -> str:
    """All tables of what is there."""
    tables = (("Planted truth", planted_table(output)), ("Real questions", real_table(output)))
    shown = [f"### {title}\n\n{table}" for title, table in tables if table]
    return "\n\n".join(filter(None, [opening(), *shown, whole_sentence(output)]))


def _say(message: str) -> None:
    sys.stderr.write(f"explanations: {message}\n")


def _chosen(only: Sequence[str] | None, part_of: str, names: Sequence[str]) -> list[str]:
    """Those of the names that are asked for: all, those of a part, or by themselves."""
    return [name for name in names if only is None or part_of in only or name in only]


def main(arguments: list[str] | None = None) -> int:
    """Run what is not there yet, print the tables; the exit code."""
    questions = {question.name: question for question in KNOWN}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explanations", description="How true explanations are.")
    tables = os.environ.get("AAM_TEST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(tables), help="folder of the real tables (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "explanations", help="folder of results")
    choices = [PLANTED, REAL, WHOLE, *TRUTHS, *questions]
    parser.add_argument("--only", nargs="*", choices=choices, help="some parts, truths or questions (default: all)")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=MODELS, help="of planted truths (default: all)")
    parser.add_argument("--seeds", type=int, default=3, help="simulated tables of each truth (default: %(default)s)")
    parser.add_argument("--show", action="store_true", help="run nothing, print what is there")
    options = parser.parse_args(arguments)
    options.data, options.output = options.data.resolve(), options.output.resolve()
    if not options.show:
        for seed in range(options.seeds):
            for truth in _chosen(options.only, PLANTED, tuple(TRUTHS)):
                for model in (model for model in options.models if model in TRUTHS[truth].models):
                    run_planted(truth, model, seed, options.output)
        for name in _chosen(options.only, REAL, tuple(questions)):
            run_real(questions[name], options.data, options.output)
        if _chosen(options.only, WHOLE, [_LARGE]):
            run_whole(questions[_LARGE], options.output)
    sys.stdout.write(report_of(options.output) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
