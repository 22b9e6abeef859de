"""The usual models: they learn what is there, and nothing from the samples that are tested."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from aam.errors import InputError
from aam.evaluation.checks import (
    explained_by_confounder,
    few_groups,
    near_duplicates,
    other_asvs,
    small_classes,
    ungrouped_columns,
)
from aam.learners import baselines
from aam.learners.baselines import Prevalent, Task, baselines_of, centred_log_ratio
from aam.study.folds import Fold, make_folds, require_learnable


@pytest.fixture(autouse=True)
def quick_baselines(monkeypatch):
    monkeypatch.setattr(baselines, "_TREES", 20)
    monkeypatch.setattr(baselines, "_TREES_TO_CHOOSE", 10)
    monkeypatch.setattr(baselines, "_BOOSTS", 20)


def make_task(classes=None, n=80, confounder=False):
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (n, 30)) * (rng.random((n, 30)) < 0.6)
    counts[:, 0] = 5
    signal = counts[:, 1:4].sum(axis=1) - counts[:, 4:7].sum(axis=1)
    truth = signal.astype(float) if classes is None else np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes))
    rows = np.log1p(counts)
    distances = np.abs(rows[:, None] - rows).sum(axis=2)
    levels = np.array(["x", "y"])[(signal > 0).astype(int)] if confounder else None
    groups = np.arange(n) // 2
    return Task(sparse.csr_array(counts), truth, classes, groups, levels, lambda: distances, 0, 1)


@pytest.mark.parametrize("classes", [None, 2, 3])
def test_every_model_beats_the_trivial_one_and_never_reads_the_truth_of_what_is_tested(classes):
    task = make_task(classes, confounder=True)
    fold = make_folds(80, 4, 1, 0, groups=task.groups, labels=task.labels)[0]
    hidden = task.truth.copy()
    hidden[fold.test] = 0 if classes else 1e6
    losses = {}
    for name, learner in baselines_of(task).items():
        predicted = learner(task, fold.train, fold.test)
        assert predicted.shape == ((len(fold.test),) if classes is None else (len(fold.test), classes))
        if classes:
            np.testing.assert_allclose(predicted.sum(axis=1), 1)
        again = learner(replace(task, truth=hidden), fold.train, fold.test)
        np.testing.assert_array_equal(again, predicted, err_msg=name)
        # Nor do the other tested samples tell it anything.
        other = task.counts.toarray()
        other[fold.test[1:]] = other[fold.test[1:]][:, ::-1] + 1
        alone = learner(replace(task, counts=sparse.csr_array(other)), fold.train, fold.test)
        np.testing.assert_allclose(alone[0], predicted[0], rtol=1e-6, err_msg=name)
        losses[name] = baselines.loss_of(task, task.truth[fold.test], predicted)
    trivial = losses.pop("median" if classes is None else "class shares")
    assert len(losses) == 7
    assert sum(loss < trivial for loss in losses.values()) >= 5


def test_what_cannot_be_learned_and_chosen_by_is_refused():
    task = make_task(2)
    folds = make_folds(80, 4, 1, 0, groups=task.groups, labels=task.labels)
    require_learnable(task, folds, ("a", "b"))
    rare = replace(task, truth=(task.groups == 3).astype(int))
    with pytest.raises(InputError, match="class b is in too few samples or groups"):
        require_learnable(rare, [Fold(0, 0, np.arange(60), np.arange(60, 80))], ("a", "b"))
    with pytest.raises(InputError, match="one group is learned from only, 0"):
        require_learnable(task, [Fold(0, 0, np.arange(2), np.arange(2, 80))], ("a", "b"))
    with pytest.raises(InputError, match="class b is never tested"):
        require_learnable(task, [Fold(0, 0, np.arange(20, 80), np.flatnonzero(task.truth[:20] == 0))], ("a", "b"))


def test_levels_that_training_lacks_get_the_prediction_over_all():
    task = make_task(confounder=True)
    levels = task.confounder.copy()
    levels[:3] = "new"
    predicted = baselines.by_confounder(replace(task, confounder=levels), np.arange(10, 80), np.arange(10))
    assert (predicted[:3] == np.median(task.truth[10:])).all()
    assert predicted[5] == np.median(task.truth[10:][levels[10:] == levels[5]])


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


def test_warnings_say_what_is_wrong():
    import pandas as pd

    task = make_task(2)
    counts = task.counts.toarray()
    counts[1::2] = counts[::2]
    twins = replace(task, counts=sparse.csr_array(counts), groups=None)
    assert "near copy" in near_duplicates(twins, make_folds(80, 4, 1, 0))
    assert near_duplicates(twins, make_folds(80, 4, 1, 0, groups=task.groups)) is None
    metadata = pd.DataFrame({"host_subject_id": ["a", "b"] * 40, "age": range(80), "sample_site": range(80)})
    assert "host_subject_id (2 values)" in ungrouped_columns(metadata, "age")
    assert ungrouped_columns(metadata, "host_subject_id") is None
    rare = replace(task, truth=(np.arange(80) < 3).astype(int))
    assert small_classes(rare, ("common", "rare")) == "Too few to learn or score well: rare (3 samples of 2 groups)."
    assert "study alone explains" in explained_by_confounder("study", "mae", best=5.0, confounded=4.9, trivial=8.6)
    assert explained_by_confounder("study", "mae", best=8.7, confounded=8.6, trivial=8.6) is None  # nothing explains it
    assert explained_by_confounder("study", "auc", best=0.9, confounded=0.6, trivial=0.5) is None
    assert "study alone explains" in explained_by_confounder("study", "auc", best=0.9, confounded=0.89, trivial=0.5)
    folds = make_folds(80, 4, 1, 0)
    assert other_asvs(task, folds) is None
    apart = task.counts.toarray()
    apart[folds[0].test] = np.r_[np.zeros(29), 5]
    apart[folds[0].train, 29] = 0
    assert "Only 0 % of the reads" in other_asvs(replace(task, counts=sparse.csr_array(apart)), folds)
    assert few_groups(task, folds) is None
    assert few_groups(replace(task, groups=np.arange(80) // 20), folds).startswith("4 groups are tested only")
