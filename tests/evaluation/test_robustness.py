"""Held-out samples that are made worse: only these, by how much was asked for, the same for the same seed."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from aam.data.table import FeatureTable
from aam.evaluation.compare import Outcome, mean_score
from aam.evaluation.contestants import ENSEMBLE, ensembles
from aam.evaluation.kept import KeptFolds
from aam.evaluation.robustness import FOREST, PERTURBATIONS, falls_table, perturbations_of, perturbed, robustness_of
from aam.evaluation.run import run_folds
from aam.learners.baselines import Baseline, Prevalent, trees
from aam.study.folds import make_folds
from tests.support.studies import QUICK, problem_in, simulated_study, without_sequences

BY_NAME = {one.name: one for one in PERTURBATIONS}


@pytest.fixture(scope="module")
def problem():
    return problem_in(simulated_study())


@pytest.fixture(scope="module")
def folds(problem):
    return make_folds(len(problem), 2, 1, 0, groups=problem.groups)


@pytest.mark.parametrize("perturbation", PERTURBATIONS, ids=lambda one: one.name)
def test_held_out_samples_change_as_they_should(problem, folds, perturbation):
    level, fold = perturbation.levels[-1], folds[0]
    study, again = (perturbed(problem, fold, perturbation, level, 0) for _ in range(2))
    before, after = problem.study.counts[fold.test], study.counts
    width = before.shape[1]
    assert after.shape[0] == len(fold.test) and after.data.min() > 0
    np.testing.assert_array_equal(after.toarray(), again.counts.toarray())
    depths, now = before.sum(axis=1), after.sum(axis=1)
    if perturbation.name == "reads left out":
        np.testing.assert_allclose(now, (1 - level) * depths, atol=0.5)
        assert (after.toarray() <= before.toarray()).all()
    elif perturbation.name == "ASVs left out":
        kept = after.toarray()
        assert ((kept == 0) | (kept == before.toarray())).all() and (kept > 0).sum() < (before.toarray() > 0).sum()
    elif perturbation.name == "contamination":
        assert (now <= (1 + level) * depths + 1).all() and (after.toarray() >= before.toarray()).all()
    else:
        assert after.shape[1] > width and (now == depths).all()
        assert len(study.sequences) == len(study.asv_tokens) == after.shape[1]


def test_what_contaminates_is_of_training_samples(problem, folds):
    fold, poison = folds[0], problem.study.counts.toarray()
    new = np.zeros((len(problem), 1), dtype=np.int64)
    new[fold.test] = 10**6
    ids = (*problem.study.table.feature_ids, "poison")
    study = problem.study
    wide = FeatureTable(sparse.csr_array(np.hstack([poison, new])), study.table.sample_ids, ids)
    tokens = np.concatenate([study.asv_tokens, study.asv_tokens[:1]])
    more = replace(problem, study=replace(study, table=wide, asv_tokens=tokens, sequences=(*study.sequences, study.sequences[0])))
    found = perturbed(more, fold, BY_NAME["contamination"], 0.25, 0)
    assert (found.counts[:, [len(ids) - 1]].toarray() == 10**6).all()


def test_higher_levels_leave_out_what_lower_ones_do(problem, folds):
    kept = [perturbed(problem, folds[0], BY_NAME["ASVs left out"], level, 0).counts.toarray() > 0 for level in (0.25, 0.5, 0.75)]
    # One ASV stays at least, whichever it is.
    assert all((more & ~less).sum() <= len(folds[0].test) for less, more in pairwise(kept))


def test_features_without_sequences_have_fewer():
    names = {one.name for one in perturbations_of(without_sequences(simulated_study()))}
    assert names == {"reads left out", "ASVs left out", "contamination"}


@pytest.mark.parametrize("classes", [False, True])
def test_scores_at_every_level_are_those_of_the_models_of_the_folds(tmp_path, classes):
    problem = problem_in(simulated_study(), classes=classes)
    folds = make_folds(len(problem), 2, 1, 0, groups=problem.groups, labels=problem.labels)
    contestants = {**ensembles(QUICK, 0, 1), FOREST: Baseline(trees("forest", (Prevalent(),)))}
    kept = KeptFolds(tmp_path / "folds", "key")
    outcome, _ = run_folds(problem, contestants, folds, kept, ENSEMBLE)
    falls = robustness_of(problem, folds, contestants, ENSEMBLE, kept, 0)
    assert [fall.model for fall in falls].count(ENSEMBLE) == len(falls) / 2 == sum(1 + len(one.levels) for one in PERTURBATIONS)
    for fall in falls:
        if fall.level == 0:
            assert fall.score == pytest.approx(mean_score(outcome, fall.model)) and fall.change == 0
    turned = next(fall for fall in falls if fall.model == FOREST and fall.perturbation == "reverse complement" and fall.level)
    # A forest knows ASVs by their identity: it says the same of all samples.
    said = []
    for fold in folds:
        study = perturbed(problem, fold, BY_NAME["reverse complement"], 1.0, 0)
        said.append(contestants[FOREST].fit(problem, fold.train).predict(study, study.rows))
    assert turned.score == pytest.approx(mean_score(Outcome(problem, folds, {FOREST: said}), FOREST))
    assert all(len(np.unique(part, axis=0)) == 1 for part in said)
    table = falls_table(falls, problem.target.measure.key)
    assert list(table.columns)[:4] == ["perturbation", "level", "model", problem.target.measure.key]
