"""The plan of a run's memory: measured costs foretell what a step keeps, and batches are made by them."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from aam.data.dataset import Collate, SampleDataset
from aam.data.sequences import tokenize
from aam.data.simulate import simulate
from aam.data.stream import StreamedCounts
from aam.errors import InputError
from aam.models import SequenceEncoder
from aam.models.precision import lowered
from aam.options import ComputeOptions, FitOptions, ModelOptions, PretrainObjectives, ReadOptions, TrainComputeOptions
from aam.training.memory import (
    Limit,
    StepCost,
    TrainingTable,
    _try_step,
    by_trial,
    bytes_in_use,
    choose_limit,
    count_kept_bytes,
    largest_batch,
    measure_cost,
    plan_memory,
    require_each_fits,
    step_loss,
)

OBJECTIVES = PretrainObjectives()


@pytest.fixture(scope="module")
def table():
    community = simulate(0, n_samples=40, n_asvs=80, length=60)
    tokens = tokenize(community.sequences, community.table.feature_ids, 150)
    return TrainingTable(SampleDataset(community.table, ReadOptions(), 0), np.arange(40), tokens)


def encoder_of(**compute):
    torch.manual_seed(0)
    return SequenceEncoder(ModelOptions(embedding_dim=32, attention_heads=2), 60, ComputeOptions(**compute))


@pytest.mark.parametrize("attention", ["mem_efficient", "math"])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_the_measured_cost_foretells_what_a_real_batch_keeps(table, attention, precision):
    encoder = encoder_of(attn_implementation=attention, mixed_precision=precision)
    threads = torch.get_num_threads()
    cost = measure_cost(encoder, OBJECTIVES, table.asv_tokens.shape[1])
    assert torch.get_num_threads() == threads
    batch = Collate(table.asv_tokens)([table.dataset[0, row] for row in range(24)])
    torch.set_num_threads(1)
    running = lowered(encoder, precision)
    with count_kept_bytes(running.parameters()) as kept:
        step_loss(running, replace(OBJECTIVES, nuc_penalty=0.0), batch)
        actual = kept()
    torch.set_num_threads(threads)
    # Layers have hooks of their own, and are most of it: at the very least their inputs, q, k, v and the hidden layer.
    positions = batch.asv_tokens.numel()
    assert actual > 2 * positions * 32 * 8 * (2 if precision == "bf16" else 4)
    sizes = (batch.counts > 0).sum(dim=1)
    estimate = replace(cost, overhead=1.0).bytes(len(batch.asv_tokens), 24, int(sizes.max()))
    assert 0.9 * actual < estimate < 1.6 * actual  # samples are reckoned as long as the longest of them


def test_checkpointing_is_planned_with_one_chunk_and_keeps_less():
    cost = StepCost(nucleotide=1000.0, slot=10.0, pair=0.0, always=5.0, length=100, chunk=float("inf"))
    chunked = replace(cost, chunk=16.0)
    assert cost.bytes(400, 8, 50) > 10 * chunked.bytes(400, 8, 50)
    assert cost.bytes(10, 8, 50) == chunked.bytes(10, 8, 50)


def test_nothing_is_planned_where_nothing_is_asked_for(table, tmp_path):
    encoder = encoder_of()
    plan = plan_memory(encoder, OBJECTIVES, FitOptions(batch_size=8), TrainComputeOptions(), table, tmp_path / "plain.json")
    assert (plan.batch_size, plan.accumulate, plan.limit) == (8, 1, None)
    assert not encoder.asv_encoder.gradient_checkpointing
    again = TrainComputeOptions(gradient_checkpointing=True)
    plan_memory(encoder, OBJECTIVES, FitOptions(batch_size=8), again, table, tmp_path / "again.json")
    assert encoder.asv_encoder.gradient_checkpointing


def test_a_resumed_run_goes_on_as_planned_whatever_is_free_by_then(table, tmp_path):
    fit, in_use = FitOptions(batch_size=32), bytes_in_use() / 2**30
    first = plan_memory(
        encoder_of(), OBJECTIVES, fit, TrainComputeOptions(max_memory_gb=in_use + 0.2, auto_batch_size=True), table, tmp_path / "p"
    )
    other = encoder_of()
    second = plan_memory(other, OBJECTIVES, fit, TrainComputeOptions(max_memory_gb=100.0), table, tmp_path / "p")
    assert second == first
    assert first.limit is not None
    assert other.asv_encoder.gradient_checkpointing is first.gradient_checkpointing


def test_on_a_gpu_what_is_streamed_is_planned_as_where_memory_is_short(table, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    streamed = copy.copy(table.dataset)
    streamed.counts = object.__new__(StreamedCounts)
    plan = plan_memory(
        encoder_of(), OBJECTIVES, FitOptions(), TrainComputeOptions(), replace(table, dataset=streamed), tmp_path / "p"
    )
    assert (plan.gradient_checkpointing, plan.limit) == (True, None)


def test_a_share_of_gradients_is_kept_of_so_many_asvs():
    part = replace(COST, share=0.125)
    assert part.bytes(800, 8, 50) - part.bytes(400, 8, 50) == pytest.approx(
        0.125 * (COST.bytes(800, 8, 50) - COST.bytes(400, 8, 50))
    )
    # Of few, all.
    assert part.bytes(30, 8, 50) == COST.bytes(30, 8, 50)


COST = StepCost(nucleotide=10.0, slot=1.0, pair=0.0, always=0.0, length=1, chunk=float("inf"), overhead=1.0)


def test_checkpointing_goes_on_where_the_limit_needs_it_and_not_where_it_is_refused(table):
    all_asvs = max(distinct for distinct, _, _ in table.sizes(32))
    enough, little = Limit(COST, 1e9), Limit(COST, 10.0 * all_asvs)
    for limit, choice, expected in (
        (enough, None, False),
        (little, None, True),
        (little, False, False),
        (enough, True, True),
    ):
        chosen = choose_limit(limit, 4, choice, 32, table)
        assert (chosen.cost.chunk == 4) is expected, (limit, choice)
        assert chosen.budget == limit.budget


def test_a_sample_that_does_not_fit_alone_is_named(table):
    largest = max(asvs for asvs, _, _ in table.sizes_alone())
    require_each_fits(Limit(COST, 11.0 * largest), table)
    with pytest.raises(InputError, match=rf"sample \S+ with {largest} ASVs needs about .* GB, .* `token_limit`"):
        require_each_fits(Limit(COST, 11.0 * largest - 1), table)


def test_a_trial_halves_the_batch_until_it_fits(table):
    tried = []

    def step(size):
        tried.append(size)
        if size > 5:
            raise torch.OutOfMemoryError

    assert by_trial(24, step) == 3
    assert tried == [24, 12, 6, 3]
    with pytest.raises(torch.OutOfMemoryError):
        by_trial(8, lambda size: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    encoder = encoder_of()
    before = torch.get_rng_state()
    _try_step(encoder, OBJECTIVES, table, 4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_the_largest_batch_fits_and_accumulation_keeps_the_samples_per_step(table):
    cost = replace(COST, nucleotide=0.0)
    longest = max(size for _, _, size in table.sizes(8))
    assert largest_batch(32, Limit(cost, 1e9), table) == 32
    assert largest_batch(32, Limit(cost, 9.0 * longest), table) == 8
    assert largest_batch(32, Limit(cost, 0.0), table) == 2


def test_a_limit_below_what_the_program_takes_is_said_so(table, tmp_path):
    """There are no negative gigabytes."""
    compute = TrainComputeOptions(max_memory_gb=0.001)
    with pytest.raises(InputError, match=r"`max_memory_gb=0\.001`: the program takes \d+\.\d\d GB before its first step"):
        plan_memory(encoder_of(), OBJECTIVES, FitOptions(batch_size=8), compute, table, tmp_path / "plan.json")
