"""How much members count, and what makes their probabilities true."""

import numpy as np
import pytest

from aam.ensemble.weights import Calibration, choose_weights, loss


def test_members_that_beat_the_trivial_prediction_count_alike():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    good, fair, bad = (truth + size * rng.normal(size=200) for size in (0.1, 0.8, 3.0))
    median = np.full(200, np.median(truth))
    assert choose_weights(truth, {"good": good, "fair": fair, "bad": bad}, median) == {"good": 0.5, "fair": 0.5, "bad": 0.0}
    assert choose_weights(truth, {"bad": bad}, median) == {"bad": 1.0}
    labels = np.array([0] * 90 + [1] * 10)
    shares = np.tile([0.9, 0.1], (100, 1))
    says = np.where(labels == 1, 0.4, 0.05)
    # The commonest class is no knowledge.
    knows = np.stack([1 - says, says], axis=1)
    assert choose_weights(labels, {"shares": shares, "knows": knows}, shares) == {"shares": 0.0, "knows": 1.0}


def test_probabilities_are_made_true_of_rare_classes_too():
    rng = np.random.default_rng(0)
    assert loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]])) == pytest.approx(np.log(2))
    evidence = rng.normal(size=6000) * 2
    honest = 1 / (1 + np.exp(-(evidence - 2.5)))
    labels = (rng.random(6000) < honest).astype(int)
    # Sure, and as if both classes were as common: what members with weighted classes say.
    boastful = 1 / (1 + np.exp(-2 * evidence))
    calibrated = Calibration.fit(labels, np.stack([1 - boastful, boastful], axis=1))
    said = calibrated.apply(np.stack([1 - boastful, boastful], axis=1))
    np.testing.assert_allclose(said[:, 1].mean(), labels.mean(), atol=0.01)
    np.testing.assert_allclose(said[:, 1], honest, atol=0.06)
    assert calibrated.power == pytest.approx(1 / 2, rel=0.15)
