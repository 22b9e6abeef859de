"""The members: by reference, by symmetry, and that what is saved is what was fitted."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from aam.data.table import FeatureTable
from aam.ensemble import cross_fit as cross_fitting
from aam.ensemble.catalogue import Catalogue
from aam.ensemble.cross_fit import cross_fit
from aam.ensemble.ensemble import FittedMembers, fit_members
from aam.ensemble.members import KINDS, MEMBERS, WITHOUT_TREES, KernelMember, NetworkMember, unfitted_trees
from aam.ensemble.training import Training
from aam.ensemble.trees import of_boosting, of_forest
from aam.errors import InputError
from aam.study.targets import ClassTarget
from tests.support.studies import QUICK, problem_in, simulated_study, without_sequences

ROWS = np.arange(48)


@pytest.fixture(scope="module")
def study():
    return simulated_study()


@pytest.fixture(scope="module")
def problem(study):
    return problem_in(study)


def fit(problem, names=MEMBERS, rows=ROWS, jobs=1):
    """Some members."""
    catalogue = Catalogue.fit(problem.study, rows, QUICK)
    training = Training(problem, catalogue, catalogue.see(problem.study), QUICK, 0)
    return FittedMembers(training, rows, catalogue, cross_fit(training, rows, names, jobs))


@pytest.mark.parametrize("classes", [None, 2, 3])
def test_trees_as_arrays_say_what_scikit_learn_says(classes):
    rng = np.random.default_rng(0)
    x, new = (rng.random((n, 7)).astype(np.float32) for n in (120, 50))
    number = x @ rng.normal(size=7)
    if classes is None:
        forest, boosting = (
            RandomForestRegressor(10, random_state=0),
            HistGradientBoostingRegressor(loss="absolute_error", max_iter=10),
        )
        truth = number
    else:
        forest, boosting = RandomForestClassifier(10, random_state=0), HistGradientBoostingClassifier(max_iter=10)
        truth = np.digitize(number, np.quantile(number, np.arange(1, classes) / classes))
    forest.fit(x, truth)
    boosting.fit(x, truth)
    by_forest, by_boosting = of_forest(forest).predict(new), of_boosting(boosting).predict(new)
    if classes is None:
        np.testing.assert_allclose(by_forest[:, 0], forest.predict(new))
        np.testing.assert_allclose(by_boosting[:, 0], boosting.predict(new))
    else:
        np.testing.assert_allclose(by_forest, forest.predict_proba(new))
        np.testing.assert_allclose(by_boosting.squeeze(), boosting.decision_function(new))


def test_a_network_knows_the_set_and_unknown_asvs_by_their_sequence(problem):
    fitted = fit(problem, ("network",))
    table = fitted.training.table
    member = fitted.fitted.members["network"][0]
    said = member.predict(table, ROWS)
    order = np.random.default_rng(1).permutation(48)
    np.testing.assert_allclose(member.predict(table, order), said[order], atol=1e-5)
    assert len(fitted.fitted.members["network"]) == QUICK.cross_fit_folds
    assert (member.weights["identity"][0, 0] == 0).all()


@pytest.mark.parametrize("classes", [False, True])
def test_each_sample_is_judged_by_members_that_did_not_learn_from_its_group(study, classes, monkeypatch):
    problem, seen, before = problem_in(study, classes=classes), [], cross_fitting._run

    def watch(fit, training, work):
        groups = training.problem.groups
        for learned, asked in itertools.zip_longest(work.learned, work.asked, fillvalue=[]):
            seen.append((set(groups[learned]), set(groups[asked])))
        return before(fit, training, work)

    monkeypatch.setattr(cross_fitting, "_run", watch)
    rows = np.arange(4, 44)
    fitted = fit_members(problem, rows, QUICK, 0, 1)
    # Set networks of the parts are kept, and fitted to no more than these.
    assert len(seen) == len(MEMBERS) * QUICK.cross_fit_folds + len(MEMBERS) - 1
    assert all(not learned & judged and not (learned | judged) & {0, 11} for learned, judged in seen)
    for names in (WITHOUT_TREES, MEMBERS):
        ensemble, weighing = fitted.combine(names)
        assert ensemble.members.keys() == set(names) == weighing.behind.keys()
        assert sum(ensemble.weights.values()) == pytest.approx(1)
        said = ensemble.predict(fitted.training.table, ROWS)
        assert len(said) == 48
        assert len(ensemble.combination.of(fitted.judged.said)) == len(rows)
        if classes:
            np.testing.assert_allclose(said.sum(axis=1), 1)


def test_members_come_back_from_their_arrays(study):
    fitted = fit(problem_in(study, classes=True))
    table = fitted.training.table
    for name, kept in fitted.fitted.members.items():
        again = KINDS[name].of({part: np.array(value) for part, value in kept[0].arrays().items()}, QUICK.network)
        np.testing.assert_array_equal(again.predict(table, ROWS), kept[0].predict(table, ROWS))
    assert isinstance(fitted.fitted.members["network"][0], NetworkMember)
    assert isinstance(fitted.fitted.members["wide"][0], KernelMember)


def test_a_part_may_lack_a_class_and_a_table_known_asvs(study, problem):
    labels = np.zeros(48, dtype=np.int64)
    labels[:24], labels[44:] = 1, 2
    rare = replace(problem, truth=labels, target=ClassTarget(("a", "b", "c")))
    fitted = fit(rare)
    ensemble, _ = fitted.combine(MEMBERS)
    np.testing.assert_allclose(ensemble.combination.of(fitted.judged.said).sum(axis=1), 1)
    assert (fitted.fitted.judged["forest"][44:, 2] == 0).all()
    assert np.isfinite(ensemble.predict(fitted.training.table, ROWS)).all()

    counts = sparse.csr_array(np.eye(48, 50, dtype=np.int64))
    alone = replace(study, table=FeatureTable(counts, study.table.sample_ids, study.table.feature_ids))
    ensemble, _ = fit(problem.on(alone)).combine(MEMBERS)
    assert ensemble.members.keys() == {"network", "sequence"}


def test_features_without_sequences_are_learned_by_members_that_need_none(study):
    named = without_sequences(study)
    fitted = fit_members(problem_in(named), ROWS, QUICK, 0, 1)
    ensemble, _ = fitted.combine(MEMBERS)
    assert ensemble.members.keys() == {"presence", "ratio", "forest", "extra", "boosting"}
    with pytest.raises(InputError, match="no feature is in 49 training samples or more"):
        fit_members(problem_in(named), ROWS, replace(QUICK, known_asv_samples=49), 0, 1)


def test_too_few_groups_or_classes_are_refused(problem):
    with pytest.raises(InputError, match="the training samples are of one group only"):
        fit(replace(problem, groups=np.zeros(48)), WITHOUT_TREES)
    labels = (np.arange(48) < 4).astype(np.int64)
    with pytest.raises(InputError, match="has one class only"):
        fit(replace(problem, truth=labels, target=ClassTarget(("a", "b"))), WITHOUT_TREES)


@pytest.mark.parametrize("names", [("sequence", "forest", "ratio"), ("network",)])
def test_the_same_in_one_process_and_in_two(problem, names):
    said = []
    for jobs in (1, 2):
        fitted = fit(problem, names, jobs=jobs)
        ensemble, _ = fitted.combine(names)
        judged = ensemble.combination.of(fitted.judged.said)
        said.append(np.concatenate([judged, ensemble.predict(fitted.training.table, ROWS)]))
    # Set networks that are fitted side by side round otherwise.
    np.testing.assert_allclose(*said, rtol=1e-9 if "network" not in names else 1e-3)


@pytest.mark.parametrize("name", ["forest", "extra"])
def test_no_leaf_is_empty_where_trees_learn_from_some_of_the_samples(problem, name):
    catalogue = Catalogue.fit(problem.study, ROWS, QUICK)
    training = Training(problem, catalogue, catalogue.see(problem.study), replace(QUICK, forest_max_samples=12), 0)
    member = KINDS[name].fit(training, ROWS, name)
    member.require_fit(training.table.vectors.shape[1], training.table.known, 1, 0)
    assert np.isin(member.predict(training.table, ROWS), np.add.outer(member.leaves.levels, member.leaves.levels) / 2).all()


@pytest.mark.parametrize("kind", ["forest", "extra", "boosting"])
def test_trees_take_the_weights_of_classes(kind):
    problem = problem_in(simulated_study(), classes=True)
    rows = np.arange(len(problem))
    given = replace(problem, target=problem.target.weighted({"many": 3.0}).fit(problem.truth))
    weights = unfitted_trees(kind, Training(given, None, None, QUICK, 0), rows).class_weight
    assert weights == pytest.approx(dict(enumerate(given.target.weights)))
    assert weights[1] == pytest.approx(3 * weights[0])
    assert unfitted_trees(kind, Training(problem, None, None, QUICK, 0), rows).class_weight == "balanced"
