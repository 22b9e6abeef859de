"""Augmented copies of training samples in an ensemble: of a part's own samples alone, and in its group."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from aam.ensemble.catalogue import Catalogue
from aam.ensemble.copies import with_copies
from aam.ensemble.training import Training
from aam.learners.ensemble import EnsembleLearner
from aam.options import AugmentOptions
from aam.study.levels import Levels
from aam.study.targets import RegressionTarget
from tests.support.studies import QUICK, problem_in, simulated_study

STEPS = AugmentOptions(augment="phylomix,cutmix,mixup,contaminate,dropout,rarefy,errors,reverse,trim").steps
PARTS = [np.arange(24), np.arange(24, 40), np.arange(40)]


@pytest.fixture(scope="module")
def study():
    return simulated_study()


def training_of(problem, steps=STEPS):
    catalogue = Catalogue.fit(problem.study, np.arange(40), QUICK)
    return Training(problem, catalogue, catalogue.see(problem.study), QUICK, 0, steps)


@pytest.mark.parametrize("classes", [False, True])
def test_copies_stand_behind_the_samples_and_are_of_their_groups(study, classes):
    problem = problem_in(study, classes=classes)
    training, parts = with_copies(training_of(problem), STEPS, PARTS)
    table = training.table
    assert table.counts.shape[0] == len(study) + 80 == len(training.problem)
    np.testing.assert_array_equal(table.counts[:48, : study.counts.shape[1]].toarray(), study.counts.toarray())
    assert table.counts.dtype == np.int64 and (table.counts.data > 0).all()
    assert len(table.tokens) == len(table.identity) == table.counts.shape[1] > study.counts.shape[1]
    copies = np.setdiff1d(np.concatenate(parts), np.arange(48))
    assert len(copies) == 80
    for given, whole in zip(PARTS, parts, strict=True):
        np.testing.assert_array_equal(whole[: len(given)], given)
        np.testing.assert_array_equal(training.problem.groups[whole[len(given) :]], problem.groups[given])
    assert training.problem.truth.dtype == problem.truth.dtype
    truth = training.problem.truth[copies]
    assert problem.truth[:40].min() - 1e-5 <= truth.min() and truth.max() <= problem.truth[:40].max() + 1e-5


def test_a_copy_has_the_covariates_of_its_sample(study):
    problem = problem_in(study)
    training = training_of(problem)
    design = np.random.default_rng(0).normal(size=(len(study), 3)).astype(np.float32)
    training, parts = with_copies(replace(training, table=replace(training.table, design=design)), STEPS, PARTS)
    assert training.table.design.shape == (len(training.problem), 3)
    for given, whole in zip(PARTS, parts, strict=True):
        np.testing.assert_array_equal(training.table.design_of(whole), np.concatenate([design[given], design[given]]))


def test_a_copy_is_of_the_level_of_its_sample_and_learned_as_if_in_the_average_one(study):
    problem = problem_in(study)
    levels = np.where(np.arange(len(study)) % 2, "far", "near")
    truth = np.where(levels == "far", 100 + 10 * problem.truth, problem.truth)
    target = RegressionTarget("zscore-within", levels=Levels("site"))
    problem = replace(problem, truth=truth, levels=levels, target=target).fitted_to(PARTS[2])
    training, (rows,) = with_copies(training_of(problem), (("mixup", 1.0),), PARTS[2:])
    made = training.problem
    np.testing.assert_array_equal(made.levels[rows], np.concatenate([levels[:40], levels[:40]]))
    # Mixed as in a study of one level, and not between numbers of two.
    common = replace(problem, truth=problem.target.levels.to_common(truth, levels), levels=None)
    common = replace(common, target=replace(problem.target, transform="zscore", levels=None))
    plain, _ = with_copies(training_of(common), (("mixup", 1.0),), PARTS[2:])
    np.testing.assert_allclose(made.learned, plain.problem.learned, atol=1e-5)
    assert (made.learned[rows[40:]] != problem.learned[:40]).mean() > 0.5


def test_copies_of_a_part_know_nothing_of_other_samples(study):
    problem = replace(problem_in(study), target=RegressionTarget("zscore", shift=1.0, scale=2.0))
    poison, truth = study.counts.toarray(), problem.truth.copy()
    poison[24:], truth[24:] = 10**6, np.nan
    other = replace(problem, study=replace(study, table=replace(study.table, counts=sparse.csr_array(poison))), truth=truth)
    here, there = (with_copies(training_of(one), STEPS, PARTS[:1])[0] for one in (problem, other))
    np.testing.assert_array_equal(here.problem.study.counts[48:].toarray(), there.problem.study.counts[48:].toarray())
    np.testing.assert_array_equal(here.problem.study.asv_tokens, there.problem.study.asv_tokens)
    np.testing.assert_array_equal(here.problem.truth[48:], there.problem.truth[48:])


def test_an_unmixed_copy_has_the_truth_of_its_sample(study):
    problem = problem_in(study)
    training, (rows,) = with_copies(training_of(problem), (("rarefy", 0.9),), PARTS[:1])
    np.testing.assert_array_equal(training.problem.truth[rows[24:]], problem.truth[:24])
    assert training.table.counts.shape[1] == study.counts.shape[1]
    assert (training.table.counts[48:].sum(axis=1) <= study.counts[:24].sum(axis=1)).all()


@pytest.mark.parametrize("classes", [False, True])
def test_what_is_judged_is_samples_as_they_are(study, classes):
    problem = problem_in(study, classes=classes)
    learner = EnsembleLearner(QUICK, jobs=1, augment=AugmentOptions(augment="mixup,errors"))
    plain, changed = replace(learner, augment=AugmentOptions()).fit(problem, PARTS[2]), learner.fit(problem, PARTS[2])
    for fitted in (plain, changed):
        assert all(len(said) == 40 for said in fitted.members.judged.said.values())
        np.testing.assert_array_equal(fitted.members.judged.truth, problem.learned[:40])
    assert not np.array_equal(plain.predict(study), changed.predict(study))
    np.testing.assert_array_equal(changed.predict(study), learner.fit(problem, PARTS[2]).predict(study))
    assert (plain.augmentation, changed.augmentation.chosen) == (None, "mixup,errors")
    assert changed.info.learned_from == study.ids(PARTS[2])
