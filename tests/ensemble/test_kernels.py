"""Kernel models: by reference, and by what their shares are chosen for."""

from dataclasses import replace

import numpy as np
import pytest

from aam.ensemble.catalogue import Catalogue
from aam.ensemble.kernels import KernelInputs, Scales, Shares, choose_shares, fit_kernels, some_groups
from aam.options import EnsembleOptions
from tests.support.studies import simulated_study

ALL = (True, True, True)
MOST = 4000


@pytest.fixture(scope="module")
def inputs():
    study = simulated_study()
    return KernelInputs.of(Catalogue.fit(study, study.rows, EnsembleOptions()).see(study))


def test_a_kernel_model_is_the_kernel_regression_it_says(inputs):
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=48)
    shares = Shares(0.1, -0.3, 0.2, 0.4, -0.2, 0.5)
    inputs = replace(inputs, design=rng.normal(size=(48, 2)))
    train, new = np.arange(40), np.arange(40, 48)
    model = fit_kernels(inputs.rows(train), labels[train], shares, 3, MOST, 0)
    scales = Scales.fit(inputs.rows(train))

    def kernel(a, b):
        presence, abundance, distance, design = scales.kernels(inputs.rows(a), inputs.rows(b))
        return (
            np.exp(0.1) * presence + np.exp(-0.3) * abundance + np.exp(0.2) * np.exp(-distance / np.exp(0.4)) + np.exp(0.5) * design
        )

    wanted = 2.0 * np.eye(3)[labels[train]] - 1
    centred = wanted - wanted.mean(axis=0)
    expected = kernel(new, train) @ np.linalg.solve(kernel(train, train) + np.exp(-0.2) * np.eye(40), centred)
    np.testing.assert_allclose(model.predict(inputs.rows(new)), expected, atol=1e-8)
    assert len(fit_kernels(inputs, labels, replace(shares, place=-np.inf), 3, MOST, 0).landmarks) == 0


def test_a_kernel_model_takes_no_more_samples_than_it_may(inputs):
    shares = Shares(0.1, -0.3, 0.2, 0.4, -0.2)
    assert len(fit_kernels(inputs, np.arange(48) % 3, shares, 3, 20, 0).landmarks) == 20


def test_nearness_is_the_gaussian_of_the_mean_squared_distance(inputs):
    model = fit_kernels(inputs, np.arange(48) % 3, Shares(0.1, -0.3, 0.2, 0.4, -0.2), 3, MOST, 0)
    place = model.landmarks[:2] + np.array([[0.0], [0.5]])
    squares = ((place[:, None] - model.landmarks) ** 2).mean(axis=2)
    near = model.nearness(place)
    np.testing.assert_allclose(near, np.exp(-squares / np.exp(0.4)), atol=1e-12)
    assert near[0, 0] == pytest.approx(1)
    np.testing.assert_allclose(model.smooth(place), near @ model.by_place)


def test_shares_are_chosen_by_groups_that_are_left_out(inputs):
    """A target that is the group itself is learned by heart from presence where groups are not left out."""
    kernels = Scales.fit(inputs).kernels(inputs, inputs)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(48, 1))
    of_noise = choose_shares(kernels, ALL, noise / noise.std(), np.arange(48) // 4, classes=False)
    signal = np.asarray(inputs.presence[:, :5].sum(axis=1)).reshape(-1, 1).astype(float)
    signal = (signal - signal.mean()) / signal.std()
    of_signal = choose_shares(kernels, ALL, signal, np.arange(48) // 4, classes=False)
    assert of_signal.noise - of_signal.presence < of_noise.noise - max(of_noise.presence, of_noise.abundance)


def test_some_groups_are_whole_unless_they_are_huge():
    groups = np.repeat(np.arange(40), 10)
    chosen = some_groups(groups, 100, 0)
    assert 90 <= len(chosen) <= 110
    assert set(np.bincount(groups[chosen])) <= {0, 10}
    assert len(some_groups(np.repeat(np.arange(4), 5000), 600, 0)) == 600
