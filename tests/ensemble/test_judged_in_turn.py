"""An ensemble judged without being fitted: what its members say is what cross-fitting says, part by part."""

import numpy as np
import pytest

from aam.ensemble.ensemble import fit_members, judge_members
from aam.errors import InputError
from aam.learners.ensemble import EnsembleLearner, cross_fitted
from aam.options import AugmentOptions
from tests.support.studies import QUICK, problem_in, simulated_study


@pytest.fixture(scope="module")
def problem():
    return problem_in(simulated_study()).fitted_to(np.arange(40))


@pytest.mark.parametrize("augment", [(), (("rarefy", 0.5),)], ids=["plain", "augmented"])
def test_both_turns_together_are_a_cross_fitting(problem, augment):
    rows = np.arange(40)
    fitted = fit_members(problem, rows, QUICK, 0, 1, augment=augment)
    (first, some), (second, all_of_them) = judge_members(problem, rows, QUICK, 0, 1, augment=augment)
    assert 0.3 < len(first) / len(second) < 0.5
    assert second.tolist() == rows.tolist()
    for name, said in fitted.judged.said.items():
        # Networks of some parts are trained side by side with others, which changes last bits.
        np.testing.assert_allclose(all_of_them.said[name], said, rtol=0, atol=1e-4 if name == "network" else 0)
        np.testing.assert_allclose(some.said[name], said[first], rtol=0, atol=1e-4 if name == "network" else 0)


def test_what_is_said_last_is_what_a_fit_says_in_cross_fitting(problem):
    rows, learner = np.arange(40), EnsembleLearner(QUICK, jobs=1)
    *_, (places, said) = learner.judge(problem, rows)
    np.testing.assert_allclose(said, cross_fitted(learner.fit(problem, rows)), atol=1e-3)
    assert places.tolist() == rows.tolist()


def test_an_augmentation_that_is_still_to_be_chosen_is_refused(problem):
    learner = EnsembleLearner(QUICK, augment=AugmentOptions(augment="auto"))
    with pytest.raises(InputError, match=r"`augment=auto` is chosen by a fit"):
        next(learner.judge(problem, np.arange(40)))
