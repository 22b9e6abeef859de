"""Scores beside scikit-learn's, and intervals that know what they should."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from aam.evaluation.compare import Outcome, mean_score, summarise
from aam.evaluation.coverage import covered
from aam.scoring.intervals import threshold
from aam.study.folds import leave_one_group_out, make_folds
from tests.support.problems import problem_of

pytestmark = pytest.mark.filterwarnings("ignore:Only one class")


def outcome_with(errors, groups, repeats=2):
    n = len(groups)
    truth = np.random.default_rng(0).normal(50, 10, n)
    folds = make_folds(n, 4, repeats, 0, groups=groups)
    said = {model: [truth[fold.test] + error[fold.test] for fold in folds] for model, error in errors.items()}
    return Outcome(problem_of(truth, groups=groups), folds, said)


def test_a_better_model_gains_and_the_same_one_does_not():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 3)
    noise = rng.normal(0, 4, 120)
    outcome = outcome_with({"median": 3 * noise, "forest": noise, "half": noise / 2, "same": noise}, groups)
    by_name = {summary.model: summary for summary in summarise(outcome, ["median", "forest"])}
    half, same, forest = by_name["half"], by_name["same"], by_name["forest"]
    assert (half.gain, half.gain_low, half.gain_high) == pytest.approx((0.5, 0.5, 0.5))
    assert (same.gain, same.gain_low, same.gain_high) == pytest.approx((0, 0, 0), abs=1e-12)
    assert forest.gain == pytest.approx(2 / 3)  # beside the second best of the simple ones
    assert half.low < half.scores["mae"] < half.high
    assert half.scores["mae"] == pytest.approx(mean_score(outcome, "half"))
    assert half.deviations["mae"] >= 0


def test_the_interval_grows_when_samples_of_a_group_err_together():
    rng = np.random.default_rng(2)
    one_each, together = np.arange(120), np.repeat(np.arange(12), 10)
    shared = np.repeat(rng.normal(0, 4, 12), 10)
    errors = {"median": np.full(120, 9.0), "model": shared}
    widths = []
    for groups in (one_each, together):
        summary = summarise(outcome_with(errors, groups, repeats=1), ["median"])[1]
        widths.append(summary.high - summary.low)
    assert 2.2 * widths[0] < widths[1] < 4.5 * widths[0]  # the square root of 10, but for 12 groups


@pytest.mark.parametrize("per_group", [1, 5])
def test_intervals_cover_new_groups_as_often_as_they_say(per_group):
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(600), per_group)
    errors = rng.normal(0, 1, len(groups)) * np.repeat(rng.gamma(4, 1, 600), per_group)
    outcome = outcome_with({"model": errors}, groups)
    for coverage in (0.5, 0.9):
        share, width = covered(outcome, "model", coverage)
        assert abs(share - coverage) < 0.03
        assert width > 0


def test_coverage_is_that_of_a_sample_of_a_new_group():
    # A few large groups are predicted worse: by samples they would count for half.
    sizes = np.r_[np.full(360, 1), np.full(40, 9)]
    groups = np.repeat(np.arange(400), sizes)
    errors = np.random.default_rng(5).normal(0, 1, len(groups)) * np.repeat(np.where(sizes == 9, 8, 1), sizes)
    share, _ = covered(outcome_with({"model": errors}, groups, repeats=1), "model")
    assert abs(share - 0.9) < 0.03


@pytest.mark.parametrize("folds", ["five", "one group each"])
def test_the_interval_of_a_gain_holds_the_truth_about_as_often_as_it_says(folds):
    """Two models whose errors are equal on average; the errors of a group go together."""
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(30), 4)
        truth = rng.normal(0, 1, 120)
        said = {name: truth + np.repeat(rng.gamma(2, 1, 30), 4) * rng.choice([-1, 1], 120) for name in ("median", "model")}
        parts = make_folds(120, 5, 1, seed, groups=groups) if folds == "five" else leave_one_group_out(groups)
        by_fold = {name: [values[fold.test] for fold in parts] for name, values in said.items()}
        summary = summarise(Outcome(problem_of(truth, groups=groups), parts, by_fold), ["median"])[1]
        held += summary.gain_low <= 0 <= summary.gain_high
    assert 52 <= held <= 60


def test_few_groups_leave_the_interval_unknown():
    groups = np.repeat(np.arange(4), 5)
    summary = summarise(outcome_with({"median": np.full(20, 3.0), "model": np.full(20, 1.0)}, groups, repeats=1), ["median"])[1]
    assert summary.gain == pytest.approx(2 / 3)
    assert np.isnan([summary.low, summary.high, summary.gain_low, summary.gain_high]).all()


def test_folds_that_lack_a_class_are_scored_together():
    truth, groups = np.repeat([0, 1], 20), np.repeat(np.arange(8), 5)
    folds = leave_one_group_out(groups)
    shares = np.random.default_rng(0).random(40)
    said = {"model": [np.stack([1 - shares[fold.test], shares[fold.test]], axis=1) for fold in folds]}
    outcome = Outcome(problem_of(truth, classes=2, groups=groups), folds, said)
    assert mean_score(outcome, "model") == pytest.approx(roc_auc_score(truth, shares))
    summary = summarise(outcome, ["model"])[0]
    assert summary.low < summary.scores["auc"] < summary.high


def test_classes_are_covered_too_and_surer_models_have_smaller_sets():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 900)
    folds = make_folds(900, 5, 1, 0, labels=truth)
    sizes = []
    for signal in (0.5, 4.0):
        logits = rng.normal(0, 1, (900, 3))
        logits[np.arange(900), truth] += signal
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        said = {"model": [shares[fold.test] for fold in folds]}
        share, size = covered(Outcome(problem_of(truth, classes=3), folds, said), "model")
        # A set always has the likeliest class: a model that is right more often than 9 times in 10 covers more.
        assert 0.87 < share < (0.93 if signal < 1 else 1.0)
        sizes.append(size)
    assert sizes[1] < sizes[0] <= 3


def test_with_too_few_groups_nothing_is_promised():
    assert threshold(np.arange(5.0), np.arange(5), 0.9) == np.inf
    assert threshold(np.arange(9.0), np.arange(9), 0.9) == 8.0
    # A group counts once, however many samples it has.
    assert threshold(np.r_[np.zeros(90), np.arange(1.0, 9.0)], np.r_[np.zeros(90), np.arange(1, 9)], 0.9) == 8.0
