"""Truths that are another sample's, among truths as a model predicts them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from aam.evaluation.errors import mixture
from aam.evaluation.errors.held_out import HeldOut
from aam.evaluation.errors.mixture import Mixture


def numbers(seed, *, each=4, groups=150, swapped=0.0):
    """Numbers whose errors are mostly those of groups; which labels are another sample's."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(groups), each)
    truth = np.repeat(rng.normal(0, 10, groups), each)
    said = truth + np.repeat(rng.normal(0, 5, groups), each) + rng.normal(0, 2, len(unit))
    wrong = rng.random(len(unit)) < swapped
    truth[wrong] = rng.permutation(truth[wrong])
    nothing = np.zeros(len(unit))
    return HeldOut(np.arange(len(unit)), unit, truth, said, nothing, nothing, None), wrong


def classes(seed, number, *, each=4, groups=250, swapped=0.0, sure=4.0):
    """Classes of groups, some of which look like another class, all their samples alike; which labels are wrong."""
    rng = np.random.default_rng(seed)
    unit, truth = np.repeat(np.arange(groups), each), np.repeat(rng.integers(number, size=groups), each)
    looks = np.repeat(np.where(rng.random(groups) < 0.1, rng.integers(number, size=groups), truth[::each]), each)
    said = softmax(sure * np.eye(number)[looks] + rng.normal(size=(len(unit), number)), axis=1)
    wrong = rng.random(len(unit)) < swapped
    truth = np.where(wrong, (truth + rng.integers(1, number, len(unit))) % number, truth)
    nothing = np.zeros(len(unit))
    return HeldOut(np.arange(len(unit)), unit, truth, said, nothing, None, None, said, said > 0), wrong


@pytest.mark.parametrize(
    "make", [numbers, lambda *args, **kw: classes(*args, 2, **kw), lambda *args, **kw: classes(*args, 5, **kw)]
)
def test_labels_of_other_samples_are_found_and_groups_that_are_wrong_as_a_whole_are_not(make):
    for seed in range(3):
        held, wrong = make(seed, swapped=0.05)
        found = Mixture.of(held)
        assert found.p < 1e-3
        assert 0.01 < found.share < 0.08
        assert wrong[found.likely > 0.5].mean() > 0.85
        assert (found.likely[wrong] > 0.5).mean() > 0.2
        clean = Mixture.of(make(seed)[0])
        assert clean.p > 0.01
        assert clean.likely.max() < 0.9


def test_where_no_sample_has_a_group_labels_are_found_by_themselves():
    held, wrong = classes(0, 2, each=1, groups=1000, swapped=0.05)
    looks = held.said.argmax(axis=1)
    # Without groups that look like another class, which nothing tells from wrong labels then.
    held = replace(held, truth=np.where(wrong, 1 - looks, looks))
    found = Mixture.of(held)
    assert found.p < 1e-3
    assert wrong[found.likely > 0.5].mean() > 0.9
    assert Mixture.of(replace(held, truth=looks)).p > 0.02


def test_truths_have_probabilities_that_add_up_to_1_whatever_their_group_shares():
    held, _ = classes(0, 3, each=2, groups=40)
    # All truths but one stay, so that classes are as common; that one is each class in turn.
    begin = np.array([0.3, -0.2])
    found = []
    for k in range(3):
        truth = held.truth.copy()
        share = np.bincount(held.truth, minlength=3)
        truth[0] = k
        rest = np.flatnonzero(np.arange(len(truth)) > 0)
        swap = rest[truth[rest] == k][0]
        truth[swap] = held.truth[0]
        assert (np.bincount(truth, minlength=3) == share).all()
        parts, *_ = mixture._of_classes(replace(held, truth=truth), grouped=True)
        as_said, random, weight = parts(begin)
        found.append((as_said[0], random[0]))
        assert np.exp(weight).sum() == pytest.approx(1)
    np.testing.assert_allclose(np.sum(found, axis=0), 1)


def test_of_two_classes_a_wrong_label_is_the_other_one():
    held, _ = classes(1, 2, each=2, groups=40)
    as_said, random, _ = mixture._of_classes(held, grouped=True)[0](np.array([0.1, 0.0]))
    np.testing.assert_allclose(random, 1 - as_said)
