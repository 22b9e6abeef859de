"""Muon for matrices, AdamW for all else."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from aam.training.optimizer import MuonAdamW, groups_of, orthogonal


def test_orthogonal_keeps_singular_vectors_and_makes_the_values_alike():
    torch.manual_seed(0)
    for shape in ((3, 20, 50), (3, 50, 20), (2, 16, 16)):
        matrices = torch.randn(shape, dtype=torch.float64)
        found = orthogonal(matrices)
        assert found.shape == matrices.shape
        left, _, right = torch.linalg.svd(matrices, full_matrices=False)
        inner = left.mT @ found @ right.mT
        values = torch.diagonal(inner, dim1=1, dim2=2)
        assert ((values > 0.5) & (values < 1.3)).all()
        torch.testing.assert_close(inner, torch.diag_embed(values), atol=1e-9, rtol=0)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Embedding(9, 20), nn.Linear(20, 32), nn.LayerNorm(32), nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 3)
    )


def steps(network, optimizer, number):
    for step in range(number):
        generator = torch.Generator().manual_seed(step)
        optimizer.zero_grad()
        network(torch.randint(0, 9, (40,), generator=generator)).square().sum().backward()
        optimizer.step()


def test_it_takes_the_steps_of_pytorchs_own_muon_and_adamw(network):
    other, before = copy.deepcopy(network), [part.clone() for part in network.parameters()]
    ours = MuonAdamW(groups_of(network, list(network.parameters()), 0.1, muon=True), lr=1e-2)
    matrices = [other[1].weight, other[3].weight, other[4].weight]
    rest = [part for part in other.parameters() if all(part is not matrix for matrix in (*matrices, other[5].weight))]
    muon = torch.optim.Muon(matrices, lr=2e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    groups = [{"params": [other[5].weight], "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=1e-2)
    for _ in range(3):
        for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
            mine.grad = torch.randn_like(mine)
            theirs.grad = mine.grad.clone()
        for optimizer in (ours, muon, adamw):
            optimizer.step()
    for mine, theirs, start in zip(network.parameters(), other.parameters(), before, strict=True):
        # Theirs turns matrices in bfloat16.
        assert (mine - theirs).norm() < 0.05 * (theirs - start).norm()


def test_without_muon_it_is_adamw(network):
    other = copy.deepcopy(network)
    steps(network, MuonAdamW(groups_of(network, list(network.parameters()), 0.0, muon=False), lr=1e-2), 3)
    steps(other, torch.optim.AdamW(other.parameters(), lr=1e-2, weight_decay=0.0), 3)
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_resumed_optimiser_goes_on_to_the_bit(network):
    optimizer = MuonAdamW(groups_of(network, list(network.parameters()), 0.1, muon=True), lr=1e-2)
    steps(network, optimizer, 3)
    other = copy.deepcopy(network)
    again = MuonAdamW(groups_of(other, list(other.parameters()), 0.1, muon=True), lr=1e-2)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    steps(network, optimizer, 2)
    steps(other, again, 2)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(network.parameters(), other.parameters(), strict=True))


def test_small_matrices_and_frozen_ones_are_left_to_adamw_or_alone(network):
    network[3].requires_grad_(False)
    before = network[3].weight.clone()
    groups = groups_of(network, [part for part in network.parameters() if part.requires_grad], 0.1, muon=True)
    by_muon = [part for group in groups if group["muon"] for part in group["params"]]
    assert [tuple(part.shape) for part in by_muon] == [(32, 20), (32, 32)]
    steps(network, MuonAdamW(groups, lr=1e-2), 1)
    assert torch.equal(network[3].weight, before)


def test_a_closure_makes_the_gradients_of_all_groups_afresh(network):
    other = copy.deepcopy(network)
    optimizers = [MuonAdamW(groups_of(part, list(part.parameters()), 0.1, muon=True), lr=1e-2) for part in (network, other)]
    steps(network, optimizers[0], 4)

    def closure(step):
        optimizers[1].zero_grad()
        loss = other(torch.randint(0, 9, (40,), generator=torch.Generator().manual_seed(step))).square().sum()
        loss.backward()
        return loss

    for step in range(4):
        assert optimizers[1].step(partial(closure, step)) > 0
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(network.parameters(), other.parameters(), strict=True))


def test_nothing_moves_where_the_gradient_is_zero():
    torch.manual_seed(0)
    left, right = torch.randn(3, 40, 2), torch.randn(3, 2, 60)
    found = orthogonal(left @ right)
    within = torch.linalg.qr(left).Q
    torch.testing.assert_close(within @ (within.mT @ found), found, atol=1e-4, rtol=0)
