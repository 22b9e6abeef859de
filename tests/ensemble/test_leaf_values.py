"""Medians of leaves: by reference, and that they come in steps where the target does."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

from aam.ensemble.trees import LeafValues, of_forest


def forest_of(kind, targets, x, leaf=3):
    fitted = kind(20, min_samples_leaf=leaf, random_state=0).fit(x, targets)
    trees = of_forest(fitted)
    return fitted, trees, LeafValues.of(trees, x, targets)


@pytest.mark.parametrize("kind", [RandomForestRegressor, ExtraTreesRegressor])
def test_medians_are_those_of_the_weights_of_the_training_samples(kind):
    rng = np.random.default_rng(0)
    x, new = (rng.random((n, 4)).astype(np.float32) for n in (150, 40))
    targets = (x @ rng.normal(size=4) + rng.exponential(size=150)).astype(np.float32)
    fitted, trees, leaves = forest_of(kind, targets, x)
    ours, known = fitted.apply(new), fitted.apply(x)
    for row, said in enumerate(leaves.medians(trees, new)):
        weights = np.zeros(150)
        for tree in range(20):
            same = known[:, tree] == ours[row, tree]
            weights += same / same.sum() / 20
        order = np.argsort(targets, kind="stable")
        below = weights[order].cumsum()
        lower, upper = (targets[order][(below >= 0.5 + e).argmax()] for e in (-1e-9, 1e-9))
        assert said == pytest.approx((lower + upper) / 2)
    assert np.abs(leaves.medians(trees, x) - targets).mean() < np.abs(fitted.predict(x) - targets).mean()


def test_predictions_come_in_steps_where_the_target_does():
    rng = np.random.default_rng(1)
    x = rng.random((200, 3)).astype(np.float32)
    targets = np.array([0.0, 1.0, 7.0])[(3 * x[:, 0]).astype(int)]
    _, trees, leaves = forest_of(ExtraTreesRegressor, targets, x)
    said = leaves.medians(trees, rng.random((100, 3)).astype(np.float32))
    assert np.isin(said, [0.0, 1.0, 7.0, 0.5, 4.0, 3.5]).all()
    assert np.isin(said, [0.0, 1.0, 7.0]).mean() > 0.9
    assert leaves.levels.tolist() == [0.0, 1.0, 7.0]


def test_leaves_of_other_trees_are_refused():
    x = np.random.default_rng(0).random((60, 3)).astype(np.float32)
    _, trees, leaves = forest_of(RandomForestRegressor, x[:, 0], x)
    leaves.require_fit(trees)
    with pytest.raises(ValueError, match="leaves without targets"):
        LeafValues(leaves.levels[:3], leaves.start, leaves.level).require_fit(trees)
    with pytest.raises(ValueError, match="leaves without targets"):
        LeafValues(leaves.levels, np.zeros_like(leaves.start), leaves.level[:0]).require_fit(trees)
