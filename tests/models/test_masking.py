import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aam.data.sequences import Nucleotide
from aam.models.masking import NO_LETTER, hide, mask_abundances, mask_nucleotides, most_masked

STRATEGIES = ["random", "span", "hybrid"]


def tokens_of(lengths, width=40):
    tokens = torch.randint(1, 5, (len(lengths), width), dtype=torch.uint8)
    tokens[:, 0] = Nucleotide.START
    for row, length in enumerate(lengths):
        tokens[row, 1 + length :] = Nucleotide.PAD
    return tokens


@given(
    lengths=st.lists(st.integers(1, 39), min_size=1, max_size=6),
    ratio=st.floats(0.01, 0.99),
    strategy=st.sampled_from(STRATEGIES),
    seed=st.integers(0, 1000),
)
def test_share_and_place(lengths, ratio, strategy, seed):
    tokens = tokens_of(lengths)
    masked = mask_nucleotides(tokens, ratio, strategy, torch.Generator().manual_seed(seed))
    assert not masked[(tokens == Nucleotide.START) | (tokens == Nucleotide.PAD)].any()
    for row, length in enumerate(lengths):
        assert masked[row].sum() == max(1, round(torch.tensor(length * ratio).round().item()))


def test_ambiguous_letters_are_never_masked():
    tokens = tokens_of([10])
    tokens[0, 3:9] = Nucleotide.MASK
    for strategy in STRATEGIES:
        assert not mask_nucleotides(tokens, 0.9, strategy)[0, 3:9].any()
    tokens[0, 1:] = Nucleotide.MASK
    assert not mask_nucleotides(tokens, 0.5, "random").any()


def run_lengths(masked):
    lengths = []
    for row in masked:
        text = "".join("x" if hidden else " " for hidden in row)
        lengths += [len(run) for run in text.split()]
    return torch.tensor(lengths, dtype=torch.float)


def test_spans_are_longer_than_singles():
    tokens = tokens_of([150] * 200, width=151)
    generator = torch.Generator().manual_seed(0)
    singles = run_lengths(mask_nucleotides(tokens, 0.15, "random", generator))
    spans = run_lengths(mask_nucleotides(tokens, 0.15, "span", generator))
    hybrid = run_lengths(mask_nucleotides(tokens, 0.15, "hybrid", generator))
    assert singles.mean() < 1.3
    assert 3.3 < spans.mean() < 5.5
    assert ((spans >= 3).float().mean()) > 0.85
    assert singles.mean() < hybrid.mean() < spans.mean()


def test_the_generator_fixes_the_mask():
    tokens = tokens_of([30] * 5)
    for strategy in STRATEGIES:
        first, second = (mask_nucleotides(tokens, 0.3, strategy, torch.Generator().manual_seed(7)) for _ in range(2))
        assert torch.equal(first, second)


@pytest.mark.parametrize("present", [1, 2, 3, 20])
def test_masked_abundances_leave_some_visible(present):
    asv_mask = torch.arange(25).expand(4, 25) < present
    masked = mask_abundances(asv_mask, 0.9, torch.Generator().manual_seed(0))
    assert not masked[~asv_mask].any()
    assert ((asv_mask & ~masked).sum(dim=1) >= 1).all()
    assert (masked.sum(dim=1) == min(round(0.9 * present), present - 1)).all()


@given(seed=st.integers(0, 1000), length=st.integers(1, 40), ratio=st.floats(0.05, 0.95))
def test_hidden_nucleotides_are_the_masked_ones_row_by_row(seed, length, ratio):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, 7, (5, 1 + length), generator=generator, dtype=torch.uint8)
    tokens[:, 0] = Nucleotide.START
    masked = mask_nucleotides(tokens, ratio, "random", generator)
    hidden = hide(tokens, masked, most_masked(length, ratio))
    there = hidden.letters != NO_LETTER
    assert torch.equal(hidden.tokens, tokens.masked_fill(masked, Nucleotide.MASK))
    assert torch.equal(hidden.letters[there], tokens[masked].long() - Nucleotide.A)
    assert torch.equal(hidden.places[there], masked.nonzero()[:, 1])
    assert torch.equal(there.sum(dim=1), masked.sum(dim=1))
