"""Covariates in the ensemble: every member reads them, by reference, and nothing of held-out samples is in them."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from aam.ensemble.catalogue import Catalogue
from aam.ensemble.cross_fit import cross_fit
from aam.ensemble.linear import covariate_scale
from aam.ensemble.members import MEMBERS, LinearMember, prevalent
from aam.ensemble.training import Training
from aam.errors import InputError
from aam.explain.links import sums
from aam.explain.terms import SeenPlaces, terms_of
from aam.learners.ensemble import EnsembleLearner
from aam.saved.load import load
from aam.study.covariates import Covariates
from aam.study.problem import Problem
from aam.study.targets import ClassTarget, RegressionTarget
from tests.support.studies import QUICK, simulated_study

LEARNED, HELD = np.arange(40), np.arange(40, 60)
# Networks that have learned something.
OPTIONS = replace(QUICK, network_steps=150, forest_trees=30, boosting_rounds=30)


@pytest.fixture(scope="module")
def study():
    """A simulated community, and what nothing in it says: a dose, a treatment, and a dose that a third of the samples lack."""
    made, rng = simulated_study(n_samples=60), np.random.default_rng(0)
    dose = rng.normal(size=60)
    lacking = np.where(rng.random(60) < 0.3, np.nan, dose)
    columns = {"dose": 50 + 10 * dose, "arm": np.where(dose > 0, "verum", "placebo"), "partly": lacking}
    return replace(made, metadata=made.metadata.assign(**columns))


def problem_of(study, covariates, *, classes):
    dose = study.metadata["dose"].to_numpy()
    target = ClassTarget(("low", "high")) if classes else RegressionTarget("none")
    truth = (dose > 50).astype(np.int64) if classes else (dose - 50) / 10
    return Problem(study, "response", truth, target, np.arange(60) // 2, covariates=covariates)


def training_of(problem, options=OPTIONS):
    posed = problem.fitted_to(LEARNED)
    catalogue = Catalogue.fit(posed.study, LEARNED, options)
    return Training(posed, catalogue, replace(catalogue.see(posed.study), design=posed.design), options, 0)


def error_of(problem, said):
    """Mean absolute error, or mean probability of the wrong class."""
    truth = problem.truth[HELD]
    return np.abs(truth - said).mean() if said.ndim == 1 else 1 - said[np.arange(len(HELD)), truth].mean()


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("columns", [((), ("dose",)), (("arm",), ()), (("arm",), ("partly",))])
def test_every_member_reads_a_covariate_that_carries_the_target(study, classes, columns):
    problem = problem_of(study, Covariates.named(*columns), classes=classes)
    training = training_of(problem)
    assert training.table.covariates == {"dose": 1, "arm": 2, "partly": 4}[(*columns[0], *columns[1])[-1]]
    order = np.random.default_rng(1).permutation(HELD)
    design = training.table.design.copy()
    design[HELD] = design[order]
    fitted = cross_fit(training, LEARNED, MEMBERS, 1).members
    assert list(fitted) == list(MEMBERS)
    for name, members in fitted.items():
        as_it_is, permuted = (
            np.mean([member.predict(replace(training.table, design=given), HELD) for member in members], axis=0)
            for given in (training.table.design, design)
        )
        assert error_of(problem, permuted) > 1.1 * error_of(problem, as_it_is), name


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("view", ["presence", "ratio"])
def test_a_linear_member_is_that_of_scikit_learn_on_the_same_design(study, classes, view):
    problem = problem_of(study, Covariates.named(("arm",), ("partly",)), classes=classes)
    training, penalty = training_of(problem), 0.1
    member = LinearMember.fit(training, LEARNED, view, penalty)
    kept = prevalent(training, LEARNED)
    shares = training.table.known_shares[:, kept].toarray()
    if view == "presence":
        asvs = (shares > 0).astype(np.float64)
    else:
        floor = np.where(shares > 0, shares, np.inf).min(axis=1, keepdims=True) / 2
        asvs = np.log(np.where(shares > 0, shares, floor))
        asvs -= asvs.mean(axis=1, keepdims=True)
    arm, partly = (study.metadata[name].reset_index(drop=True) for name in ("arm", "partly"))
    mean, sd, lacks = partly[LEARNED].mean(), partly[LEARNED].std(ddof=0), partly.isna()
    numbers = [((partly - mean) / sd).fillna(0), lacks]
    beside = np.column_stack([arm == "placebo", arm == "verum", *numbers]).astype(np.float64)
    # Together they weigh as much as the ASVs.
    beside *= np.sqrt(asvs[LEARNED].var(axis=0).sum() / beside[LEARNED].var(axis=0).sum())
    x = np.hstack([asvs, beside])
    if classes:
        model = LogisticRegression(C=1 / penalty, max_iter=1000, class_weight="balanced").fit(x[LEARNED], problem.truth[LEARNED])
        expected = model.predict_proba(x[HELD])
    else:
        expected = Ridge(alpha=100 * penalty).fit(x[LEARNED], problem.truth[LEARNED]).predict(x[HELD])
    np.testing.assert_allclose(member.predict(training.table, HELD), expected, atol=2e-3)


def test_covariates_without_variance_are_left_as_they_are():
    assert covariate_scale(np.eye(3), np.ones((3, 2))) == covariate_scale(np.ones((3, 2)), np.eye(3)) == 1
    assert covariate_scale(2 * np.eye(3), np.eye(3)) == 2


@pytest.fixture(scope="module")
def fitted(study):
    covariates = Covariates.named(("arm",), ("dose", "partly"))
    return EnsembleLearner(QUICK, jobs=1).fit(problem_of(study, covariates, classes=False), LEARNED)


def test_nothing_of_held_out_samples_is_in_what_is_fitted(study, fitted):
    poisoned = study.metadata.copy()
    poisoned.loc[poisoned.index[HELD], "dose"] = 1e9
    poisoned.loc[poisoned.index[HELD], "partly"] = np.nan
    poisoned.loc[poisoned.index[HELD], "arm"] = "unheard of"
    problem = problem_of(study, Covariates.named(("arm",), ("dose", "partly")), classes=False)
    other = replace(problem, study=replace(study, metadata=poisoned))
    again = EnsembleLearner(QUICK, jobs=1).fit(other, LEARNED)
    assert again.target.covariates == fitted.target.covariates
    assert again.fingerprint() == fitted.fingerprint()
    np.testing.assert_array_equal(again.predict(other.study, LEARNED), fitted.predict(study, LEARNED))


def test_a_saved_ensemble_reads_the_covariates_of_new_samples(study, fitted, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.target.covariates == fitted.target.covariates
    moved = replace(study, metadata=study.metadata.assign(dose=study.metadata["dose"].to_numpy()[::-1]))
    for one in (study, moved):
        np.testing.assert_allclose(loaded.predict(one), fitted.predict(one), rtol=1e-6)
    assert not np.allclose(loaded.predict(moved), loaded.predict(study))
    with pytest.raises(InputError, match="`metadata` is missing: this model was trained with the columns arm, dose, partly"):
        loaded.predict(replace(study, metadata=None))
    with pytest.raises(InputError, match="the metadata has no column dose, which the model reads"):
        loaded.predict(replace(study, metadata=study.metadata.drop(columns="dose")))


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("baseline", ["empty", "average"])
def test_gradients_hold_covariates_fixed(study, classes, baseline):
    """What is attributed to ASVs leads from the baseline with the sample's own covariates to the prediction."""
    problem = problem_of(study, Covariates.named(("arm",), ("dose",)), classes=classes)
    ensemble = EnsembleLearner(QUICK, jobs=1).fit(problem, LEARNED)
    reader, rows = ensemble.reader(study), HELD[:3]
    places = SeenPlaces.in_table(reader.seen, rows)
    for name in MEMBERS:
        terms = terms_of(ensemble.ensemble.members[name], places, reader.outputs.target, baseline)
        if terms is None:
            continue
        np.testing.assert_allclose(sums(terms.terms, places.sample, 3), terms.end - terms.start, atol=2e-2, err_msg=name)
        # Another covariate moves where it starts, too.
        design = reader.seen.design[::-1].copy()
        other = SeenPlaces.in_table(replace(reader.seen, design=design), rows)
        moved = terms_of(ensemble.ensemble.members[name], other, reader.outputs.target, baseline)
        assert not np.allclose(moved.start, terms.start, atol=1e-9) or np.allclose(moved.end, terms.end), name
