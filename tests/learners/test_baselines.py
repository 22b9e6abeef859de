"""The usual models: they learn what is there, and nothing from the samples that are held out."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from aam.ensemble.trees import boosting_leaf
from aam.errors import InputError
from aam.learners import baselines
from aam.learners.baselines import Baseline, Prevalent, baselines_of, by_confounder, centred_log_ratio, is_trivial
from aam.study.covariates import Covariates
from aam.study.folds import make_folds
from tests.support.problems import learnable_problem, with_counts


@pytest.fixture(autouse=True)
def quick_baselines(monkeypatch):
    monkeypatch.setattr(baselines, "_TREES", 20)
    monkeypatch.setattr(baselines, "_TREES_TO_CHOOSE", 10)
    monkeypatch.setattr(baselines, "_BOOSTS", 20)


@pytest.mark.parametrize("classes", [None, 2, 3])
def test_every_model_beats_the_trivial_one_and_never_reads_the_truth_of_what_is_held_out(classes):
    problem = learnable_problem(classes, confounder=True)
    fold = make_folds(80, 4, 1, 0, groups=problem.groups, labels=problem.labels)[0]

    def predict(learner, problem):
        return learner.fit(problem, fold.train).predict(problem.study, fold.test)

    hidden = problem.truth.copy()
    hidden[fold.test] = 0 if classes else 1e6
    # Nor do the other held-out samples tell a model anything.
    other = problem.study.counts.toarray()
    other[fold.test[1:]] = other[fold.test[1:]][:, ::-1] + 1
    losses = {}
    for name, learner in baselines_of(problem, seed=0, jobs=1).items():
        predicted = predict(learner, problem)
        assert predicted.shape == ((len(fold.test),) if classes is None else (len(fold.test), classes))
        if classes:
            np.testing.assert_allclose(predicted.sum(axis=1), 1)
        np.testing.assert_array_equal(predict(learner, replace(problem, truth=hidden)), predicted, err_msg=name)
        np.testing.assert_allclose(predict(learner, with_counts(problem, other))[0], predicted[0], rtol=1e-6, err_msg=name)
        losses[name] = baselines.loss_of(problem.target, problem.truth[fold.test], predicted)
    trivial = losses.pop("median" if classes is None else "class shares")
    assert len(losses) == 7
    assert sum(loss < trivial for loss in losses.values()) >= 5
    assert [is_trivial(name) for name in losses] == [True] + 6 * [False]


def test_no_model_leaves_the_range_of_the_target():
    """As what AAM says does not. Here it is narrower than what all of them would say."""
    problem = learnable_problem()
    fold = make_folds(80, 4, 1, 0, groups=problem.groups, labels=problem.labels)[0]
    low, high = np.quantile(problem.truth, [0.45, 0.55])
    ranged = replace(problem, target=replace(problem.target, low=low, high=high))
    for name, learner in baselines_of(problem, seed=0, jobs=1).items():
        free, kept = (learner.fit(posed, fold.train).predict(posed.study, fold.test) for posed in (problem, ranged))
        assert ((kept >= low) & (kept <= high)).all(), name
        assert is_trivial(name) or ((free < low) | (free > high)).any(), name


def test_levels_that_training_lacks_get_the_prediction_over_all():
    problem = learnable_problem(confounder=True)
    levels = problem.confounder.copy()
    levels[:3] = "new"
    predict = by_confounder(replace(problem, confounder=levels), np.arange(10, 80), Baseline(by_confounder))
    predicted = predict(problem.study, np.arange(10))
    assert (predicted[:3] == np.median(problem.truth[10:])).all()
    assert predicted[5] == np.median(problem.truth[10:][levels[10:] == levels[5]])


def test_a_baseline_is_not_saved_and_does_not_predict_what_it_cannot_know(tmp_path):
    problem = learnable_problem(confounder=True)
    learners, elsewhere = baselines_of(problem, seed=0, jobs=1), learnable_problem().study
    fitted = {name: learners[name].fit(problem, np.arange(40)) for name in ("median", "median of each level")}
    fitted["neighbours"] = learners["nearest neighbours, UniFrac"].fit(problem, np.arange(40))
    assert (fitted["median"].predict(elsewhere) == np.median(problem.truth[:40])).all()
    for name in ("median of each level", "neighbours"):
        with pytest.raises(InputError, match="this study only"):
            fitted[name].predict(elsewhere)
    with pytest.raises(InputError, match="is not saved"):
        fitted["median"].save(tmp_path)


def test_rare_asvs_are_left_out_by_what_the_training_samples_have():
    x = np.zeros((300, 4))
    x[:, 0], x[0, 1], x[:3, 2], x[:2, 3] = 1, 1, 1, 1
    filtered = Prevalent().fit(sparse.csr_array(x))
    assert filtered.kept_.tolist() == [0, 2]
    assert filtered.transform(sparse.csr_array(np.ones((1, 4)))).shape == (1, 2)


def test_clr_is_centred_and_does_not_depend_on_depth():
    shares = np.array([[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 0.0, 0.0]])
    found = centred_log_ratio(shares)
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(found[0], np.log([0.5, 0.25, 0.25, 0.125]) - np.log([0.5, 0.25, 0.25, 0.125]).mean())
    np.testing.assert_allclose(centred_log_ratio(shares[:1] * 3), found[:1], atol=1e-12)


@pytest.mark.parametrize("classes", [None, 2])
def test_boosting_learns_from_the_few_samples_of_a_small_table(classes):
    # 27 training samples, as of 34: leaves of 20 samples could not be split off.
    problem = learnable_problem(classes, n=34)
    rows = np.arange(27)
    predicted = (
        baselines_of(problem, seed=0, jobs=1)["gradient boosting"].fit(problem, rows).predict(problem.study, np.arange(27, 34))
    )
    assert len(np.unique(predicted.round(9), axis=0)) > 1


def test_leaves_of_boosted_trees_grow_with_the_training_samples():
    assert [boosting_leaf(n) for n in (5, 27, 64, 99, 100, 5000)] == [2, 5, 12, 19, 20, 20]


def test_a_model_that_stops_before_its_optimum_is_said_to_in_our_words(caplog):
    problem = learnable_problem(2)
    short = baselines.tuned(lambda kind, settings, n: [make_pipeline(Prevalent(), LogisticRegression(max_iter=1))] * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Baseline(short).fit(problem, np.arange(60))
    assert [record.getMessage() for record in caplog.records] == [
        "LogisticRegression stopped before its optimum: its score may be too low"
    ]


def with_dose(problem, rng, covariates):
    """The problem with metadata: a dose that is the truth, and an arm that is nothing."""
    ids = problem.study.table.sample_ids
    columns = {"dose": problem.truth + 0.1 * rng.normal(size=len(ids)), "arm": rng.choice(["a", "b"], len(ids))}
    metadata = pd.DataFrame(columns, index=list(ids))
    return replace(problem, study=replace(problem.study, metadata=metadata), covariates=covariates)


def test_baselines_read_the_same_covariates_and_one_reads_nothing_else():
    problem = with_dose(learnable_problem(), np.random.default_rng(0), Covariates.named(("arm",), ("dose",)))
    fold = make_folds(80, 4, 1, 0, groups=problem.groups)[0]
    without = replace(problem, covariates=Covariates())
    assert baselines.COVARIATES not in baselines_of(without, seed=0, jobs=1)
    poisoned = problem.study.metadata.copy()
    poisoned.iloc[fold.test[1:]] = [[1e6, "unheard of"]] * (len(fold.test) - 1)
    other = replace(problem, study=replace(problem.study, metadata=poisoned))
    moved = with_counts(problem, problem.study.counts.toarray()[::-1])
    truth = problem.truth[fold.test]
    for name, learner in baselines_of(problem, seed=0, jobs=1).items():
        fitted = learner.fit(problem, fold.train)
        predicted = fitted.predict(problem.study, fold.test)
        # What the other held-out samples have tells a model nothing.
        np.testing.assert_array_equal(learner.fit(other, fold.train).predict(other.study, fold.test)[0], predicted[0], err_msg=name)
        if name not in ("median", "nearest neighbours, UniFrac"):
            assert np.array_equal(fitted.predict(moved.study, fold.test), predicted) == (name == baselines.COVARIATES), name
            microbes = baselines_of(without, seed=0, jobs=1).get(name)
            if microbes is not None:
                said = microbes.fit(without, fold.train).predict(without.study, fold.test)
                assert np.abs(predicted - truth).mean() < np.abs(said - truth).mean(), name


def test_a_linear_baseline_with_covariates_is_scikit_learns():
    problem = with_dose(learnable_problem(), np.random.default_rng(0), Covariates.named((), ("dose",)))
    rows, asked = np.arange(60), np.arange(60, 80)
    model = baselines.beside(baselines.piped(baselines._PRESENCE, Ridge(alpha=10)), 1)
    posed = problem.learnable_by(rows)
    x = baselines.read_of(posed, problem.study)
    found = model.fit(x[rows], problem.truth[rows]).predict(x[asked])
    present = (problem.study.counts.toarray() > 0).astype(float)
    dose = problem.study.metadata["dose"].to_numpy()
    dose = (dose - dose[rows].mean()) / dose[rows].std()
    design = np.column_stack([present, np.sqrt(present[rows].var(axis=0).sum()) * dose])
    expected = Ridge(alpha=10).fit(design[rows], problem.truth[rows]).predict(design[asked])
    np.testing.assert_allclose(found, expected, rtol=1e-4)
