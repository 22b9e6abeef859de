"""How much members count, and what makes their predictions true."""

import tracemalloc

import numpy as np
import pytest

from aam.ensemble.calibration import Calibration, Stretch
from aam.ensemble.weights import Combination, choose_weights
from aam.options import MEMBER_LABELS
from aam.scoring.measures import AUC, MAE

N, GROUPS = 400, 40
UNITS = np.arange(N) % GROUPS


def noisy(truth, size, seed):
    return truth + size * np.random.default_rng(seed).normal(size=len(truth))


def test_members_that_groups_cannot_tell_apart_count_alike_and_one_that_is_clearly_behind_does_not():
    truth = np.random.default_rng(0).normal(size=N)
    judged = {"network": noisy(truth, 0.5, 1), "forest": noisy(truth, 0.5, 2), "wide": noisy(truth, 0.9, 3)}
    judged["extra"] = np.random.default_rng(4).normal(size=N)
    found = choose_weights(truth, judged, np.full(N, np.median(truth)), UNITS, MAE)
    assert sum(found.weights.values()) == pytest.approx(1)
    assert min(found.weights["network"], found.weights["forest"]) > 0.4
    assert found.weights["wide"] < 0.02
    assert found.weights["extra"] == 0
    assert found.useless == ("extra",)
    assert found.behind[found.best] == 0
    sentence = found.sentence(MEMBER_LABELS, MAE)
    assert "no better than the trivial prediction: extra trees" in sentence
    assert f"best by itself in cross-fitting: {MEMBER_LABELS[found.best]} (MAE {found.scores[found.best]:.3g})" in sentence


def test_evidence_counts_by_groups_and_not_by_samples():
    """Of forty samples in each of ten groups that one member does well and another does not, ten say less than four hundred."""
    rng = np.random.default_rng(0)
    truth, groups = np.zeros(N), np.arange(N) // 40
    judged = {"network": 1 + 0.2 * rng.normal(size=10)[groups], "forest": 1.2 + 0.2 * rng.normal(size=10)[groups]}
    trivial = np.full(N, 5.0)
    by_group = choose_weights(truth, judged, trivial, groups, MAE)
    by_sample = choose_weights(truth, judged, trivial, np.arange(N), MAE)
    assert by_sample.weights["forest"] < 0.5 * by_group.weights["forest"]
    assert by_sample.behind["forest"] > 4 * by_group.behind["forest"] > 0


def test_draws_of_many_samples_are_made_some_at_a_time_and_are_those_made_at_once():
    n, rng = 9000, np.random.default_rng(0)
    truth, groups = rng.normal(size=n), np.arange(n) // 3
    judged = {"network": noisy(truth, 0.5, 1), "forest": noisy(truth, 0.52, 2)}
    tracemalloc.start()
    found = choose_weights(truth, judged, np.zeros(n), groups, MAE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    drawn = np.random.default_rng(0).exponential(size=(400, 3000))[:, groups]
    assert peak < drawn.nbytes / 3
    network, forest = (drawn @ np.abs(truth - said) / drawn.sum(axis=1) for said in judged.values())
    assert found.behind["forest"] == pytest.approx((forest - network).mean() / (forest - network).std())


def test_where_no_member_is_better_than_the_trivial_prediction_all_count():
    truth = np.random.default_rng(0).normal(size=N)
    judged = {"network": noisy(np.zeros(N), 2.0, 1), "forest": noisy(np.zeros(N), 2.0, 2)}
    found = choose_weights(truth, judged, np.full(N, np.median(truth)), UNITS, MAE)
    assert min(found.weights.values()) > 0.2
    assert found.useless == ()


def test_classes_are_weighed_by_how_well_members_rank_samples():
    labels = (np.arange(N) % 10 == 0).astype(np.int64)
    says = np.where(labels == 1, 0.4, 0.05)
    shares = np.tile([0.9, 0.1], (N, 1))
    found = choose_weights(labels, {"forest": shares, "wide": np.stack([1 - says, says], axis=1)}, shares, UNITS, AUC)
    assert found.weights == {"forest": 0.0, "wide": 1.0}
    assert found.scores["wide"] == 1.0


def test_a_combination_is_the_mean_of_numbers_or_of_log_probabilities():
    numbers = {"network": np.array([1.0, 2.0]), "forest": np.array([3.0, 6.0]), "wide": np.array([9.0, 9.0])}
    weights = {"network": 0.75, "forest": 0.25, "wide": 0.0}
    np.testing.assert_allclose(Combination(weights).of(numbers), [1.5, 3.0])
    np.testing.assert_allclose(Combination(weights, Stretch(1.0, 2.0)).of(numbers), [2.0, 5.0])
    sure, unsure = np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])
    said = Combination({"network": 0.5, "forest": 0.5}).of({"network": sure, "forest": unsure})
    # Half of the log odds of 9.
    np.testing.assert_allclose(said, [[0.75, 0.25]])
    of_0_1 = Combination({"network": 0.5, "forest": 0.5}, None, {"network": Calibration(1.0, (0.0, 0.0))})
    np.testing.assert_allclose(of_0_1.of({"network": sure, "forest": unsure}), [[0.7, 0.3]])


