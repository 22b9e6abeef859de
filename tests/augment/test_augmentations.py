"""Augmentations: what is promised of each, and references."""

from functools import partial
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aam.augment.mixup import mixed_shares
from aam.augment.registry import AUGMENTATIONS, augmented, mixed_target
from aam.augment.reverse import reverse_tokens
from aam.augment.sample import Clades, Context, Sample
from aam.augment.substitutions import substituted
from aam.augment.trim import trimmed
from aam.data.sequences import Nucleotide, reverse_complement, tokenize
from aam.errors import InputError
from aam.options import STRENGTHS, AugmentName, AugmentOptions, check_augment
from tests.support.studies import simulated_study

STUDY = simulated_study(n_samples=20)
COUNTS = STUDY.counts
CLADES = Clades.of(STUDY.distance.phylogeny, COUNTS.shape[1])
NAMES = list(AUGMENTATIONS)
MIXING = ("phylomix", "cutmix", "mixup")


def read(row):
    there = slice(*COUNTS.indptr[row : row + 2])
    return COUNTS.indices[there], COUNTS.data[there]


def context(rows=range(20)):
    return Context(np.array(rows), read, STUDY.asv_tokens, CLADES)


def sample_of(row):
    return Sample.of(row, *read(row))


def same(first, second):
    parts = ("columns", "counts", "parents", "weights")
    alike = all(np.array_equal(getattr(first, part), getattr(second, part)) for part in parts)
    return alike and np.array_equal(context().tokens_of(first), context().tokens_of(second))


def test_every_name_has_a_function_and_a_strength():
    assert set(AUGMENTATIONS) == set(STRENGTHS) == set(get_args(AugmentName))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(row=st.integers(0, 19), seed=st.integers(0, 2**31), strength=st.floats(0.01, 1.0))
def test_counts_stay_whole_and_weights_add_up(name, row, seed, strength):
    before = sample_of(row)
    after = AUGMENTATIONS[name](before, min(strength, STRENGTHS[name][1]), np.random.default_rng(seed), context())
    assert after.counts.dtype == np.int64 and (after.counts > 0).all() and len(after.counts) > 0
    assert (np.diff(after.columns) > 0).all() and after.columns.min() >= 0 and after.columns.max() < COUNTS.shape[1]
    assert after.parents[0] == row and len(set(after.parents)) == len(after.parents)
    assert after.weights.sum() == pytest.approx(1) and (after.weights >= 0).all()
    assert len(context().tokens_of(after)) == len(after.columns)
    if name in ("rarefy", "dropout"):
        assert after.depth <= before.depth and set(after.columns) <= set(before.columns)
    if name in (*MIXING, "errors", "reverse", "trim"):
        assert after.depth == before.depth
    if name == "contaminate":
        assert before.depth <= after.depth <= (1 + strength) * before.depth + 1
    if name not in MIXING:
        assert after.parents.tolist() == [row]


@pytest.mark.parametrize("name", NAMES)
def test_a_strong_one_changes_something_and_the_same_seed_gives_the_same(name):
    step = ((name, STRENGTHS[name][1]),)
    first, again, other = (augmented(sample_of(3), step, context(), (seed, 0, 7))[0] for seed in (0, 0, 1))
    assert same(first, again)
    assert not same(first, sample_of(3)) or not same(other, sample_of(3))
    assert not same(first, other) or name == "reverse"


def test_mixes_come_first_and_sequences_last_whatever_the_order_of_names():
    steps = (("errors", 0.1), ("mixup", 1.0), ("rarefy", 0.9))
    first, second = (augmented(sample_of(2), some, context(), (0, 0, 0))[0] for some in (steps, steps[::-1]))
    assert same(first, second) and len(first.parents) == 2 and first.tokens is not None


@pytest.mark.parametrize("name", [*MIXING, "contaminate"])
def test_only_the_samples_of_the_context_are_looked_at(name):
    own = context([1, 2, 3])
    for seed in range(20):
        seen = []
        watched = Context(own.rows, lambda row, seen=seen: (seen.append(row), read(row))[1], own.tokens, own.clades)
        after = AUGMENTATIONS[name](sample_of(1), 1.0, np.random.default_rng(seed), watched)
        assert {*seen, *after.parents} <= {1, 2, 3}
    alone = AUGMENTATIONS[name](sample_of(1), 1.0, np.random.default_rng(0), context([1]))
    assert same(alone, sample_of(1))


def test_the_target_of_a_mixed_sample_is_the_weighted_mean_or_a_class_drawn_by_the_weights():
    sample = Sample(np.array([0]), np.array([1]), np.array([2, 5, 7]), np.array([0.5, 0.3, 0.2]))
    numbers = np.arange(10.0)
    assert mixed_target(numbers, sample, np.random.default_rng(0)) == pytest.approx(sample.weights @ numbers[sample.parents])
    classes, rng = np.array([0, 0, 0, 0, 0, 1, 0, 2, 0, 0]), np.random.default_rng(0)
    drawn = np.bincount([mixed_target(classes, sample, rng) for _ in range(4000)], minlength=3) / 4000
    np.testing.assert_allclose(drawn, sample.weights @ np.eye(3)[classes[sample.parents]], atol=0.03)


