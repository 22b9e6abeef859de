"""Faults planted in simulated tables, and how often an evaluation names them: `python -m benchmarks.planted_errors`.

Each table is evaluated as `aam evaluate` does it, with three models, three folds and a small ensemble: without a fault, with 5 % of
its labels wrong, with one study shifted, and with one site whose labels are noisier, so that its intervals and sets hold the truth
too seldom. Prints in how many tables the fault is among the first three things that the error analysis names; without a fault, in
how many it names anything. Predictions that were made before are taken from the output folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from aam.data.sequences import tokenize
from aam.data.simulate import AGE_SD, Simulation, simulate
from aam.evaluation.contestants import contestants_of, headline_of, simple_of
from aam.evaluation.errors.analysis import ErrorAnalysis
from aam.evaluation.kept import KeptFolds
from aam.evaluation.report import Report
from aam.evaluation.run import folds_of, key_of_run, run_folds
from aam.options import ContestOptions, EnsembleOptions, FoldOptions
from aam.study.problem import Problem
from aam.study.study import Study
from aam.study.targets import ClassTarget, RegressionTarget
from benchmarks.measure import ROOT

NONE, KINDS, FIRST = "none", ("number", "classes"), 3
# What the sentence on each fault says.
SAID: Mapping[str, str] = {"swapped": "that every model finds unlikely", "shifted": "study: study2 (", "wide": "site: C ("}
_SAMPLES, _ASVS, _LENGTH, _SITES = 1000, 40, 40, "ABCDE"
_WRONG = 0.05
# In standard deviations of what is predicted, of classes of the log-ratio whose threshold they are: by how much a study is shifted,
# and what a site adds to each sample; of classes it changes a share of the labels.
_SHIFT, _WIDE = 1.0, 4 / 3
_NOISE = float(np.arctan(_WIDE) / np.pi)
_MODELS = ("median", "class shares", "ridge, CLR", "logistic regression, CLR", "random forest", "AAM ensemble")
_FOLDS = FoldOptions(folds=3)
_ENSEMBLE = EnsembleOptions(
    cross_fit_folds=2,
    network_dim=16,
    network_steps=50,
    network_max_epochs=5,
    kernel_tuning_samples=150,
    forest_trees=30,
    boosting_rounds=20,
)


@dataclass(frozen=True, eq=False)
class Community:
    """A simulated study, each of whose subjects is of a site."""

    made: Simulation
    study: Study

    @classmethod
    def of(cls, seed: int, subjects: int | None = None) -> Community:
        """The one of a seed; subjects: the simulator's usual number, where none is given."""
        made = simulate(seed, n_samples=_SAMPLES, n_asvs=_ASVS, n_subjects=subjects, length=_LENGTH)
        site = np.array(list(_SITES))[pd.factorize(made.metadata["subject"])[0] % len(_SITES)]
        tokens = tokenize(made.sequences, made.table.feature_ids, _LENGTH)
        return cls(made, Study(made.table, made.sequences, tokens, made.metadata.assign(site=site)))

    @cached_property
    def ratio(self) -> np.ndarray:
        """The log-ratio that the disease is a threshold of, standardised over subjects [N]."""
        ratios = {name: found[1] for name, found in self.made.truth["subject_log_ratios"].items()}
        known = np.array(list(ratios.values()))
        return (self.made.metadata["subject"].map(ratios).to_numpy() - known.mean()) / known.std()

    def at(self, column: str, level: str) -> np.ndarray:
        """Whether samples are of a level, bool [N]."""
        return np.asarray(self.study.labels(column) == level)


