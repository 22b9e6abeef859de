"""Importance over samples, by a computation feature by feature."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from aam.explain.attributions import Attributions, Features
from aam.explain.summary import direction_of, first_apart, ranked, summarise

NAMES = ("one", "two")


def made_up(seed=0, n=14, features=6, outputs=2):
    rng = np.random.default_rng(seed)
    there = rng.random((n, features)) < 0.6
    there[:, -1], there[:, 0], there[:3, -2] = False, True, True
    sample, feature = np.nonzero(there)
    order = rng.permutation(len(sample))
    value = rng.normal(size=(len(sample), outputs))
    half = np.abs(rng.normal(size=value.shape))
    held = Features("asv", tuple("abcdef"), sparse.eye_array(features, dtype=bool, format="csr"))
    about = ("deletion", held, NAMES, "units", np.arange(n) + 5, sample[order], feature[order])
    return Attributions(*about, value, value - half, value + half, np.zeros((n, outputs)))


@pytest.mark.parametrize("seed", range(3))
def test_means_over_samples_count_each_group_once(seed):
    found, groups = made_up(seed), np.array(list("aaabbbbcccdeee"))
    importance = summarise(found, groups)
    for feature in range(6):
        own = found.feature == feature
        value, low, high = found.value[own], found.low[own], found.high[own]
        assert importance.samples[feature] == own.sum()
        once = np.array([1 / (groups == name).sum() for name in groups])[found.sample[own]]
        np.testing.assert_allclose(importance.spread[feature], spread_of(value, once))
        if not own.any():
            assert np.isnan(importance.mean[feature]).all()
            continue
        of = groups[found.sample[own]]
        mean, absolute = (np.mean([part[of == name].mean(axis=0) for name in set(of)], axis=0) for part in (value, np.abs(value)))
        np.testing.assert_allclose(importance.mean[feature], mean)
        np.testing.assert_allclose(importance.mean_absolute[feature], absolute)
        np.testing.assert_allclose(importance.agreement[feature], (np.sign(value) == np.sign(mean)).mean(axis=0))
        assert (importance.low[feature] < absolute).all()
        assert (importance.high[feature] > absolute).all()
        wrong = (once @ (high - low) / 2) / 5
        np.testing.assert_allclose(importance.members_low[feature], np.maximum(importance.spread[feature] - wrong, 0))
        np.testing.assert_allclose(importance.members_high[feature], importance.spread[feature] + wrong)


def spread_of(value, weights):
    """Of 14 samples in five groups, in which samples without a value count as 0, and an empty one of mean weight."""
    whole = 5 + 5 / 14
    middle = weights @ value / whole
    return (weights @ np.abs(value - middle) + (whole - weights.sum()) * np.abs(middle)) / whole


def test_what_adds_the_same_to_every_sample_tells_none_from_another():
    """But of a single sample the largest values come first."""
    held = Features("asv", ("everywhere", "half"), sparse.eye_array(2, dtype=bool, format="csr"))
    sample, feature = np.concatenate([np.arange(20), np.arange(10)]), np.repeat([0, 1], [20, 10])
    value = np.where(feature == 0, 3.0, 1.0)[:, None]
    found = Attributions("deletion", held, ("one",), "u", np.arange(20), sample, feature, value, value, value, np.zeros((20, 1)))
    assert ranked(summarise(found)).tolist() == [1, 0]
    # Of few groups, too.
    assert ranked(summarise(found, np.arange(20) % 3)).tolist() == [1, 0]
    one = Attributions(
        "deletion", held, ("one",), "u", np.arange(1), *[np.zeros(2, int), np.arange(2)], *[value[[0, -1]]] * 3, value
    )
    assert ranked(summarise(one)).tolist() == [0, 1]


def test_the_interval_is_that_of_resampled_groups():
    """Of many groups it is about that of a mean: two standard errors."""
    rng = np.random.default_rng(0)
    n = 400
    held = Features("asv", ("a",), sparse.csr_array(np.ones((1, 1), dtype=bool)))
    value = rng.exponential(size=(n, 1))
    about = ("deletion", held, ("one",), "units", np.arange(n), np.arange(n), np.zeros(n, dtype=np.int64))
    found = summarise(Attributions(*about, value, value, value, value))
    error = value.std() / 20
    np.testing.assert_allclose([found.low[0, 0], found.high[0, 0]], value.mean() + 1.96 * error * np.array([-1, 1]), rtol=0.02)
    one = summarise(Attributions(*about, value, value, value, value), np.full(n, "g"))
    assert np.isnan([one.low[0, 0], one.high[0, 0]]).all()


def test_a_feature_that_matters_in_one_study_is_bound_to_it():
    n = 30
    studies = np.repeat(["north", "south", "west"], 10)
    value = np.zeros((n, 4))
    value[:10, 0], value[:, 1], value[:4, 2] = 1, 1, 1
    value[:10, 3], value[10:20, 3] = -1, 0.09
    sample, feature = (part.ravel() for part in np.mgrid[:n, :4])
    kept = value[sample, feature] != 0
    held = Features("asv", tuple("abcd"), sparse.eye_array(4, dtype=bool, format="csr"))
    size = value[sample, feature][kept][:, None]
    found = Attributions("deletion", held, ("one",), "u", np.arange(n), sample[kept], feature[kept], size, size, size, value[:, :1])
    assert summarise(found, confounder=studies).bound_to == ("north", "", "", "north")
    # What matters alike in all samples does in studies of few samples too.
    uneven = np.where(np.arange(n) < 2, "few", "many")
    assert summarise(found, confounder=uneven).bound_to[1] == ""
    assert summarise(found, confounder=np.full(n, "all")).bound_to == summarise(found).bound_to == ("",) * 4


def test_of_nested_features_one_stands_for_all():
    held = np.zeros((5, 8), dtype=bool)
    held[0, :5], held[1, :3], held[2, :1], held[3, 5:], held[4, 4:] = True, True, True, True, True
    about = made_up()
    importance = summarise(replace(about, features=Features("clade", tuple("abcde"), sparse.csr_array(held))))
    importance = replace(importance, spread=np.array([1.0, 0.95, 0.4, 0.5, 0.45])[:, None])
    assert first_apart(importance, 5).tolist() == [1, 3]
    assert first_apart(importance, 1).tolist() == [1]
    importance = replace(importance, spread=np.array([1.0, 0.7, 0.4, 0.5, 0.0])[:, None])
    assert first_apart(importance, 5).tolist() == [0, 3]


def test_a_feature_has_a_direction_where_two_thirds_of_its_samples_agree():
    """Few large values can make a mean whose sign most samples do not have."""
    there = np.arange(5) < np.array([3, 3, 5, 5, 0])[:, None]
    values = np.array([[1, 2, -1, 0, 0], [-1, -2, 1, 0, 0], [9, -1, -1, -1, 1], [-9, 1, 1, 1, -1], [0] * 5], dtype=float)
    feature, sample = np.nonzero(there)
    value = np.stack([values[there], -np.abs(values[there]) / 2], axis=1)
    held = Features("asv", tuple("abcde"), sparse.eye_array(5, dtype=bool, format="csr"))
    about = ("deletion", held, NAMES, "units", np.arange(5), sample, feature)
    importance = summarise(Attributions(*about, value, value, value, np.zeros((5, 2))))
    assert direction_of(importance, 0).tolist() == [1, -1, 0, 0, 0]
    assert direction_of(importance, 1).tolist() == [-1, -1, -1, -1, 0]
    assert direction_of(importance).tolist() == [1, -1, 0, 0, 0]