def test_mixup_is_that_of_scikit_bio_where_both_samples_have_all_asvs():
    from skbio.table import aitchison_mixup

    pair = np.random.default_rng(0).integers(1, 50, (2, 12)).astype(float)
    wanted, weights = aitchison_mixup(pair, n=1, labels=np.arange(2), seed=1)
    np.testing.assert_allclose(mixed_shares(pair[0], pair[1], weights[0, 1]), wanted[0])


def test_cutmix_takes_each_share_from_one_of_the_two():
    large = Sample(np.arange(6), np.full(6, 10**7), np.array([0]), np.ones(1))
    other = (np.arange(6), np.array([1, 2, 3, 4, 5, 6]) * 10**6)
    around = Context(np.array([0, 1]), lambda row: other, STUDY.asv_tokens)
    for seed in range(10):
        mixed = AUGMENTATIONS["cutmix"](large, 1.0, np.random.default_rng(seed), around)
        shares, theirs = mixed.counts / mixed.counts.sum(), other[1] / other[1].sum()
        # Up to one factor, which makes them add up to 1.
        swapped = [np.where(np.array(list(np.binary_repr(k, 6))) == "1", theirs, 1 / 6) for k in range(64)]
        errors = [np.abs(mix / mix.sum() - shares).max() for mix in swapped]
        assert min(errors) < 2e-3
        best = swapped[int(np.argmin(errors))]
        share = mixed.weights[1] if len(mixed.weights) > 1 else 0.0
        assert share == pytest.approx(best[best != 1 / 6].sum() / best.sum())


def test_phylomix_keeps_the_reads_of_the_clades_and_mixes_the_target_by_them():
    for seed in range(30):
        before = sample_of(0)
        after = AUGMENTATIONS["phylomix"](before, 1.0, np.random.default_rng(seed), context([0, 1]))
        if len(after.parents) == 1:
            # Nothing to exchange: a copy, and its own target.
            assert same(after, before)
        else:
            new = after.counts[~np.isin(after.columns, before.columns)].sum()
            assert 0 < after.weights[1] <= 1 and new / after.depth <= after.weights[1] + 0.1


def test_errors_are_as_frequent_as_asked_for():
    before = context().tokens_of(sample_of(0))
    after = substituted(sample_of(0), 0.1, np.random.default_rng(0), context()).tokens
    letters = (before >= Nucleotide.A) & (before <= Nucleotide.T)
    assert (after[~letters] == before[~letters]).all()
    assert after[letters].min() >= Nucleotide.A and after[letters].max() <= Nucleotide.T
    assert (after != before)[letters].mean() == pytest.approx(0.1, abs=0.04)


def test_reverse_complements_and_trimmed_sequences_are_those_of_text():
    sequences = ["ACGTTGCA", "TTT", "ACGNT", "G"]
    tokens = tokenize(sequences, tuple("abcd"), 20)
    turned = tokenize([reverse_complement(one) for one in sequences], tuple("abcd"), 20)
    np.testing.assert_array_equal(reverse_tokens(tokens), turned)
    np.testing.assert_array_equal(reverse_tokens(turned), tokens)
    cut = trimmed(tokens, 1, 2)
    np.testing.assert_array_equal(cut[:2, :6], tokenize(["CGTTG", "T"], ("a", "b"), 20)[:, :6])
    assert (np.count_nonzero(cut[:, 1:], axis=1) >= 1).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("noise", "noise is not one of rarefy, dropout"),
        ("rarefy,", "nothing is not one of"),
        ("auto,rarefy", "auto is not one of .*; auto stands alone"),
        ("rarefy=2", "the strength of rarefy must be a number above 0, and 0.99 at most"),
        ("errors=x", "the strength of errors must be a number"),
        ("trim=0", "the strength of trim must be a number above 0"),
        ("mixup,mixup", "mixup is there twice"),
    ],
)
def test_what_is_no_augmentation_is_one_line(text, said):
    with pytest.raises(InputError, match=f"`augment={text}`: {said}"):
        AugmentOptions(augment=text)


def test_names_and_strengths_are_read():
    assert AugmentOptions(augment="rarefy, errors=0.005").steps == (("rarefy", 0.5), ("errors", 0.005))
    assert AugmentOptions().steps == AugmentOptions(augment="auto").steps == ()


def test_what_a_study_lacks_is_one_line():
    possible = partial(check_augment, sequences=False, tree=False)
    possible(AugmentOptions(augment="rarefy,mixup"))
    with pytest.raises(InputError, match="`augment=errors` changes sequences"):
        possible(AugmentOptions(augment="errors"))
    with pytest.raises(InputError, match="`augment=phylomix` needs a tree"):
        possible(AugmentOptions(augment="phylomix"))
