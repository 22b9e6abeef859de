"""The benchmark of pretraining: which samples are trained on, and what trees are given."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aam.learners.pretraining import PretrainingLearner
from aam.options import FitOptions, ModelOptions, PretrainObjectives
from aam.study.folds import make_folds
from benchmarks import pretrained_vectors, pretraining_pays
from tests.support.studies import QUICK, problem_in, simulated_study


@pytest.fixture(scope="module")
def encoder():
    learner = PretrainingLearner(
        model=ModelOptions(embedding_dim=32, attention_layers=0, clades=20),
        objectives=PretrainObjectives(nuc_penalty=0.0),
        options=FitOptions(batch_size=16, epochs=2),
        show=False,
    )
    return learner.fit(simulated_study(), np.arange(48))


def test_few_training_samples_are_of_the_fold_and_of_all_classes():
    problem = problem_in(simulated_study(), classes=True)
    for fold in make_folds(48, 5, 1, 0, groups=problem.groups, labels=problem.labels):
        chosen = pretraining_pays.some_of(problem, fold, 10)
        assert len(set(chosen)) == 10
        assert set(chosen) <= set(fold.train)
        expected = 10 * problem.truth[fold.train].mean()
        assert abs(problem.truth[chosen].sum() - expected) <= 1
        np.testing.assert_array_equal(pretraining_pays.some_of(problem, fold, None), fold.train)


def test_few_training_samples_of_a_number_are_any():
    problem = problem_in(simulated_study())
    (fold, *_) = make_folds(48, 5, 1, 0, groups=problem.groups)
    chosen = pretraining_pays.some_of(problem, fold, 10)
    assert len(set(chosen)) == 10
    assert set(chosen) <= set(fold.train)


def test_trees_are_given_the_clades_of_a_sample_and_how_much_is_in_them(encoder):
    problem = problem_in(simulated_study())
    given, counts = pretraining_pays.clades_of(problem, encoder), problem.study.counts.toarray()
    with torch.no_grad():
        told = torch.sigmoid(encoder.encoder.logits(torch.from_numpy(encoder.embed_asvs(problem.study)))).numpy()
    for row in (0, 17, 47):
        np.testing.assert_allclose(given[row, :20], told[counts[row] > 0].max(axis=0), rtol=1e-5)
        np.testing.assert_allclose(given[row, 20:], np.sqrt(counts[row] / counts[row].sum() @ told), rtol=1e-4)


def test_a_table_has_a_line_for_each_contestant_and_keeps_what_was_run(encoder, tmp_path):
    problem = problem_in(simulated_study(), classes=True)
    folds = make_folds(48, 3, 1, 0, groups=problem.groups, labels=problem.labels)
    found = pretraining_pays.contestants(problem, encoder)
    asked = {name: found[name] for name in (pretraining_pays.FOREST, pretraining_pays.LINEAR, pretraining_pays.BOTH)}
    outcomes = pretraining_pays.outcomes_of(problem, folds, tmp_path / "question", asked)
    lines = pretraining_pays.table(outcomes).splitlines()
    assert lines[0].split(" | ")[1:] == ["20 samples", "all (32 or more) |"]
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == list(asked)
    untouched = dict.fromkeys(asked)
    again = pretraining_pays.outcomes_of(problem, folds, tmp_path / "question", untouched)
    assert pretraining_pays.table(again).splitlines() == lines
    pretraining_pays.draw({"a": outcomes, "b": outcomes}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_members_of_an_ensemble_see_pretrained_vectors(encoder, monkeypatch):
    problem = problem_in(simulated_study())
    (fold, *_) = make_folds(48, 3, 1, 0, groups=problem.groups)
    monkeypatch.setattr(pretrained_vectors, "EnsembleOptions", lambda trees: replace(QUICK, trees=trees))
    names = (pretrained_vectors.WORDS, pretrained_vectors.CLADES, pretrained_vectors.BOTH)
    said = [pretrained_vectors.answers(name, encoder.encoder, problem, fold)["held_out"] for name in (*names, names[0])]
    np.testing.assert_array_equal(said[0], said[3])
    for number, other in ((0, 1), (0, 2), (1, 2)):
        assert not np.allclose(said[number], said[other])


def test_an_encoder_goes_on_learning(encoder):
    problem = problem_in(simulated_study())
    quick = replace(pretraining_pays._FIT, max_steps=4)
    before = encoder.embed(problem.study)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining_pays, "_FIT", quick)
        said = pretraining_pays.tuned(problem, encoder, np.arange(40), np.arange(40, 48))
    assert said.shape == (8,)
    np.testing.assert_array_equal(encoder.embed(problem.study), before)
