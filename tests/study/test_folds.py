"""Folds: every sample is held out once, groups stay whole, and what cannot work is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aam.errors import InputError
from aam.study.folds import Fold, inner_folds, leave_one_group_out, make_folds, require_learnable
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


def test_too_few_groups_and_classes_that_cannot_be_learned_are_refused():
    with pytest.raises(InputError, match="`folds=5`: there are 3 groups only"):
        make_folds(9, 5, 1, 0, groups=np.arange(9) // 3)
    labels = np.array([0] * 8 + [1])
    with pytest.raises(InputError, match="class 1 is not among the training samples of repeat 1, fold"):
        leave_one_group_out(np.arange(9), labels)


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
    with pytest.raises(InputError, match="class b is in too few samples or groups"):
        require_learnable(rare, [Fold(0, 0, np.arange(60), np.arange(60, 80))], 0)
    with pytest.raises(InputError, match="one group only, 0"):
        require_learnable(problem, [Fold(0, 0, np.arange(2), np.arange(2, 80))], 0)
    with pytest.raises(InputError, match="class b is never"):
        require_learnable(problem, [Fold(0, 0, np.arange(20, 80), np.flatnonzero(problem.truth[:20] == 0))], 0)