def test_the_middle_of_the_weight_is_a_mean_between_all_and_the_weighted_median():
    rng = np.random.default_rng(0)
    said = {name: rng.normal(size=40) for name in ("network", "forest", "wide", "extra")}
    weights = {"network": 0.1, "forest": 0.4, "wide": 0.3, "extra": 0.2}
    # By reference: each member as often as its weight says, sorted, without the outer thirds.
    repeated = np.sort(np.concatenate([np.repeat(said[name][None], round(30 * weights[name]), axis=0) for name in said]), axis=0)
    np.testing.assert_allclose(Combination(weights, middle=1 / 3).of(said), repeated[10:20].mean(axis=0))
    np.testing.assert_allclose(Combination(weights, middle=1.0).of(said), repeated.mean(axis=0))
    more_than_half = {"network": 0.7, "forest": 0.3}
    np.testing.assert_allclose(Combination(more_than_half, middle=1 / 3).of(said), said["network"])


def test_weights_are_sharp_and_the_middle_counts_only_where_groups_say_so():
    rng = np.random.default_rng(0)
    steps = rng.choice([0.0, 1.0, 3.0, 12.0], N)
    # One says the step but for a fifth of the samples; others are off by something everywhere, in the same direction.
    tells = np.where(rng.random(N) < 0.8, steps, rng.choice([0.0, 1.0, 3.0, 12.0], N))
    off = {name: steps + 0.8 + rng.normal(size=N) for name in ("network", "wide", "boosting")}
    weighing = choose_weights(steps, {"forest": tells, **off}, np.full(N, 1.0), UNITS, MAE)
    combination, chosen = Combination.choose(steps, {"forest": tells, **off}, weighing, UNITS)
    assert combination.middle == chosen.middle < 1
    even = Combination.fit(steps, {"forest": tells, **off}, weighing.weights)
    assert (
        np.abs(combination.of({"forest": tells, **off}) - steps).mean()
        < 0.9 * np.abs(even.of({"forest": tells, **off}) - steps).mean()
    )
    # Of like members with errors of their own the mean is best.
    number = rng.normal(size=N)
    alike = {name: number + rng.normal(size=N) for name in ("network", "forest", "wide", "boosting")}
    weighing = choose_weights(number, alike, np.zeros(N), UNITS, MAE)
    combination, chosen = Combination.choose(number, alike, weighing, UNITS)
    assert combination.middle == 1
    assert chosen == weighing


def test_of_classes_that_nothing_tells_apart_the_shares_are_said():
    rng = np.random.default_rng(0)
    labels = (rng.random(N) < 0.25).astype(np.int64)

    def chosen(signal):
        score = 1 / (1 + np.exp(-(signal * (labels - 0.5) + rng.normal(size=N))))
        judged = {name: np.stack([1 - score, score], axis=1) for name in ("forest", "network")}
        weighing = choose_weights(labels, judged, np.tile([0.75, 0.25], (N, 1)), UNITS, AUC)
        return Combination.choose(labels, judged, weighing, UNITS)[0].of(judged)

    np.testing.assert_allclose(chosen(0.0), np.tile([1 - labels.mean(), labels.mean()], (N, 1)))
    assert chosen(0.5)[labels == 1, 1].mean() > chosen(0.5)[labels == 0, 1].mean() + 0.01


def test_sets_of_classes_that_nothing_tells_apart_hold_the_rare_one_as_often_as_is_promised():
    rng = np.random.default_rng(1)
    labels = (rng.random(N) < 0.15).astype(np.int64)
    noise = rng.random((2, N))
    judged = {name: np.stack([1 - said, said], axis=1) for name, said in zip(("forest", "network"), noise, strict=True)}
    weighing = choose_weights(labels, judged, np.tile([0.85, 0.15], (N, 1)), np.arange(N), AUC)
    combination, chosen = Combination.choose(labels, judged, weighing, np.arange(N))
    assert combination.says_shares
    assert not chosen.told
    assert chosen.sentence(MEMBER_LABELS, AUC).startswith("nothing told the classes apart")
    said = combination.cross_fitted(labels, judged, np.arange(N))
    # Of each part, the shares in the others; no two samples of a part are told apart.
    for part in range(5):
        rare = labels[np.arange(N) % 5 != part].mean()
        np.testing.assert_allclose(said[np.arange(N) % 5 == part], np.tile([1 - rare, rare], (N // 5, 1)))


def test_the_mean_is_stretched_as_far_as_the_truth_differs_and_noise_to_the_middle():
    truth = np.random.default_rng(0).normal(size=N)
    assert Stretch.fit(truth, 0.8 * truth).factor == pytest.approx(1.25)
    np.testing.assert_allclose(Stretch.fit(truth, 0.8 * truth).apply(0.8 * truth), truth, atol=0.05)
    noise = Stretch.fit(truth, np.random.default_rng(1).normal(size=N))
    assert noise.factor <= 0.1
    assert noise.middle == np.median(truth)


def test_what_a_combination_says_of_its_own_samples_is_not_fitted_to_them():
    truth = np.random.default_rng(0).normal(size=60)
    noise = {"network": 0.3 * np.random.default_rng(3).normal(size=60)}
    units = np.arange(60) // 6
    combination = Combination.fit(truth, noise, {"network": 1.0})
    apart = combination.cross_fitted(truth, noise, units)
    middle = np.abs(truth - np.median(truth)).mean()
    assert np.abs(truth - combination.of(noise)).mean() <= middle
    assert np.abs(truth - apart).mean() > np.abs(truth - combination.of(noise)).mean()
    for part in range(5):
        held = units % 5 == part
        others = Combination.fit(truth[~held], {"network": noise["network"][~held]}, {"network": 1.0})
        np.testing.assert_allclose(apart[held], others.of({"network": noise["network"][held]}))


def test_probabilities_are_made_true_of_rare_classes_too():
    rng = np.random.default_rng(0)
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
