"""The models that are compared: which there are, that they learn from training samples only, what becomes of those that fail."""

from dataclasses import replace

import numpy as np
import pytest

from aam.errors import InputError
from aam.evaluation.compare import Outcome
from aam.evaluation.contestants import (
    ENSEMBLE,
    FROZEN,
    PRETRAINED,
    TRANSFORMER,
    WITHOUT_TREES,
    TransformerSettings,
    check_contestants,
    contestants_of,
    ensembles,
    headline_of,
    simple_of,
    transformers_of,
)
from aam.evaluation.kept import KeptFolds
from aam.evaluation.pretrained import RECOVERY, recovery_of
from aam.evaluation.run import folds_of, key_of_run, run_folds
from aam.learners.baselines import Baseline, baselines_of, trivial
from aam.options import (
    ContestOptions,
    EnsembleOptions,
    FoldOptions,
    FoldPretrainOptions,
    ModelOptions,
    ReadOptions,
    TrainFitOptions,
)
from aam.study.folds import make_folds
from aam.study.targets import RegressionTarget
from tests.support.problems import learnable_problem, problem_of, with_counts
from tests.support.studies import QUICK, problem_in, simulated_study


@pytest.fixture(scope="module")
def problem():
    return problem_in(simulated_study())


@pytest.fixture
def settings(tmp_path):
    return TransformerSettings(
        model=ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1),
        fit=TrainFitOptions(epochs=2, batch_size=16),
        pretraining=FoldPretrainOptions(pretrain_epochs=1),
        val_fraction=0.2,
        scratch=tmp_path,
    )


def test_models_have_names_and_an_order(problem, settings):
    simple = list(baselines_of(problem, 0, 1))
    transformers = [TRANSFORMER, PRETRAINED, FROZEN, RECOVERY]
    assert list(contestants_of(problem, ContestOptions(only_baselines=True), 0)) == simple
    assert list(contestants_of(problem, ContestOptions(), 0)) == [*simple, WITHOUT_TREES, ENSEMBLE]
    every = contestants_of(problem, ContestOptions(transformers=True), 0, transformers=settings)
    assert list(every) == [*simple, WITHOUT_TREES, ENSEMBLE, *transformers]
    without = contestants_of(problem, ContestOptions(), 0, ensemble=EnsembleOptions(trees=False))
    assert list(without) == [*simple, WITHOUT_TREES]
    # A frozen base runs once, on one draw of the reads.
    drawn = problem.on(replace(problem.study, reads=ReadOptions(sampling_depth=50, rarefy_each_epoch=True)))
    assert FROZEN not in contestants_of(drawn, ContestOptions(transformers=True), 0)


def test_aam_never_reads_the_truth_of_what_is_held_out(problem, settings):
    """Nor its samples, in pretraining: another truth and other reads of the held-out samples leave the same model."""
    fold = make_folds(len(problem), 3, 1, 0, groups=problem.groups)[0]
    truth, counts = problem.truth.copy(), problem.study.counts.tolil()
    truth[fold.test] = 999.0
    counts[fold.test[1:]] = counts[fold.test[:-1]]
    predicted = []
    for posed in (problem, replace(with_counts(problem, counts.tocsr()), truth=truth)):
        learners = ensembles(QUICK, 0, 1) | transformers_of(settings)
        learners.pop(RECOVERY)
        predicted.append([learner.fit(posed, fold.train).predict(posed.study, fold.train) for learner in learners.values()])
    np.testing.assert_allclose(*predicted, rtol=1e-6)
    assert len(predicted[0]) == 5
    assert all(not np.allclose(*pair) for pair in zip(predicted[0], predicted[0][1:], strict=False))
    assert not list(settings.scratch.iterdir())


@pytest.mark.parametrize("transductive", [False, True])
def test_the_encoder_of_a_fold_is_shared_and_its_recovery_is_no_model(problem, settings, transductive, tmp_path):
    pretraining = FoldPretrainOptions(pretrain_epochs=1, transductive=transductive)
    learners = transformers_of(replace(settings, pretraining=pretraining))
    recovery, start = learners[RECOVERY], learners[PRETRAINED].start
    first, second = np.arange(32), np.arange(16, 48)
    encoder = start.encoder_for(problem, first)
    assert recovery.fit(problem, first).encoder is encoder
    assert (start.encoder_for(problem, second) is encoder) == transductive
    assert set(start.encoder_for(problem, second).info.learned_from) == set(
        problem.study.ids(problem.study.rows if transductive else second)
    )
    assert recovery.fit(problem, first).predict(problem.study, np.arange(2)).tolist() == [0.0]
    folds = make_folds(len(problem), 2, 1, 0, groups=problem.groups)
    contestants = {"median": Baseline(trivial), RECOVERY: recovery}
    outcome, failed = run_folds(problem, contestants, folds, KeptFolds(tmp_path / "folds", "key"))
    outcome, recovered = recovery_of(outcome)
    assert not failed
    assert list(outcome.predictions) == ["median"]
    assert -1 <= recovered <= 1
    assert recovery_of(outcome) == (outcome, None)


