"""Quantiles from errors: how often they hold, and that they never cross."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aam.scoring.bands import Band, repeated, weighted_quantile

LEVELS = (0.1, 0.5, 0.9)


def simulated(rng, groups=40, members=15):
    """Samples of groups that are alike, with errors that grow with the number."""
    group = np.repeat(np.arange(groups), members)
    predicted = rng.uniform(0, 100, len(group))
    errors = (0.7 * rng.normal(size=groups)[group] + 0.7 * rng.normal(size=len(group))) * (2 + predicted / 5)
    return predicted + errors, predicted, group


def band_of(truth, predicted, group, levels=LEVELS, places=3):
    return Band.fit(truth, repeated(predicted, levels), group, levels, places)


def held(places):
    """How often the truth of new groups was inside: of all predictions, of small and of large ones."""
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        band = band_of(*simulated(rng), places=places)
        truth, predicted, _ = simulated(rng)
        low, _, high = band.around(predicted).T
        inside = (low <= truth) & (truth <= high)
        found.append([inside.mean(), inside[predicted < 30].mean(), inside[predicted > 70].mean()])
    return np.mean(found, axis=0)


def test_the_band_holds_as_often_as_it_says_for_new_groups():
    near, alike = held(3), held(1)
    assert near[0] == pytest.approx(0.8, abs=0.02)
    assert alike[0] == pytest.approx(0.8, abs=0.02)
    # One width for all predictions holds nearly always of small ones, and too rarely of large ones.
    assert abs(near[1] - 0.8) < 0.75 * abs(alike[1] - 0.8)
    assert abs(near[2] - 0.8) < 0.75 * abs(alike[2] - 0.8)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9999), places=st.integers(1, 4))
def test_quantiles_never_cross_and_the_median_is_the_prediction(seed, places):
    rng = np.random.default_rng(seed)
    levels = (0.05, 0.25, 0.5, 0.6, 0.95)
    said = np.sort(rng.normal(size=(60, 5)), axis=1)
    band = Band.fit(rng.standard_cauchy(60), said, rng.integers(0, 30, 60), levels, places)
    new = np.sort(rng.normal(size=(20, 5)), axis=1)
    found = band.apply(new)
    assert (np.diff(found, axis=1) >= 0).all()
    np.testing.assert_array_equal(found[:, 2], new[:, 2])


def test_each_group_counts_once():
    """One group of many samples with large errors does not widen the band of twenty others."""
    truth, predicted, group = np.zeros(1020), np.zeros(1020), np.concatenate([np.repeat(99, 1000), np.arange(20)])
    truth[:1000], truth[1000:] = 50.0, np.linspace(-1, 1, 20)
    assert band_of(truth, predicted, group, places=1).around(np.zeros(1))[0, 2] < 1


def test_too_few_groups_say_nothing():
    truth = np.arange(8.0)
    assert band_of(truth, truth, np.arange(8)) is None
    assert band_of(np.arange(9.0), np.arange(9.0), np.arange(9)) is not None
    assert band_of(truth, truth, np.arange(8), levels=(0.25, 0.5, 0.75)) is not None


def test_weighted_quantiles_are_numpys():
    rng = np.random.default_rng(0)
    values, times = rng.normal(size=30), rng.integers(1, 5, 30)
    for level in (0.1, 0.5, 0.9, 0.99):
        expected = np.quantile(np.repeat(values, times), level, method="inverted_cdf")
        assert weighted_quantile(values, times.astype(float), level) == expected


def test_a_band_survives_json_and_a_broken_one_is_refused():
    band = band_of(*simulated(np.random.default_rng(0)))
    assert Band(**json.loads(json.dumps(asdict(band)))) == band
    with pytest.raises(ValueError, match="without a median"):
        Band((0.1, 0.9), (1.0,), ((0.0, 1.0),))
