"""Which augmentations help the ensemble: `python -m benchmarks.augmentations`.

Fits the ensemble in five folds by group with each augmentation and without, on the known questions of `benchmarks.accuracy`, and
prints the score of each with its gain over none and the 95 % interval over resampled groups. What was run before is taken from the
output folder.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aam.disk.cache import Cache
from aam.evaluation.compare import Outcome, mean_score, resampled_scores
from aam.learners.ensemble import EnsembleLearner
from aam.options import AugmentOptions, GroupOptions, ReadOptions, TableOptions, TargetOptions, TreeOptions
from aam.study.folds import Fold, make_folds
from aam.study.problem import Problem, pose
from aam.study.reading import read_samples
from aam.study.tree import on_given_distances
from benchmarks.accuracy import KNOWN, Question
from benchmarks.measure import ROOT

NONE = "none"
TRIED = ("rarefy", "dropout", "contaminate", "mixup", "cutmix", "phylomix", "errors", "reverse", "trim")


def problem_of(question: Question, data: Path) -> Problem:
    """As `aam evaluate` poses it, at its defaults."""
    folder, words = data / question.table, list(question.options)
    given = {name: words[words.index(name) + 1] for name in ("--where", "--group-column") if name in words}
    sequences = folder / "seqs.fasta"
    table = TableOptions(table=folder / "table.biom", rep_seqs=sequences if sequences.is_file() else None, ignore_missing=True)
    metadata, group_column = (folder / "metadata.tsv",), given.get("--group-column")
    samples = GroupOptions(metadata=metadata, where=given.get("--where"), group_column=group_column)
    study = read_samples(table, ReadOptions(), samples, question.column)
    study = on_given_distances(study, TreeOptions(tree=folder / "tree.nwk"), Cache(None), ignore_missing=True)
    target = TargetOptions(metadata_column=question.column, classifier="--classifier" in words)
    return pose(study, target, group_column)


def predictions_of(problem: Problem, folds: Sequence[Fold], augment: str, folder: Path) -> list[np.ndarray]:
    """Of the held-out samples of each fold, kept in a folder."""
    options = AugmentOptions(augment=None if augment == NONE else augment)
    found = []
    for fold in folds:
        path = folder / f"{augment}-{fold.number}.npy"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            np.save(path, EnsembleLearner(augment=options).fit(problem, fold.train).predict(problem.study, fold.test))
        found.append(np.load(path))
    return found


def row_of(outcome: Outcome, name: str) -> str:
    """A line of the table."""
    measure = outcome.measure
    score = mean_score(outcome, name)
    gains = measure.gain(resampled_scores(outcome, name), resampled_scores(outcome, NONE))
    low, high = np.nanpercentile(gains, [2.5, 97.5])
    gain = float(measure.gain(score, mean_score(outcome, NONE)))
    return f"| {name} | {score:.4g} | {measure.signed(gain)} ({measure.between(float(low), float(high))}) |"


def main() -> None:
    """Print a table for each question."""
    parser = argparse.ArgumentParser(description=__doc__)
    tables = os.environ.get("AAM_TEST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(tables))
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "augmentations")
    parser.add_argument("--questions", nargs="+", default=[question.name for question in KNOWN])
    parser.add_argument("--tried", nargs="+", default=list(TRIED))
    given = parser.parse_args()
    for question in (question for question in KNOWN if question.name in given.questions):
        problem = problem_of(question, given.data)
        folds = make_folds(len(problem), 5, 1, 0, groups=problem.groups, labels=problem.labels)
        said = {name: predictions_of(problem, folds, name, given.output / question.name) for name in (NONE, *given.tried)}
        outcome = Outcome(problem, folds, said)
        lines = [row_of(outcome, name) for name in said]
        print(f"\n{question.name}, {outcome.measure.label}", "| augmentation | score | gain |", "|---|---|---|", *lines, sep="\n")


if __name__ == "__main__":
    main()
