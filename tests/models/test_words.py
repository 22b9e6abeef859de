import numpy as np
import pytest
import torch
from torch.nn import functional as F

from aam.data.sequences import Nucleotide, tokenize
from aam.models.words import LETTERS, Words

SEQUENCES = ("ACGTACGTTTGA", "ACGTTNGTACGA", "TTTTTTTTTTTT", "ACG", "NNNNNNNNNNNN")


@pytest.fixture
def tokens():
    return torch.from_numpy(tokenize(SEQUENCES, SEQUENCES, 12))


def fresh(length=3, width=5):
    torch.manual_seed(0)
    words = Words(length, width)
    with torch.no_grad():
        words.table.normal_()
    return words


def mean_of(words, sequence):
    """Letter by letter."""
    found = []
    for start in range(len(sequence) - words.length + 1):
        word = sequence[start : start + words.length]
        if set(word) <= set("ACGT"):
            found.append(1 + sum("ACGT".index(letter) * LETTERS**place for place, letter in enumerate(reversed(word))))
    return words.table[found].mean(dim=0) if found else torch.zeros(words.table.shape[1])


@pytest.mark.parametrize("length", [1, 3, 6])
def test_a_sequence_is_the_mean_of_its_words(tokens, length):
    words = fresh(length)
    wanted = torch.stack([mean_of(words, sequence) for sequence in SEQUENCES])
    torch.testing.assert_close(words(tokens), wanted)
    # Padding changes nothing.
    torch.testing.assert_close(words(tokens[3:4, :4]), wanted[3:4])


def test_mixtures_of_one_letter_each_are_the_sequence(tokens):
    words = fresh()
    mixtures = F.one_hot(tokens.long(), len(Nucleotide)).float()
    torch.testing.assert_close(words.of_mixtures(mixtures), words(tokens))


def test_a_mixture_of_two_letters_is_the_mean_of_both_sequences():
    words = fresh()
    one, other = (torch.from_numpy(tokenize([sequence], ["a"], 8)) for sequence in ("ACGTACGT", "ACGTTCGT"))
    both = (F.one_hot(one.long(), len(Nucleotide)).float() + F.one_hot(other.long(), len(Nucleotide)).float()) / 2
    torch.testing.assert_close(words.of_mixtures(both), (words(one) + words(other)) / 2)


def test_components_are_of_mean_0_deviation_1_and_not_correlated():
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice(list("ACGT"), 40)) for _ in range(80)]
    tokens = torch.from_numpy(tokenize(sequences, sequences, 40))
    words = Words(6, 16)
    words.calibrate(tokens)
    vectors = words(tokens).double()
    torch.testing.assert_close(vectors.T @ vectors / len(vectors), torch.eye(16, dtype=torch.float64), atol=1e-4, rtol=0)
    torch.testing.assert_close(vectors.mean(dim=0), torch.zeros(16, dtype=torch.float64), atol=1e-4, rtol=0)


def test_fewer_sequences_than_components_leave_the_rest_at_nothing(tokens):
    words = Words(3, 16)
    words.calibrate(tokens)
    vectors = words(tokens)
    assert vectors.isfinite().all()
    assert (vectors[:, 4:] == 0).all()
    assert vectors[:, :2].std(dim=0).min() > 0.5
