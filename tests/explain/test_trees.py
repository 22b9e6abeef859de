"""Shapley values of trees beside the definition: all orders of features."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor

from aam.ensemble.trees import Trees, of_boosting, of_forest
from aam.explain.trees import shapley_of_trees


def data():
    rng = np.random.default_rng(0)
    x = rng.random((60, 4)).astype(np.float32)
    return x, x[:, 0] * x[:, 1] - (x[:, 2] > 0.5)


def by_definition(trees, x, baseline):
    found = np.zeros((len(x), trees.value.shape[1]))
    orders = list(permutations(range(len(x))))
    for order in orders:
        now = baseline.copy()
        for feature in order:
            before = trees.predict(now[None])[0]
            now[feature] = x[feature]
            found[feature] += trees.predict(now[None])[0] - before
    return found / len(orders)


def forest():
    return of_forest(RandomForestRegressor(n_estimators=4, random_state=0).fit(*data()))


def boosting():
    x, y = data()
    classes = np.digitize(y, [-0.6, 0.1])
    return of_boosting(HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=3, random_state=0).fit(x, classes))


@pytest.mark.parametrize("make", [forest, boosting])
def test_shapley_values_are_the_mean_over_all_orders(make):
    trees, (x, _) = make(), data()
    baseline = x[40:].mean(axis=0)
    found = shapley_of_trees(trees, x[:5], baseline)
    for row in range(5):
        np.testing.assert_allclose(found[row], by_definition(trees, x[row], baseline), atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), trees.predict(x[:5]) - trees.predict(baseline[None]), atol=1e-9)


def test_a_tree_of_one_leaf_adds_nothing():
    one = np.zeros(1, dtype=np.int32)
    trees = Trees(one - 1, np.zeros(1), one, one, np.ones((1, 2)), one, np.zeros(2))
    assert not shapley_of_trees(trees, np.ones((3, 4), np.float32), np.zeros(4, np.float32)).any()
