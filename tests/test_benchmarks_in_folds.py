"""Benchmarks that compare learners in folds keep what they fitted, and score it."""

import re
from functools import partial

import numpy as np
import pytest

from aam.evaluation.compare import Outcome
from aam.learners.ensemble import EnsembleLearner
from aam.options import CANDIDATES, AugmentOptions
from aam.study.folds import make_folds
from benchmarks import augmentations
from benchmarks.in_folds import gain_of, kept
from tests.support.studies import QUICK, problem_in, simulated_study


def test_augmentations_are_compared_with_none_on_the_same_folds(tmp_path, monkeypatch):
    problem = problem_in(simulated_study())
    folds = make_folds(len(problem), 2, 1, 0, groups=problem.groups)
    monkeypatch.setattr(augmentations, "EnsembleLearner", partial(EnsembleLearner, QUICK, jobs=1))
    names = ("none", *CANDIDATES)
    found = {name: kept(partial(augmentations.fitted_with, name, problem), folds, tmp_path / name) for name in names}
    said = {name: [part["held_out"] for part in parts] for name, parts in found.items()}
    rows = [gain_of(Outcome(problem, folds, said), name, "none") for name in said]
    assert float(rows[0]) > 0 and all(re.fullmatch(r"[\d.]+, [+-].* \(.* to .*\)", row) for row in rows[1:])
    # What `auto` chooses is what the learner itself would.
    learner = EnsembleLearner(QUICK, jobs=1, augment=AugmentOptions(augment="auto"))
    choice = augmentations.chosen(problem, folds[0], 0, found)
    assert choice == learner.fit(problem, folds[0].train).augmentation
    # Nothing is fitted twice.
    again = kept(lambda fold: pytest.fail("fitted again"), folds, tmp_path / "mixup")
    np.testing.assert_array_equal(np.concatenate([part["held_out"] for part in again]), np.concatenate(said["mixup"]))
