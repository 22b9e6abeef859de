"""Gradients estimated from some rows: their mean is that of all."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aam.models import asv_encoder, sampled
from aam.models.chunks import run_chunks
from aam.models.sampled import draw
from aam.options import ComputeOptions
from tests.support.encoders import make_batch, make_encoder


@given(sizes=st.lists(st.floats(0, 1e6), min_size=1, max_size=60), share=st.floats(0.01, 1), seed=st.integers(0, 1000))
def test_each_row_is_drawn_at_most_once_and_there_are_as_many_as_asked_for(sizes, share, seed):
    number = max(1, round(share * len(sizes)))
    uniform = torch.rand(len(sizes) + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    chosen, weights = draw(torch.tensor(sizes), number, uniform)
    assert len(chosen) == number == len(chosen.unique())
    assert (weights >= 1 - 1e-9).all()


def test_rows_come_as_often_as_their_weights_say():
    sizes = torch.tensor([5.0, 1.0, 1.0, 0.5, 0.1, 0.0, 100.0, 2.0])
    generator = torch.Generator().manual_seed(0)
    total, often = torch.zeros(8, dtype=torch.float64), torch.zeros(8)
    for _ in range(4000):
        chosen, weights = draw(sizes, 4, torch.rand(9, dtype=torch.float64, generator=generator))
        total[chosen] += weights
        often[chosen] += 1
    torch.testing.assert_close(total / 4000, torch.ones(8, dtype=torch.float64), rtol=0, atol=0.15)
    assert often[6] == 4000
    assert often[0] > often[1] > often[3] > often[5] > 0


def gradients_of(encoder, tokens, direction):
    encoder.zero_grad(set_to_none=True)
    output = encoder(tokens)
    (output * direction).sum().backward()
    return output.detach(), torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None])


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_mean_of_the_estimates_is_the_gradient_of_all(monkeypatch, checkpointing):
    monkeypatch.setattr(asv_encoder, "_FEWEST_WITH_GRADIENTS", 2)
    encoder = make_encoder(ComputeOptions(asv_chunk_size=4), attention_layers=1).asv_encoder.train()
    encoder.gradient_checkpointing = checkpointing
    tokens = make_batch(1, 12, 2, 3, mixed_lengths=True)[0]
    direction = torch.randn(12, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    direction[::3] *= 10
    vectors, whole = gradients_of(encoder, tokens, direction)
    encoder.gradients_of = 0.5
    estimates = []
    for seed in range(300):
        torch.manual_seed(seed)
        said, estimate = gradients_of(encoder, tokens, direction)
        torch.testing.assert_close(said, vectors)
        estimates.append(estimate)
    found = torch.stack(estimates)
    assert (found[0] - whole).norm() > 0.05 * whole.norm()
    # Of 300 estimates, within four standard errors of their mean.
    error = (found.mean(dim=0) - whole).norm()
    assert error < 4 * (found.var(dim=0).sum() / 300).sqrt()
    torch.manual_seed(7)
    again = gradients_of(encoder, tokens, direction)[1]
    assert torch.equal(again, estimates[7])


def test_all_gradients_are_computed_of_few_asvs_and_outside_of_training(monkeypatch):
    encoder = make_encoder(ComputeOptions(asv_chunk_size=4), attention_layers=1).asv_encoder.train()
    tokens = make_batch(1, 12, 2, 3, mixed_lengths=True)[0]
    direction = torch.randn(12, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = gradients_of(encoder, tokens, direction)[1]
    encoder.gradients_of = 0.25
    torch.testing.assert_close(gradients_of(encoder, tokens, direction)[1], whole)
    monkeypatch.setattr(asv_encoder, "_FEWEST_WITH_GRADIENTS", 2)
    assert not torch.allclose(gradients_of(encoder, tokens, direction)[1], whole)
    torch.testing.assert_close(gradients_of(encoder.eval(), tokens, direction)[1], whole)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_a_row_without_gradient_is_drawn_where_all_have_none(seed):
    uniform = torch.rand(10, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    chosen, weights = draw(torch.zeros(9), 3, uniform)
    assert len(chosen.unique()) == 3
    torch.testing.assert_close(weights, torch.full((3,), 3.0, dtype=torch.float64))


def test_gradient_checkpointing_keeps_nothing_of_the_chosen_rows_but_a_chunk(monkeypatch):
    ran = []
    monkeypatch.setattr(
        sampled, "run_chunks", lambda work, shared, parameters: ran.append(work.recompute) or run_chunks(work, shared, parameters)
    )
    encoder = make_encoder(ComputeOptions(asv_chunk_size=4), attention_layers=1).asv_encoder.train()
    tokens = make_batch(1, 40, 2, 3, mixed_lengths=False)[0]
    encoder.gradients_of = 0.5
    for checkpointing in (False, True):
        encoder.gradient_checkpointing = checkpointing
        encoder(tokens).sum().backward()
    # All of them forward, and those that were chosen with a graph.
    assert ran == [False, False, False, True]
