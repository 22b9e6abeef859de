"""What members say in each fold is kept, and weighed again without a fit."""

import json

import numpy as np
import pytest

from aam.ensemble.members import MEMBERS, WITHOUT_TREES
from aam.evaluation.contestants import ENSEMBLE, ensembles
from aam.evaluation.contestants import WITHOUT_TREES as NO_TREES
from aam.evaluation.kept import KeptFolds
from aam.evaluation.members import MemberInEvaluation, members_table
from aam.evaluation.run import members_of, run_folds
from aam.learners import ensemble as learning
from aam.scoring.measures import MAE
from aam.study.folds import make_folds
from tests.support.studies import QUICK, problem_in, simulated_study


@pytest.fixture(scope="module")
def study():
    return simulated_study()


@pytest.mark.parametrize("classes", [False, True])
def test_members_are_fitted_once_and_weighed_again_from_what_is_kept(study, tmp_path, monkeypatch, classes):
    problem = problem_in(study, classes=classes)
    folds = make_folds(len(problem), 2, 1, 0, groups=problem.groups, labels=problem.labels)
    kept = KeptFolds(tmp_path / "folds", "key")
    outcome, failed = run_folds(problem, ensembles(QUICK, 0, 1), folds, kept)
    assert not failed

    # From here on nothing is fitted.
    monkeypatch.setattr(learning, "fit_members", None)
    for path in kept.folder.glob("*ensemble*.npy"):
        path.unlink()
    contestants = ensembles(QUICK, 0, 1)
    again, _ = run_folds(problem, contestants, folds, kept)
    for name in (NO_TREES, ENSEMBLE):
        for first, second in zip(outcome.predictions[name], again.predictions[name], strict=True):
            np.testing.assert_array_equal(first, second)
    members = members_of(problem, contestants, outcome, ENSEMBLE, kept)
    assert {member.name for member in members} == set(MEMBERS)
    assert {member.name for member in members_of(problem, contestants, outcome, NO_TREES, kept)} == set(WITHOUT_TREES)
    assert sum(member.weight for member in members) == pytest.approx(1)
    assert [member.weight for member in members] == sorted((member.weight for member in members), reverse=True)
    assert members_of(problem, {"median": None}, outcome, "median", kept) == []
    assert json.dumps([member.weights for member in members])


def test_what_is_predicted_is_what_a_fitted_ensemble_predicts(study, tmp_path):
    problem = problem_in(study)
    folds = make_folds(len(problem), 2, 1, 0, groups=problem.groups)
    outcome, _ = run_folds(problem, ensembles(QUICK, 0, 1), folds, KeptFolds(tmp_path / "folds", "key"))
    for fold, said in zip(folds, outcome.predictions[ENSEMBLE], strict=True):
        fitted = ensembles(QUICK, 0, 1)[ENSEMBLE].fit(problem, fold.train)
        np.testing.assert_allclose(fitted.predict(study, fold.test), said, rtol=1e-9)


def test_the_report_says_which_members_count_and_why():
    near = [MemberInEvaluation(name, (weight,), (behind,), 2.0) for name, weight, behind in
            (("extra", 0.6, 0.0), ("forest", 0.4, 0.5))]  # fmt: skip
    assert "Most weight: extra trees (60 %); no member has less than half of that" in members_table(near, MAE).replace(
        "&nbsp;", " "
    )
    far = [near[0], MemberInEvaluation("wide", (0.05, 0.15), (4.0, 3.0), 3.0)]
    text = members_table(far, MAE).replace("&nbsp;", " ")
    assert "less than half of that: kernel model of presence, abundance and sequences (10 %, 3.5 standard errors behind)" in text
    assert "5 to 15" in text
    assert "Members that some folds lack" in text
    assert "Members that some folds lack" not in members_table(near, MAE)
