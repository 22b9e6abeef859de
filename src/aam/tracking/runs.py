"""Runs compared from their folders: options that differ, scores, time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from aam import page
from aam.errors import InputError, counted, first_few, one_line
from aam.tracking.conclusion import metrics_of, read_object

Command = Literal["pretrain", "train", "evaluate"]
# What says where things lie, not what a run is.
_PLACES = ("output_dir", "cache_dir", "cache", "track")
# The files that say on which samples a run is scored, the first that names any: an ensemble without others on its training samples.
_HELD_OUT = ("folds.tsv", "test_samples.txt", "val_samples.txt", "train_samples.txt")
# Options of other commands, which have some of train's, too.
_OF_OTHERS = ("trials", "suite")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@dataclass(frozen=True)
class Run:
    """A run of pretrain, train or evaluate, as its folder tells.

    options: as config.yaml has them; inputs: by option the SHA-256 of what was read; scores: by model (of `train` its recipe), by
    name; seconds: from the first line of aam.log to the last, pauses before a `resume` included; held_out: a hash of which samples
    the scores are of.
    """

    folder: Path
    command: Command
    options: Mapping[str, str]
    inputs: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: float | None = None
    held_out: str = ""
    finished: bool = False

    @property
    def kind(self) -> str:
        """What it is a run of; runs of a kind have the same options."""
        recipe = self.options.get("recipe")
        return f"aam {self.command}{f', {recipe}' if recipe else ''}"


@dataclass(frozen=True)
class Comparison:
    """Runs side by side: a row for each model of each run. differ: options that differ between runs of a kind (a command, of train
    a recipe); shared: those that do not, of kinds with several runs; warnings: sentences on what makes scores hard to compare.
    """

    runs: Sequence[Run]
    differ: tuple[str, ...]
    shared: Mapping[str, Mapping[str, str]]
    warnings: tuple[str, ...]

    @property
    def header(self) -> list[str]:
        """Names of the columns."""
        return ["run", "command", "model", *self.differ, *self._score_names, "time", "state"]

    @property
    def rows(self) -> list[list[str]]:
        """What stands in them."""
        return [
            self._row(run, model, scores)
            for run in self.runs
            for model, scores in (run.scores or {run.options.get("recipe", ""): {}}).items()
        ]

    def text(self) -> str:
        """The table for a terminal."""
        lines = [self.header, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.header))]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)

    def tsv(self) -> str:
        """The table, tab-separated."""
        return "".join("\t".join(" ".join(cell.split()) for cell in line) + "\n" for line in (self.header, *self.rows))

    def html(self) -> str:
        """A page of its own."""
        names = first_few(self.differ, 8) if self.differ else "nothing"
        verdict = f"{counted(len(self.runs), 'run')}; between runs of a kind these options differ: {names}."
        shared = [(f"What runs of {kind} share", page.definitions(list(options.items()))) for kind, options in self.shared.items()]
        return page.page(
            "Runs compared",
            verdict,
            self.warnings,
            [("Runs", page.table(self.header, self.rows, [True] * len(self.rows))), *shared],
        )

    @property
    def _score_names(self) -> list[str]:
        return list(dict.fromkeys(name for run in self.runs for scores in run.scores.values() for name in scores))

    def _row(self, run: Run, model: str, scores: Mapping[str, float]) -> list[str]:
        options = [run.options.get(name, "") for name in self.differ]
        found = [f"{scores[name]:.4g}" if name in scores else "" for name in self._score_names]
        state = "finished" if run.finished else "not finished"
        return [str(run.folder), run.command, model, *options, *found, _time(run.seconds), state]


def compare_runs(folders: Iterable[str | Path]) -> Comparison:
    """The runs in some folders, compared. InputError for a folder that holds none, and for one named twice.

    >>> print(compare_runs(["age-1", "age-2"]).text())  # doctest: +SKIP
    """
    places = [Path(folder) for folder in folders]
    if not places:
        raise InputError("no run is named: give the output folders of pretrain, train or evaluate")
    if twice := [place for number, place in enumerate(places) if place.resolve() in {one.resolve() for one in places[:number]}]:
        raise InputError(f"{twice[0]}: is named twice")
    runs = [read_run(place) for place in places]
    differ: dict[str, None] = {}
    shared: dict[str, dict[str, str]] = {}
    warnings = []
    for kind in dict.fromkeys(run.kind for run in runs):
        alike = [run for run in runs if run.kind == kind]
        names = dict.fromkeys(name for run in alike for name in run.options if name not in _PLACES)
        other = [name for name in names if len({run.inputs.get(name, run.options.get(name)) for run in alike}) > 1]
        differ |= dict.fromkeys(other)
        if len(alike) > 1:
            shared[kind] = {name: alike[0].options[name] for name in names if name not in other and alike[0].options.get(name)}
        if len({run.held_out for run in alike if run.finished}) > 1:
            warnings.append(f"Runs of {kind} are scored on different held-out samples: their scores do not compare.")
    return Comparison(runs, tuple(differ), shared, tuple(warnings))


def read_run(folder: Path) -> Run:
    """The run in a folder. InputError where there is none of pretrain, train or evaluate."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise InputError(f"{folder}: holds no run (no config.yaml); give the output folder of pretrain, train or evaluate")
    try:
        options = {name: _plain(value) for name, value in _yaml(path).items()}
        metrics = metrics_of(folder)
        read = read_object(folder / "inputs.json") if (folder / "inputs.json").is_file() else {}
        inputs = {name: " ".join(found) for name, found in read.items()}
        named = ((folder / name).read_bytes() for name in _HELD_OUT if (folder / name).is_file())
        held_out = next(filter(None, named), b"")
        scores = _scores(metrics, options.get("recipe", ""))
    except (OSError, ValueError, AttributeError, LookupError, TypeError) as error:
        raise InputError(f"{folder}: its config.yaml, inputs.json or metrics.json cannot be read ({one_line(error)})") from error
    command = _command(options)
    if command is None:
        raise InputError(f"{folder}: is no run of pretrain, train or evaluate, but of another command")
    digest = hashlib.sha256(held_out).hexdigest()
    return Run(folder, command, options, inputs, scores, _seconds(folder / "aam.log"), digest, bool(metrics))


def _command(options: Mapping[str, str]) -> Command | None:
    if any(name in options for name in _OF_OTHERS):
        return None
    if "recipe" in options:
        return "train"
    if "folds" in options:
        return "evaluate"
    # Options of objectives are of no other command.
    return "pretrain" if "nuc_penalty" in options else None


def _scores(metrics: Mapping[str, Any], recipe: str) -> dict[str, dict[str, float]]:
    if "models" in metrics:
        return {
            model: dict(_numbers({**about["mean"], "coverage": about.get("coverage")}))
            for model, about in metrics["models"].items()
        }
    return {recipe: dict(_numbers(metrics["held_out"]))} if "held_out" in metrics else {}


def _numbers(scores: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, float]]:
    for name, value in scores.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{before}{name} ")
        elif isinstance(value, int | float):
            yield f"{before}{name}", float(value)


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        # Values stay the text that they are.
        return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader) or {}
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(one_line(error)) from error


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _seconds(log: Path) -> float | None:
    if not log.is_file():
        return None
    stamps = [found[0] for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if (found := _STAMP.match(line))]
    if not stamps:
        return None
    first, last = (datetime.strptime(stamps[place], "%Y-%m-%d %H:%M:%S") for place in (0, -1))
    return (last - first).total_seconds()


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
