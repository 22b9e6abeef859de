"""Losses beside references, and what a head's outputs can never be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import log_loss, mean_pinball_loss, mean_poisson_deviance
from torch.nn import functional as F

from aam.errors import InputError
from aam.models.sequence_predictor import SharedSteps
from aam.study.losses import bounded, cumulative, in_order, of_ordered, ordinal, pinball
from aam.study.targets import ClassTarget, RegressionTarget

TRUTH = np.array([0.0, 3.0, 7.0, 12.0, 40.0])
RAW = st.lists(st.floats(-200, 200), min_size=5, max_size=5)


@given(raw=RAW, middle=st.integers(0, 4))
def test_outputs_in_order_never_cross(raw, middle):
    values = torch.tensor(raw, dtype=torch.float64)
    found = in_order(values, middle)
    assert (found.diff() >= 0).all()
    assert found[middle] == values[middle]


@given(
    raw=RAW,
    ends=st.sampled_from([(0.0, None), (None, 45.0), (0.0, 45.0), (-0.5, None)]),
    transform=st.sampled_from(["none", "zscore", "minmax", "log-zscore"]),
    loss=st.sampled_from(["quantile", "mae"]),
)
@settings(max_examples=200, deadline=None)
def test_nothing_that_a_head_says_leaves_the_range(raw, ends, transform, loss):
    low, high = ends
    target = RegressionTarget(transform, loss_type=loss, quantiles=(0.05, 0.1, 0.5, 0.7, 0.9), low=low, high=high).fit(TRUTH)
    outputs = np.array([raw[: target.head_outputs]])
    said = [target.decode_outputs(outputs), target.decode_quantiles(outputs) if target.learns_quantiles else 0.0]
    said += list(target.interval_table(np.array([0.2, 44.0]), 30.0).values())
    for part in said:
        assert (np.asarray(part) >= (-np.inf if low is None else low)).all()
        assert (np.asarray(part) <= (np.inf if high is None else high)).all()
    assert (np.diff(np.atleast_2d(said[1]), axis=1) >= 0).all()


def test_a_range_bends_numbers_only_near_its_ends():
    middle = torch.tensor([0.0], dtype=torch.float64)
    assert bounded(middle, -10.0, None).item() == pytest.approx(0.0, abs=1e-3)
    assert bounded(middle, None, 10.0).item() == pytest.approx(0.0, abs=1e-3)
    assert bounded(middle, -10.0, 10.0).item() == 0.0
    assert bounded(middle, None, None) is middle


def test_the_pinball_loss_is_scikit_learns():
    rng = np.random.default_rng(0)
    true, said, levels = rng.normal(size=50), rng.normal(size=(50, 3)), (0.1, 0.5, 0.8)
    expected = np.mean([2 * mean_pinball_loss(true, said[:, q], alpha=level) for q, level in enumerate(levels)])
    assert pinball(torch.tensor(said), torch.tensor(true), levels).mean().item() == pytest.approx(expected)


@pytest.mark.parametrize(("level", "expected"), [(0.5, 0.5), (0.9, 0.9), (0.2, 0.2)])
def test_the_asymmetric_loss_finds_its_quantile(level, expected):
    true = torch.linspace(0, 1, 1001)
    target = RegressionTarget("none", loss_type="asymmetric", asymmetry=level)
    losses = [target.loss(torch.full((1001, 1), float(at)), true).item() for at in np.linspace(0, 1, 101)]
    assert np.argmin(losses) / 100 == pytest.approx(expected, abs=0.011)


def test_the_poisson_loss_is_the_deviance_up_to_a_constant():
    target = RegressionTarget("none", loss_type="poisson").fit(TRUTH)
    true = torch.tensor(target.learned(TRUTH))
    raw = [torch.tensor(np.random.default_rng(seed).normal(size=(5, 1)), dtype=torch.float32) for seed in range(2)]
    rates = [target.decode_outputs(part.numpy()) for part in raw]
    assert (np.concatenate(rates) > 0).all()
    # A log rate of 0 is the mean of the training samples.
    assert target.decode_outputs(np.zeros((1, 1))).item() == pytest.approx(TRUTH.mean())
    difference = (target.loss(raw[0], true) - target.loss(raw[1], true)).item() * TRUTH.mean()
    deviances = [mean_poisson_deviance(TRUTH, part) * 5 / 2 for part in rates]
    assert difference == pytest.approx(deviances[0] - deviances[1], rel=1e-4)


@given(raw=RAW)
def test_probabilities_of_ordered_classes_are_differences_of_sigmoids(raw):
    logs = of_ordered(torch.tensor([raw], dtype=torch.float64))[0]
    probabilities = logs.exp().numpy()
    assert probabilities.sum() == pytest.approx(1)
    at_most = expit(cumulative(torch.tensor([raw], dtype=torch.float64))[0].numpy())
    assert (np.diff(at_most) >= 0).all()
    np.testing.assert_allclose(probabilities, np.diff(at_most, prepend=0, append=1), atol=1e-9)
    assert not logs.isnan().any()


def test_the_ordinal_loss_is_the_log_losses_of_the_steps():
    rng = np.random.default_rng(0)
    true, raw = rng.integers(0, 4, 60), torch.tensor(rng.normal(size=(60, 3)))
    at_most = expit(cumulative(raw).numpy())
    expected = sum(log_loss(true <= k, at_most[:, k]) for k in range(3))
    assert ordinal(raw, torch.tensor(true)).mean().item() == pytest.approx(expected)


def test_of_ordered_classes_the_ordinal_loss_errs_by_fewer_steps_than_cross_entropy():
    """A linear head on a few samples of six classes along one direction of ten: mean distance of the class on new samples."""

    def steps_off(target, seed):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(1060, 10))
        classes = np.digitize(x[:, 0] + 0.6 * rng.normal(size=1060), [-1.2, -0.5, 0.0, 0.5, 1.2])
        linear = torch.nn.Linear(10, target.head_outputs - target.head_steps)
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
        head = torch.nn.Sequential(linear, SharedSteps(target.head_steps))
        optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
        inputs, true = torch.tensor(x, dtype=torch.float32), torch.tensor(classes)
        for _ in range(150):
            optimiser.zero_grad()
            (target.loss(head(inputs[:60]), true[:60]) / 60).backward()
            optimiser.step()
        said = target.decode_outputs(head(inputs[60:]).detach().numpy())
        return np.abs(said.argmax(axis=1) - classes[60:]).mean()

    names = tuple("012345")
    plain = ClassTarget(names, (1.0,) * 6, weighting="none")
    found = np.mean([[steps_off(target, seed) for target in (plain.ordered(), plain)] for seed in range(4)], axis=0)
    assert found[0] < 0.9 * found[1]


def test_weights_by_hand_multiply_the_loss_of_a_class():
    labels = np.array(["a", "b", "b", "b"], dtype=object)
    plain = ClassTarget.of(labels)
    truth = plain.index(labels)
    given = plain.weighted({"a": 3.0}).fit(truth)
    np.testing.assert_allclose(given.weights, np.array([3.0, 1.0]) / 1.5)
    assert given.weights_for_sklearn(truth) == pytest.approx({0: 2.0, 1: 2 / 3})
    assert (plain.weights_for_sklearn(truth), ClassTarget(("a", "b"), weighting="none").weights_for_sklearn(truth)) == (
        "balanced",
        None,
    )
    raw, true = torch.randn(4, 2), torch.tensor(truth)
    expected = F.cross_entropy(raw, true, weight=torch.tensor(given.weights, dtype=torch.float32), reduction="sum")
    assert given.loss(raw, true).item() == pytest.approx(expected.item())
    assert given.commonest == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RegressionTarget(low=0.0).fit(np.array([-1.0, 2.0])), r"target value -1 is outside of `output_range=0,`"),
        (lambda: RegressionTarget(high=5.0).fit(TRUTH), r"target value 7 is outside of `output_range=,5`"),
        (lambda: RegressionTarget("none", loss_type="poisson").fit(np.array([0.5, 2.0])), r"target value 0\.5 is no count"),
        (lambda: RegressionTarget("none", loss_type="poisson").fit(np.array([-1.0, 2.0])), "target value -1 is no count"),
        (lambda: RegressionTarget(loss_type="poisson"), "`loss_type=poisson` with `target_transform=zscore`"),
        (lambda: RegressionTarget(quantiles=(0.1, 0.9)), r"`quantiles=0\.1,0\.9`: must be with the median"),
        (lambda: ClassTarget(("a", "b")).weighted({"c": 1.0}), "`class_weights`: class c is not there; classes: a, b"),
        (lambda: ClassTarget(("a", "b")).ordered(), "classes a, b are no numbers"),
        (lambda: ClassTarget(("a", "b")).ordered(["b"]), "`class_order` lacks class a"),
        (lambda: ClassTarget(("a", "b")).ordered(["b", "a", "c"]), "`class_order`: class c is not there"),
        (lambda: ClassTarget(("a", "b")).ordered(["b", "a", "b"]), "names a class twice"),
    ],
)
def test_what_cannot_be_is_one_line(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_ordered_classes_are_in_the_order_of_numbers_or_the_one_given():
    assert ClassTarget(("10", "2", "9")).ordered().classes == ("2", "9", "10")
    assert ClassTarget(("mild", "none", "severe")).ordered(["none", "mild", "severe"]).classes == ("none", "mild", "severe")
