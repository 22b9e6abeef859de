"""Which augmentations help the ensemble: `python -m benchmarks.augmentations`.

Fits the ensemble in five folds by group with each augmentation and without, on the known questions of `benchmarks.accuracy`, and
prints the score of each with its gain over none and the 95 % interval over resampled groups. What was run before is taken from the
output folder.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from aam.evaluation.compare import Outcome
from aam.learners.ensemble import EnsembleLearner
from aam.options import AugmentOptions
from aam.study.folds import make_folds
from benchmarks.accuracy import KNOWN
from benchmarks.in_folds import gain_of, kept_predictions, problem_of
from benchmarks.measure import ROOT

NONE = "none"
TRIED = ("rarefy", "dropout", "contaminate", "mixup", "cutmix", "phylomix", "errors", "reverse", "trim")


def learner_with(augment: str) -> EnsembleLearner:
    """The ensemble with an augmentation."""
    return EnsembleLearner(augment=AugmentOptions(augment=None if augment == NONE else augment))


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
        place = given.output / question.name
        said = {name: kept_predictions(learner_with(name), problem, folds, place / name) for name in (NONE, *given.tried)}
        outcome = Outcome(problem, folds, said)
        lines = [f"| {name} | {gain_of(outcome, name, NONE)} |" for name in said]
        print(f"\n{question.name}, {outcome.measure.label}", "| augmentation | score, gain |", "|---|---|", *lines, sep="\n")


if __name__ == "__main__":
    main()
