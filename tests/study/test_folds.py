"""Folds: every sample is held out once, groups stay whole, and what cannot work is refused."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aam.errors import InputError
from aam.study.folds import Fold, inner_folds, leave_one_group_out, make_folds, posed_within, require_learnable
from tests.support.problems import learnable_problem


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(12, 80),
    number=st.integers(2, 5),
    repeats=st.integers(1, 3),
    seed=st.integers(0, 999),
    grouped=st.booleans(),
    classed=st.booleans(),
)
def test_everyone_is_held_out_once_in_each_repeat_and_groups_stay_whole(n, number, repeats, seed, grouped, classed):
    groups = np.arange(n) // 2 if grouped else None
    labels = np.arange(n) % 2 if classed else None
    folds = make_folds(n, number, repeats, seed, groups=groups, labels=labels)
    assert [(fold.repeat, fold.number) for fold in folds] == [(r, k) for r in range(repeats) for k in range(number)]
    for repeat in range(repeats):
        tested = np.concatenate([fold.test for fold in folds if fold.repeat == repeat])
        assert sorted(tested) == list(range(n))
    for fold in folds:
        assert sorted(np.concatenate([fold.train, fold.test])) == list(range(n))
        if groups is not None:
            assert not set(groups[fold.train]) & set(groups[fold.test])
    again = make_folds(n, number, repeats, seed, groups=groups, labels=labels)
    assert all((one.test == other.test).all() for one, other in zip(folds, again, strict=True))


def test_repeats_differ():
    first, second = (fold.test for fold in make_folds(40, 2, 2, 0) if fold.number == 0)
    assert set(first) != set(second)


def test_one_group_at_a_time():
    groups = np.array(["a", "b", "a", "c", "b", "a"])
    tested = [groups[fold.test].tolist() for fold in leave_one_group_out(groups)]
    assert tested == [["a", "a", "a"], ["b", "b"], ["c"]]
    with pytest.raises(InputError, match="one group only, a"):
        leave_one_group_out(groups[[0, 2]])


def test_a_fold_of_one_group_is_named_by_it():
    assert [fold.name for fold in leave_one_group_out(np.array(["a", "b"]))] == ["fold that holds out a", "fold that holds out b"]
    assert make_folds(4, 2, 1, 0)[0].name == "repeat 1, fold 1"


def test_too_few_groups_say_what_can_be_done():
    with pytest.raises(InputError, match="`folds=5`: there are 3 groups only; take `folds=3` or hold out each group in turn"):
        make_folds(9, 5, 1, 0, groups=np.arange(9) // 3)
    with pytest.raises(InputError, match="`folds=5`: there are 4 samples only; take fewer `folds`"):
        make_folds(4, 5, 1, 0)
    for refused in (lambda one: make_folds(4, 2, 1, 0, groups=one), leave_one_group_out):
        with pytest.raises(InputError, match="without `group_column` the scores are those of new samples of the same groups"):
            refused(np.array(["a"] * 4))


def test_a_rare_class_is_named_with_its_size_and_no_library_speaks(caplog):
    labels = np.array(["1"] * 24 + ["2"] + ["3"] * 23, dtype=object)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=r"class 2 \(1 sample\) cannot be both learned and tested; leave"):
            make_folds(48, 5, 1, 0, labels=labels)
        groups, labels[[0, 5]] = np.arange(48) // 4, "2"
        with pytest.raises(InputError, match=r"class 4 \(2 samples of 1 group\) cannot .* being in one group only"):
            leave_one_group_out(groups, np.where(np.arange(48) // 2 == 1, "4", labels).astype(object))
        make_folds(48, 5, 1, 0, groups=groups, labels=labels)
        assert "fewer samples than the 5 folds: class 2 (3 samples of 3 groups); some folds" in caplog.text
        with pytest.raises(InputError, match=r"`folds=5`: the largest class, a \(3 samples\), has fewer samples; take `folds=3`"):
            make_folds(6, 5, 1, 0, labels=np.array(list("aaabbb"), dtype=object))
        # Fewer inner folds, where classes have no more samples.
        assert len(inner_folds(np.arange(4), 3, 0, labels=np.array(list("aabb"), dtype=object))) == 2
        with pytest.raises(InputError, match="each of its 3 training samples is of another class"):
            inner_folds(np.arange(3), 3, 0, labels=np.array(list("abc"), dtype=object))


def test_inner_folds_stay_inside_and_keep_groups_whole():
    groups, rows = np.arange(30) // 3, np.arange(3, 24)
    for learn, judge in inner_folds(rows, 3, 0, groups=groups):
        assert sorted([*learn, *judge]) == list(range(len(rows)))
        assert not set(groups[rows[learn]]) & set(groups[rows[judge]])
    assert len(inner_folds(np.arange(6), 3, 0, groups=groups)) == 2


def test_what_cannot_be_learned_and_chosen_by_is_refused():
    problem = learnable_problem(2)
    folds = make_folds(80, 4, 1, 0, groups=problem.groups, labels=problem.labels)
    require_learnable(problem, folds, 0)
    rare = replace(problem, truth=(problem.groups == 3).astype(int))
    with pytest.raises(
        InputError, match=r"class b \(2 samples of 1 group\): the training samples of repeat 1, fold 1 have too few of it"
    ):
        require_learnable(rare, [Fold(0, 0, np.arange(60), np.arange(60, 80))], 0)
    with pytest.raises(InputError, match=r"class b \(\d+ samples of \d+ groups\) is never tested"):
        require_learnable(problem, [Fold(0, 0, np.arange(20, 80), np.flatnonzero(problem.truth[:20] == 0))], 0)


def test_training_samples_of_one_group_are_parted_by_sample():
    problem = replace(learnable_problem(2), groups=np.repeat(["x", "y"], 40))
    folds = leave_one_group_out(problem.groups, problem.labels)
    require_learnable(problem, folds, 0)
    assert [posed.groups is None for posed in posed_within(problem, folds)] == [True, True]
    three = replace(problem, groups=np.arange(80) % 3)
    assert [posed is three for posed in posed_within(three, leave_one_group_out(three.groups))] == [True] * 3