def planted(community: Community, kind: str, fault: str, seed: int) -> tuple[Problem, np.ndarray]:
    """Ages or diseases with a fault, and which labels are another sample's, bool [N]."""
    study, rng = community.study, np.random.default_rng(seed)
    shifted, wide = community.at("study", "study2"), community.at("site", "C")
    swapped = np.isin(study.rows, rng.choice(len(study), round(_WRONG * len(study)), replace=False)) & (fault == "swapped")
    if kind == "number":
        ages = community.made.metadata["age"].to_numpy(float).copy()
        places = rng.permutation(np.flatnonzero(swapped))
        ages[places] = ages[np.roll(places, 1)]
        ages += {"shifted": _SHIFT * AGE_SD * shifted, "wide": wide * rng.normal(0, _WIDE * AGE_SD, len(study))}.get(fault, 0)
        return Problem(study, "age", ages, RegressionTarget("zscore"), study.labels("subject")), swapped
    sick, doubt = community.at("disease", "case"), rng.random(len(study))
    wrong = {"shifted": shifted & ~sick & (community.ratio > -_SHIFT), "wide": wide & (doubt < _NOISE)}.get(fault, swapped)
    target = ClassTarget(("control", "case"))
    return Problem(study, "disease", (sick ^ wrong).astype(np.int64), target, study.labels("subject")), swapped


def analysis_of(problem: Problem, folder: Path) -> ErrorAnalysis:
    """As the report of an evaluation has it; folder: where predictions are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    every = contestants_of(problem, ContestOptions(), 0, ensemble=_ENSEMBLE, jobs=1)
    contestants = {name: learner for name, learner in every.items() if name in _MODELS}
    folds = folds_of(problem, _FOLDS, 0, len(problem))
    kept = KeptFolds(folder, key_of_run(problem, folds, _FOLDS, _ENSEMBLE, _MODELS))
    # Matrices this small take two threads longer than one.
    with threadpool_limits(1):
        outcome, _ = run_folds(problem, contestants, folds, kept)
    return Report({}, outcome, simple_of(contestants, outcome), headline=headline_of(outcome)).errors


def is_named(analysis: ErrorAnalysis, fault: str) -> bool:
    """Whether a fault is among the first things that are named; without one, whether anything is."""
    said = [one.sentence for one in analysis.named]
    return any(SAID[fault] in sentence for sentence in said[:FIRST]) if fault in SAID else bool(said)


def right_share(analysis: ErrorAnalysis, swapped: np.ndarray) -> float:
    """Share of the labels that are named as wrong which are; NaN where none is named."""
    places = [suspect.place for suspect in analysis.labels.suspects] if analysis.labels.named else []
    return float(swapped[analysis.held.rows[places]].mean()) if places else float("nan")


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate what was not evaluated yet, print a table; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted_errors", description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "planted_errors", help="folder of results")
    parser.add_argument("--seeds", type=int, default=10, help="tables of each fault (default: %(default)s)")
    parser.add_argument("--subjects", type=int, help="subjects of a table (default: one per 4 samples)")
    options = parser.parse_args(arguments)
    named: dict[tuple[str, str], list[bool]] = {}
    right: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        community = Community.of(seed, options.subjects)
        for kind in KINDS:
            for fault in (NONE, *SAID):
                problem, swapped = planted(community, kind, fault, seed)
                analysis = analysis_of(problem, options.output / f"{options.subjects or 'usual'}-{kind}-{fault}-{seed}")
                named.setdefault((kind, fault), []).append(is_named(analysis, fault))
                right.setdefault(kind, []).extend([right_share(analysis, swapped)] if fault == "swapped" else [])
                sys.stderr.write(
                    f"{kind}, {fault}, seed {seed}: {'; '.join(one.sentence for one in analysis.named) or 'nothing'}\n"
                )
    lines = ["| tables | " + " | ".join((NONE, *SAID)) + " | labels named as wrong that are |", "|---|" + "---|" * (len(SAID) + 2)]
    for kind in KINDS:
        counts = [f"{sum(named[kind, fault])} of {options.seeds}" for fault in (NONE, *SAID)]
        known = [share for share in right[kind] if np.isfinite(share)]
        lines.append(f"| {kind} | {' | '.join(counts)} | {f'{100 * np.mean(known):.0f} %' if known else 'none'} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
