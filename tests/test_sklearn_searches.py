"""scikit-learn's searches over the parameters of the estimators, with groups."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, RandomizedSearchCV

import aam
from tests.support.studies import QUICK, simulated_study

QUICKER = replace(QUICK, cross_fit_folds=2)


def regressor():
    return aam.AAMRegressor(ensemble_options=QUICKER, n_jobs=1)


def frame_of(study):
    return pd.DataFrame(study.counts.toarray(), index=study.table.sample_ids, columns=study.sequences)


@pytest.fixture(scope="module")
def study():
    return simulated_study()


def test_a_search_over_parameters(study):
    search = GridSearchCV(regressor(), {"trees": [True, False]}, cv=GroupKFold(2))
    search.fit(frame_of(study), study.metadata["age"], groups=study.metadata["subject"])
    assert search.best_params_.keys() == {"trees"}
    names = {trees: search.estimator.set_params(trees=trees).fit(study, "age").fitted_.ensemble.members for trees in (True, False)}
    assert "forest" in names[True] and "forest" not in names[False]


@pytest.mark.parametrize("kind", [GridSearchCV, partial(RandomizedSearchCV, n_iter=3, random_state=0)], ids=["grid", "random"])
def test_a_search_over_options_with_groups(study, kind):
    """Groups reach the splitter and every fit, where they part the cross-fitting."""
    space = {"trees": [False], "ensemble_options": [replace(QUICKER, known_asv_samples=number) for number in (2, 3, 5)]}
    groups = study.metadata["subject"]
    with sklearn.config_context(enable_metadata_routing=True):
        search = kind(regressor(), space, cv=GroupKFold(2), scoring="neg_mean_absolute_error")
        search.fit(frame_of(study), study.metadata["age"], groups=groups)
    assert len(search.cv_results_["params"]) == 3
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["ensemble_options"] in space["ensemble_options"]
    again = clone(search.estimator).set_params(**search.best_params_).fit(frame_of(study), study.metadata["age"], groups=groups)
    assert search.predict(frame_of(study)).tolist() == again.predict(frame_of(study)).tolist()
