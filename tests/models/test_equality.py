"""The fast path equals the slow, obvious model: outputs and gradients, whatever the batch."""

import shutil
from contextlib import contextmanager
from dataclasses import replace
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aam.compute import planned_as
from aam.models.precision import Lowered, lowered
from aam.options import AttnImplementation, ComputeOptions
from tests.support import reference
from tests.support.encoders import IN_CHUNKS, make_batch, make_encoder


@contextmanager
def in_threads(number):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    distinct=st.integers(1, 9),
    samples=st.integers(1, 5),
    asvs=st.integers(1, 7),
    mixed_lengths=st.booleans(),
    position_encoding=st.sampled_from(["rotary", "learned"]),
    dials=st.tuples(
        st.booleans(), st.sampled_from(get_args(AttnImplementation)), st.sampled_from([1, 2]), st.sampled_from(["cpu", "cuda"])
    ),
)
def test_outputs_and_gradients_equal_the_reference(seed, distinct, samples, asvs, mixed_lengths, position_encoding, dials):
    gradient_checkpointing, attn_implementation, threads, plan = dials
    chunk = 3 if plan == "cpu" or gradient_checkpointing else None
    compute = ComputeOptions(asv_chunk_size=chunk, attn_implementation=attn_implementation)
    encoder = make_encoder(compute, position_encoding=position_encoding)
    encoder.asv_encoder.gradient_checkpointing = gradient_checkpointing
    batch = make_batch(seed, distinct, samples, asvs, mixed_lengths)
    direction = torch.randn(samples, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def run(function):
        encoder.zero_grad(set_to_none=True)
        output = function()
        (output * direction).sum().backward()
        gradients = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
        return output.detach(), gradients

    with in_threads(threads), planned_as(plan):
        fast, fast_gradients = run(lambda: encoder(*batch))
    slow, slow_gradients = run(lambda: reference.encode(encoder, *batch))
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-8)
    for name, gradient in slow_gradients.items():
        torch.testing.assert_close(fast_gradients[name], gradient, rtol=1e-5, atol=1e-7, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_chunks_change_nothing(chunk):
    batch = make_batch(1, 9, 4, 6, mixed_lengths=True)
    whole, parts = make_encoder(ComputeOptions(asv_chunk_size=9)), make_encoder(ComputeOptions(asv_chunk_size=chunk))
    torch.testing.assert_close(parts(*batch), whole(*batch), rtol=1e-12, atol=1e-12)


def test_mixed_precision_stays_near_full_precision():
    encoder = make_encoder(embedding_dim=32, attention_heads=4).float()
    tokens, index, counts = make_batch(2, 9, 4, 6, mixed_lengths=True)
    full = encoder(tokens, index, counts.float())
    half = lowered(encoder, "bf16")(tokens, index, counts.float())
    assert half.isfinite().all()
    assert (half.float() - full).norm() / full.norm() < 0.05


@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_half_precision_is_handed_on_to_threads_and_to_what_is_computed_again(gradient_checkpointing):
    tokens, index, counts = make_batch(3, 9, 20, 6, mixed_lengths=True)
    gradients = []
    for threads, again, half in ((1, False, False), (1, False, True), (2, gradient_checkpointing, True)):
        encoder = make_encoder(embedding_dim=32, attention_heads=4).float()
        encoder.asv_encoder.gradient_checkpointing = again
        running = Lowered(encoder, ComputeOptions(mixed_precision="bf16" if half else "no"))
        with in_threads(threads):
            running()(tokens, index, counts.float()).float().square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None]))
    full, here, there = gradients
    assert 1e-3 < (there - full).norm() / full.norm() < 0.05
    assert 1e-3 < (here - full).norm() / full.norm() < 0.05


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler")
def test_a_compiled_model_equals_the_plain_one():
    batch = make_batch(4, 9, 4, 6, mixed_lengths=True)
    results = []
    for compute in (IN_CHUNKS, replace(IN_CHUNKS, compile_model=True)):
        encoder = make_encoder(compute, attention_layers=1)
        output = encoder(*batch)
        output.square().sum().backward()
        results.append((output.detach(), encoder.asv_encoder.layers[0].widen.weight.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-9)
    assert encoder.state_dict().keys() == make_encoder(attention_layers=1).state_dict().keys()