def test_what_cannot_work_is_refused_before_anything_is_fitted(problem, settings):
    folds = make_folds(len(problem), 2, 1, 0, groups=problem.groups)
    check_contestants(problem, transformers_of(settings) | ensembles(QUICK, 0, 1), folds)
    wrong = {
        "`best_metric=accuracy`": TrainFitOptions(best_metric="accuracy"),
        "`batch_size=1`": TrainFitOptions(batch_size=1),
    }
    for message, fit in wrong.items():
        with pytest.raises(InputError, match=message):
            check_contestants(problem, transformers_of(replace(settings, fit=fit)), folds)


def no_number(problem, rows, settings):
    return lambda study, asked: np.full(len(asked), np.nan)


def test_a_model_that_fails_in_a_fold_is_left_out_and_a_run_goes_on_where_it_stopped(tmp_path):
    problem = learnable_problem()
    folds = folds_of(problem, FoldOptions(folds=2, repeats=2), 0, len(problem))
    kept = KeptFolds(tmp_path / "folds", "key")
    fitted = []

    def counted(problem, rows, settings):
        fitted.append(len(rows))
        return trivial(problem, rows, settings)

    contestants = {"median": Baseline(counted), "broken": Baseline(no_number)}
    outcome, failed = run_folds(problem, contestants, folds, kept)
    assert failed == ["broken is left out: it failed in repeat 1, fold 1: a prediction is not finite"]
    assert simple_of(contestants, outcome) == ["median"]
    assert not list(kept.folder.glob("*broken*"))
    next(kept.folder.glob("1-2-*")).unlink()
    again, _ = run_folds(problem, contestants, folds, kept)
    assert len(fitted) == 5
    np.testing.assert_array_equal(again.predictions["median"], outcome.predictions["median"])
    with pytest.raises(InputError, match="is of other data or options"):
        run_folds(problem, contestants, folds, KeptFolds(kept.folder, "another key"))


def test_the_verdict_is_about_a_model_that_is_named_beforehand():
    outcome = Outcome(problem_of(np.arange(4.0)), [], {"median": [], WITHOUT_TREES: [], ENSEMBLE: []})
    assert headline_of(outcome) == ENSEMBLE
    assert headline_of(replace(outcome, predictions={"median": []})) is None


def test_a_run_is_known_by_all_that_predictions_depend_on():
    problem = learnable_problem(confounder=True)
    folds = make_folds(80, 4, 1, 0)
    counts = problem.study.counts.toarray()
    about = {"groups": problem.groups, "confounder": problem.confounder, "counts": counts}
    changed = [
        (problem, folds, "options"),
        (problem, folds, "other options"),
        (problem, folds[:2], "options"),
        (problem, make_folds(80, 4, 1, 1), "options"),
        (replace(problem, truth=problem.truth + 1), folds, "options"),
        (replace(problem, groups=None), folds, "options"),
        (replace(problem, confounder=problem.groups), folds, "options"),
        (with_counts(problem, counts + 1), folds, "options"),
        (problem_of(problem.truth, **about, distances=problem.study.distances + 1), folds, "options"),
    ]
    keys = [key_of_run(*arguments) for arguments in changed]
    assert len(set(keys)) == len(keys)
    assert key_of_run(problem, make_folds(80, 4, 1, 0), "options") == keys[0]


def test_folds_are_those_that_the_options_ask_for(tmp_path):
    problem = learnable_problem(2)
    assert len(folds_of(problem, FoldOptions(folds=3, repeats=2), 0, 80)) == 6
    assert len(folds_of(problem, FoldOptions(leave_one_group_out=True), 0, 80)) == 40
    (fold,) = folds_of(problem, FoldOptions(test_table=tmp_path / "other.biom"), 0, 60)
    assert fold.test.tolist() == list(range(60, 80))
    with pytest.raises(InputError, match="`group_column`"):
        folds_of(replace(problem, groups=None), FoldOptions(leave_one_group_out=True), 0, 80)


def test_an_evaluation_in_which_every_model_fails_says_so(tmp_path):
    problem = learnable_problem()
    folds = folds_of(problem, FoldOptions(folds=2), 0, len(problem))
    with pytest.raises(InputError, match="every model failed; the last one: broken is left out"):
        run_folds(problem, {"broken": Baseline(no_number)}, folds, KeptFolds(tmp_path / "folds", "key"))


def test_baselines_need_no_scale_of_the_target():
    problem = learnable_problem()
    problem = replace(problem, truth=problem.truth - problem.truth.max(), target=RegressionTarget("log-zscore"))
    rows = problem.study.rows
    assert np.isfinite(baselines_of(problem, 0, 1)["median"].fit(problem, rows).predict(problem.study)).all()
