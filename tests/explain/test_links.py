"""From what models say to the unit of explanations."""

import numpy as np
import pytest
import torch

from aam.ensemble.calibration import Calibration, Stretch
from aam.ensemble.weights import Combination
from aam.errors import InputError
from aam.explain.links import Outputs, log_odds, of_mean, of_probabilities, require_known, through
from aam.study.targets import ClassTarget, RegressionTarget


def test_log_odds_by_definition():
    logits = torch.randn(6, 3, dtype=torch.float64)
    p = logits.softmax(dim=1)
    torch.testing.assert_close(log_odds(logits), (p / (1 - p)).log())
    p = logits[:, :2].softmax(dim=1)
    torch.testing.assert_close(log_odds(logits[:, :2]), (p[:, 1:] / p[:, :1]).log())


@pytest.mark.parametrize("classes", [2, 3])
def test_the_mean_of_members_is_the_prediction_of_the_ensemble(classes):
    rng = np.random.default_rng(0)
    said = {name: rng.dirichlet(np.full(classes, 0.2), 20) for name in ("network", "presence")}
    overall = Calibration(1.4, tuple(np.linspace(-0.3, 0.3, classes)))
    predicted = Combination({"network": 0.3, "presence": 0.7}, overall).of(said)
    mean = 0.3 * of_probabilities(torch.from_numpy(said["network"])) + 0.7 * of_probabilities(torch.from_numpy(said["presence"]))
    found = of_mean(ClassTarget(("a", "b", "c")[:classes]), overall)(mean).numpy()
    np.testing.assert_allclose(found, np.log(predicted / (1 - predicted))[:, -found.shape[1] :], atol=1e-6)


def test_a_number_is_stretched_and_decoded():
    target, stretch, mean = RegressionTarget("log-zscore", 1.0, 2.0), Stretch(0.3, 0.8), np.array([[0.1], [0.9]])
    found = of_mean(target, stretch)(torch.from_numpy(mean)).numpy()
    np.testing.assert_allclose(found, target.decode(stretch.apply(mean)))


@pytest.mark.parametrize("overall", [None, Calibration(1.4, (0.1, 0.2, -0.3))])
def test_terms_add_up_behind_a_link(overall):
    rng = np.random.default_rng(1)
    sample = np.repeat(np.arange(4), 5)
    terms = rng.normal(size=(20, 3)) * 3
    start = rng.normal(size=(4, 3))
    end = start + np.stack([terms[sample == number].sum(axis=0) for number in range(4)])
    link = of_mean(ClassTarget(("a", "b", "c")), overall)
    found = through(link, start, end, terms, sample)
    wanted = (link(torch.from_numpy(end)) - link(torch.from_numpy(start))).numpy()
    np.testing.assert_allclose([found[sample == number].sum(axis=0) for number in range(4)], wanted, atol=1e-9)


def test_a_linear_link_is_applied_to_each_term():
    terms, sample = np.random.default_rng(2).normal(size=(6, 2)), np.zeros(6, dtype=np.int64)
    found = through(log_odds, np.zeros((1, 2)), terms.sum(axis=0, keepdims=True), terms, sample)
    np.testing.assert_allclose(found, terms[:, 1:] - terms[:, :1], atol=1e-12)


def test_outputs_are_named():
    assert Outputs.of(ClassTarget(("healthy", "ill")), "state").names == ("log-odds of ill",)
    assert Outputs.of(ClassTarget(("a", "b", "c")), "state").names == ("log-odds of a", "log-odds of b", "log-odds of c")
    assert Outputs.of(RegressionTarget(), "age") == Outputs(RegressionTarget(), ("age",), "units of age")


def test_calibrated_members_have_no_gradients():
    with pytest.raises(InputError, match=r"0\.1\.0"):
        require_known({"network": Calibration(1.0, (0.0, 0.0))})
