"""Which augmentations help the ensemble: `python -m benchmarks.augmentations`.

Fits the ensemble in five folds by group with each augmentation and without, on the questions of `suite.yaml`, and
prints the score of each, and of what `auto` would choose in each fold, with its gain over none and the 95 % interval over resampled
groups. What was run before is taken from the output folder.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial

from aam.augment.choice import AugmentChoice, choose_augmentation
from aam.evaluation.compare import Outcome
from aam.learners.ensemble import EnsembleLearner, cross_fitted
from aam.options import CANDIDATES, AugmentOptions
from aam.options.augment import AUTO
from aam.study.folds import Fold, make_folds
from aam.study.problem import Problem
from benchmarks.in_folds import Arrays, asked, gain_of, kept, parser_of, problem_of

NONE = "none"
TRIED = ("rarefy", "dropout", "contaminate", "mixup", "cutmix", "phylomix", "errors", "reverse", "trim")


def fitted_with(augment: str, problem: Problem, fold: Fold) -> Arrays:
    """What the ensemble with an augmentation predicts of the held-out samples of a fold, and in cross-fitting of the others."""
    options = AugmentOptions(augment=None if augment == NONE else augment)
    fitted = EnsembleLearner(augment=options).fit(problem, fold.train)
    return {"held_out": fitted.predict(problem.study, fold.test), "cross_fitted": cross_fitted(fitted)}


def chosen(problem: Problem, fold: Fold, number: int, found: Mapping[str, Sequence[Arrays]]) -> AugmentChoice:
    """What `auto` chooses in a fold, which is what it would fit."""
    said = {name: found[name][number]["cross_fitted"] for name in CANDIDATES}
    plain, truth, units = found[NONE][number]["cross_fitted"], problem.truth[fold.train], problem.units(fold.train)
    return choose_augmentation(truth, plain, said, units, problem.target.measure)


def main() -> None:
    """Print a table for each question."""
    parser = parser_of("augmentations", __doc__)
    parser.add_argument("--tried", nargs="+", default=list(TRIED))
    parser.add_argument("--folds", type=int, default=5, help="how many of the five are held out")
    given = parser.parse_args()
    for title, question in asked(given).items():
        problem = problem_of(question)
        folds = make_folds(len(problem), 5, 1, 0, groups=problem.groups, labels=problem.labels)[: given.folds]
        place, names = given.output / title, (NONE, *given.tried)
        found = {name: kept(partial(fitted_with, name, problem), folds, place / name) for name in names}
        said = {name: [part["held_out"] for part in parts] for name, parts in found.items()}
        if set(CANDIDATES) <= set(names):
            choices = [chosen(problem, fold, number, found).chosen or NONE for number, fold in enumerate(folds)]
            said[AUTO] = [found[choice][number]["held_out"] for number, choice in enumerate(choices)]
            print(f"{title}: auto takes {', '.join(choices)}", file=sys.stderr)
        outcome = Outcome(problem, folds, said)
        lines = [f"| {name} | {gain_of(outcome, name, NONE)} |" for name in said]
        print(f"\n{title}, {outcome.measure.label}", "| augmentation | score, gain |", "|---|---|", *lines, sep="\n")


if __name__ == "__main__":
    main()
