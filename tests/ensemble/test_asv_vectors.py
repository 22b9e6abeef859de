"""Fixed vectors of ASVs, from the words of their sequences."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aam.data.sequences import tokenize
from aam.ensemble.asv_vectors import SequenceWords, count_words
from tests.support.studies import simulated_study

WIDTH = 256


def test_words_are_counted_as_they_stand_and_other_letters_break_them():
    tokens = tokenize(("ACGTACGTA", "ACGNACGTAC", "ACG"), ("a", "b", "c"), 150)
    counts = count_words(tokens).power(2).toarray().round()
    assert counts.sum(axis=1).tolist() == [4, 1, 0]
    # ACGTAC, least significant letter first.
    place = sum(letter * 4**power for power, letter in enumerate([0, 1, 2, 3, 0, 1]))
    assert counts[0, place] == 1
    assert counts[1, place] == 1


def test_vectors_are_of_mean_0_and_variance_1_and_of_each_sequence_alone():
    tokens = simulated_study().asv_tokens
    words = SequenceWords.fit(tokens, WIDTH)
    vectors = words.vectors(tokens)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(vectors.std(axis=0), 1, atol=1e-3)
    np.testing.assert_allclose(words.vectors(tokens[5:7]), vectors[5:7], atol=1e-5)


def test_vectors_are_no_wider_than_asked():
    tokens = simulated_study().asv_tokens
    assert SequenceWords.fit(tokens, 7).vectors(tokens).shape == (len(tokens), 7)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text("ACGTN", min_size=1, max_size=20), min_size=1, max_size=6, unique=True))
def test_any_sequences_have_finite_vectors(sequences):
    tokens = tokenize(tuple(sequences), tuple(sequences), 150)
    assert np.isfinite(SequenceWords.fit(tokens, WIDTH).vectors(tokens)).all()
