"""Groups count once each, and are drawn whole."""

import numpy as np

from aam.scoring.resampling import Groups, bayesian, draws, interval, ratio, resampled, with_replacement


def test_groups_count_once():
    groups = Groups.named(np.array(["b", "a", "b", "b"]), 4)
    np.testing.assert_allclose(groups.weights(), [1 / 6, 1 / 2, 1 / 6, 1 / 6])
    values = np.array([1.0, 10.0, 2.0, 3.0])
    assert groups.means(values).tolist() == [10, 2]
    assert ratio(values, np.ones(4), groups).value == groups.weights() @ values == 6
    assert np.isnan(ratio(values, values, Groups.named(np.zeros(4), 4)).low)
    drawn = draws(2, number=4000)
    low, high = interval(drawn @ [10, 2] / drawn.sum(axis=1))
    # Of two groups the weight of one is uniform.
    np.testing.assert_allclose([low, high], [2.2, 9.8], atol=0.1)


def test_groups_are_drawn_whole_whatever_they_are_called_and_however_many_draws_are_weighed_at_a_time(monkeypatch):
    names, ids = np.array(["b", "a", "b", "c"]), np.array([1, 0, 1, 2])
    for draw in (bayesian, with_replacement):
        weights = resampled(names, lambda drawn: drawn, draw, 50)
        assert weights.shape == (50, 4)
        assert (weights[:, 0] == weights[:, 2]).all()
        monkeypatch.setattr("aam.scoring.resampling._AT_ONCE", 32)
        np.testing.assert_array_equal(weights, resampled(ids, lambda drawn: drawn, draw, 50))
        monkeypatch.undo()
    counts = resampled(np.arange(4), lambda drawn: drawn, with_replacement, 50)
    assert (counts.sum(axis=1) == 4).all()
    assert (counts == 0).any()
    assert (resampled(np.arange(4), lambda drawn: drawn, bayesian, 50) > 0).all()


def test_an_interval_leaves_out_what_is_no_number():
    values = np.arange(101.0)
    np.testing.assert_allclose(interval(values), [2.5, 97.5])
    np.testing.assert_allclose(interval(np.r_[values, np.nan, np.inf]), [2.5, 97.5])
    np.testing.assert_allclose(interval(values, 0.2), [10, 90])
    np.testing.assert_allclose(interval(np.stack([values, 2 * values], axis=1)), [[2.5, 5], [97.5, 195]])
    assert np.isnan(interval(np.full(3, np.nan))).all()
