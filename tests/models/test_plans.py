"""How a model runs follows from the device; what comes out does not."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import aam.compute
from aam.compute import plan_of, planned_as, workers_of
from aam.data.dataset import Batch
from aam.models.precision import Lowered
from aam.models.sequence_encoder import groups_of, sizes_of
from aam.options import DEFAULT_COMPUTE, ComputeOptions, PretrainObjectives, TrainComputeOptions
from aam.training.objectives.label_free import self_supervised, self_supervised_losses, total_loss
from aam.training.objectives.taught import UNIFRAC
from aam.training.step import Step
from tests.support.encoders import make_batch, make_encoder

CPU, GPU = plan_of(DEFAULT_COMPUTE, "cpu"), plan_of(DEFAULT_COMPUTE, "cuda")


def step_of(seed, mixed_lengths):
    tokens, index, counts = make_batch(seed, 40, 12, 9, mixed_lengths)
    distances = torch.rand(12, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    measured = {"unifrac": distances + distances.T}
    return Step.alone(Batch(tokens, torch.arange(40), index, counts, torch.arange(12), measured=measured))


@pytest.mark.parametrize(("cores", "ranks", "workers"), [(16, 1, 4), (16, 4, 3), (16, 8, 1), (2, 1, 1), (1, 1, 0), (4, 8, 0)])
def test_processes_beside_a_gpu_are_as_many_as_cores_allow_though_torchrun_says_one_thread(cores, ranks, workers, monkeypatch):
    monkeypatch.setattr(aam.compute, "allotted_cores", lambda: cores)
    monkeypatch.setattr(aam.compute, "size", lambda: 2 * ranks)
    monkeypatch.setattr(aam.compute, "nodes", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert workers_of(TrainComputeOptions()) == 0
    with planned_as("cuda"):
        assert workers_of(TrainComputeOptions()) == workers
        assert workers_of(TrainComputeOptions(num_workers=7)) == 7


@pytest.mark.parametrize("mixed_lengths", [False, True])
def test_losses_and_gradients_of_a_step_are_the_same_by_every_plan(mixed_lengths):
    objectives = PretrainObjectives(nuc_penalty=0.3, count_penalty=0.2)
    found = []
    for plan in ("cpu", "cuda"):
        encoder, step = make_encoder(DEFAULT_COMPUTE), step_of(5, mixed_lengths)
        with planned_as(plan):
            outcome = self_supervised(encoder, step, objectives, UNIFRAC, torch.Generator().manual_seed(1))
            losses = self_supervised_losses(outcome, step)
            total_loss(losses, {"unifrac": 1.0, "nucleotide": 0.3, "count": 0.2}).backward()
        found.append(losses | {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-9, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


@given(sizes=st.lists(st.integers(0, 2000), min_size=1, max_size=64).map(sorted), plan=st.sampled_from([CPU, GPU]))
def test_groups_hold_every_sample_once_in_order(sizes, plan):
    groups = groups_of(sizes, plan)
    assert [place for group in groups for place in range(group.start, group.stop)] == list(range(len(sizes)))


def test_a_gpu_has_one_group_until_a_second_spares_it_much_padding():
    assert groups_of([50] * 64, GPU) == [slice(0, 64)]
    assert groups_of([100] * 60 + [130] * 4, GPU) == [slice(0, 64)]
    assert groups_of([100] * 60 + [3000] * 4, GPU) == [slice(0, 60), slice(60, 64)]
    assert [group.stop - group.start for group in groups_of([50] * 20, CPU)] == [8, 8, 4]


def test_sizes_are_those_up_to_the_last_asv():
    assert sizes_of(torch.tensor([[1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]])) == [3, 0]


def test_chunks_of_a_gpu_follow_from_length_and_width():
    assert GPU.asvs_at_once(101, 128) * 101 * 128 <= GPU.chunk_elements < (GPU.asvs_at_once(101, 128) + 1) * 101 * 128
    assert GPU.asvs_at_once(101, 128, checkpointing=True) < GPU.asvs_at_once(101, 128) / 15
    assert plan_of(ComputeOptions(asv_chunk_size=5), "cuda").asvs_at_once(10**6, 10**6) == 5


def test_weights_in_16_bits_are_those_of_the_model_at_each_call_and_hand_their_gradients_back():
    encoder = make_encoder(DEFAULT_COMPUTE).float()
    encoder.learn_only(embeddings=True, nucleotides=False, abundances=False)
    running = Lowered(encoder, ComputeOptions(mixed_precision="bf16"))
    tokens, index, counts = make_batch(3, 9, 20, 6, mixed_lengths=False)
    for _ in range(2):
        with torch.no_grad():
            encoder.richness.weight.mul_(2)
        low = running()
        assert torch.equal(low.richness.weight, encoder.richness.weight.bfloat16())
        assert {p.dtype for p in low.parameters()} == {torch.bfloat16}
        encoder.zero_grad(set_to_none=True)
        low(tokens, index, counts.float()).float().square().sum().backward()
        without = {name for name, p in encoder.named_parameters() if p.grad is None}
        assert without == {name for name, p in encoder.named_parameters() if not p.requires_grad}
        assert {p.grad.dtype for p in encoder.parameters() if p.grad is not None} == {torch.float32}
    assert Lowered(encoder, DEFAULT_COMPUTE)() is encoder


def test_a_copy_in_16_bits_that_a_validation_made_is_learned_from():
    encoder = make_encoder(DEFAULT_COMPUTE).float().train()
    running = Lowered(encoder, ComputeOptions(mixed_precision="bf16"))
    tokens, index, counts = make_batch(3, 9, 20, 6, mixed_lengths=False)
    with torch.inference_mode():
        running()(tokens, index, counts.float())
    running()(tokens, index, counts.float()).float().square().sum().backward()
    assert encoder.richness.weight.grad.abs().sum() > 0
