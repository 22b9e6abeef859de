"""Predictions on the scale that they are compared on."""

import numpy as np
import pytest

from aam.explain.scale import log_odds, of_predictions, output_names, unit_of
from aam.study.targets import ClassTarget, RegressionTarget


def test_numbers_stay_as_they_are():
    np.testing.assert_array_equal(of_predictions(np.array([3.0, -1.0])), [[3.0], [-1.0]])
    assert output_names("age", RegressionTarget()) == ("age",)
    assert unit_of("age", RegressionTarget()) == "units of age"


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_classes_are_log_odds(classes):
    probabilities = np.random.default_rng(0).dirichlet(np.ones(classes), 7)
    expected = np.log(probabilities / (1 - probabilities))
    expected = expected[:, 1:] if classes == 2 else expected
    np.testing.assert_allclose(of_predictions(probabilities), expected)
    np.testing.assert_allclose(log_odds(np.log(probabilities) + 3.0), expected)
    target = ClassTarget(tuple("abcde")[:classes])
    named = output_names("x", target)
    assert named == (("log-odds of b",) if classes == 2 else tuple(f"log-odds of {name}" for name in "abcde"[:classes]))
    assert unit_of("x", target) == "log-odds"


def test_what_is_never_said_is_a_number():
    assert np.isfinite(of_predictions(np.eye(3))).all()
    assert np.isfinite(of_predictions(np.eye(2))).all()
    sure = of_predictions(np.array([[1e-20, 1.0, 1e-25]]))[0]
    np.testing.assert_allclose(sure[1], 20 * np.log(10), rtol=1e-4)
