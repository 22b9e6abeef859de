"""A sample is a set of ASVs with counts: nothing else about how it is laid out may change its embedding."""

import pytest
import torch
import torch.nn.functional as F

from aam.data.sequences import Nucleotide
from aam.models.masking import hide, mask_abundances
from aam.models.pooling import AttentionPooling
from aam.training.objectives.distances import sample_pairs
from tests.support.encoders import make_batch, make_encoder


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_order_of_asvs_changes_nothing():
    encoder = make_encoder()
    tokens, index, counts = make_batch(0, 8, 4, 6, mixed_lengths=True)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    close(encoder(tokens, index[:, order], counts[:, order]), encoder(tokens, index, counts))


def test_order_of_distinct_asvs_changes_nothing():
    encoder = make_encoder()
    tokens, index, counts = make_batch(0, 8, 4, 6, mixed_lengths=True)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    close(encoder(tokens[order], order.argsort()[index], counts), encoder(tokens, index, counts))


def test_padding_of_samples_and_sequences_changes_nothing():
    encoder = make_encoder()
    tokens, index, counts = make_batch(0, 8, 4, 6, mixed_lengths=True)
    expected = encoder(tokens, index, counts)
    close(encoder(tokens, F.pad(index, (0, 5), value=3), F.pad(counts, (0, 5))), expected)
    close(encoder(F.pad(tokens, (0, 7)), index, counts), expected)


def test_batch_mates_change_nothing():
    encoder = make_encoder()
    tokens, index, counts = make_batch(0, 8, 4, 6, mixed_lengths=True)
    alone = torch.cat([encoder(tokens, index[[row]], counts[[row]]) for row in range(4)])
    close(alone, encoder(tokens, index, counts))


def test_depth_alone_changes_nothing_but_composition_does():
    encoder = make_encoder()
    tokens, index, counts = make_batch(0, 8, 4, 6, mixed_lengths=True)
    expected = encoder(tokens, index, counts)
    close(encoder(tokens, index, 7 * counts), expected)
    counts[0, 0] += 30
    assert (encoder(tokens, index, counts)[0] - expected[0]).abs().max() > 1e-3


def test_a_duplicated_sample_has_distance_zero():
    encoder = make_encoder()
    tokens, index, counts = make_batch(0, 8, 2, 6, mixed_lengths=False)
    twice = encoder(tokens, index[[0, 0, 1]], counts[[0, 0, 1]])
    pairs = sample_pairs(twice, torch.zeros(3, 3))
    assert pairs.predicted[0] == 0
    assert (pairs.predicted[1:] > 1e-3).all()


def test_masked_nucleotides_do_not_leak():
    encoder = make_encoder()
    tokens, _, _ = make_batch(0, 5, 1, 1, mixed_lengths=False)
    masked = torch.zeros(tokens.shape, dtype=torch.bool)
    masked[:, 4:7] = True
    other = tokens.clone()
    other[:, 4:7] = other[:, 4:7] % 4 + 1
    assert (other[masked] != tokens[masked]).all()

    def said_of(tokens, masked):
        return encoder.asv_encoder.masked_nucleotides(hide(tokens, masked, 3))[1]

    assert torch.equal(said_of(tokens, masked), said_of(other, masked))
    # The same change in the open is seen.
    elsewhere = masked.roll(4, dims=1)
    assert not torch.allclose(said_of(other, elsewhere), said_of(tokens, elsewhere))


def test_masked_abundances_do_not_leak():
    encoder = make_encoder()
    tokens, index, counts = make_batch(0, 8, 4, 6, mixed_lengths=False)
    counts += 1
    vectors = encoder.asv_encoder(tokens)
    masked = mask_abundances(counts > 0, 0.3, torch.Generator().manual_seed(0))
    changed = counts.where(~masked, counts * 13)
    before = encoder.sample_encoder.abundances(vectors, index, counts, masked)
    assert torch.equal(encoder.sample_encoder.abundances(vectors, index, changed, masked), before)
    visible = counts.where(masked, counts * torch.arange(1, 7))
    assert not torch.allclose(encoder.sample_encoder.abundances(vectors, index, visible, masked), before)


def test_pooling_is_safe_for_any_mask():
    pooling = AttentionPooling(8, 2)
    x = torch.randn(3, 4, 8, requires_grad=True)
    mask = torch.tensor([[True] * 4, [True, False, False, False], [False] * 4])
    pooled = pooling(x, mask)
    torch.testing.assert_close(pooled[2], pooling.out.bias)
    pooled.sum().backward()
    assert pooled.isfinite().all()
    assert x.grad.isfinite().all()
    assert (x.grad[2] == 0).all()
    assert (x.grad[1, 1:] == 0).all()


def test_attention_is_safe_where_nothing_is_visible():
    encoder = make_encoder()
    tokens = torch.full((2, 5), Nucleotide.PAD, dtype=torch.uint8)
    assert encoder.asv_encoder(tokens).isfinite().all()


@pytest.mark.parametrize("word_length", [0, 3])
def test_calibration_makes_asvs_differ_and_distances_typical(word_length):
    encoder = make_encoder(word_length=word_length)
    tokens, index, counts = make_batch(0, 40, 12, 10, mixed_lengths=True)
    encoder.calibrate(tokens, index, counts)
    vectors = encoder.asv_encoder(tokens)
    close(vectors.mean(dim=0), torch.zeros(16, dtype=torch.float64))
    if word_length:
        worded = encoder.asv_encoder.words.words(tokens).any(dim=1)
        close((vectors - encoder.asv_encoder.words(tokens)).std(dim=0, correction=0), torch.full((16,), 0.1, dtype=torch.float64))
        close(encoder.asv_encoder.words(tokens)[worded].std(dim=0, correction=0), torch.ones(16, dtype=torch.float64))
    else:
        close(vectors.std(dim=0, correction=0), torch.ones(16, dtype=torch.float64))
    close(torch.pdist(encoder(tokens, index, counts)).mean(), torch.tensor(0.6, dtype=torch.float64))


def test_calibration_to_one_sample_of_one_asv_is_harmless():
    encoder = make_encoder()
    tokens, index, counts = make_batch(0, 1, 1, 1, mixed_lengths=False)
    encoder.calibrate(tokens, index, counts)
    assert encoder(tokens, index, counts).isfinite().all()
