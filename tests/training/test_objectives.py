import numpy as np
import pytest
import torch
from torch import nn

from aam.data.dataset import Collate, ReadOptions, SampleDataset
from aam.options import PretrainObjectives
from aam.training.objectives.distances import sample_pairs
from aam.training.objectives.label_free import self_supervised, self_supervised_losses, total_loss
from aam.training.objectives.taught import UNIFRAC
from aam.training.step import Step
from tests.support.encoders import make_encoder
from tests.support.tables import table_of, tokens_of


class ConstantDistance(nn.Module):
    def forward(self, columns, counts, sample_index):
        return torch.full((len(columns), len(columns)), 0.5)


def batch_of(rows):
    dataset = SampleDataset(table_of(), ReadOptions(), seed=0)
    return Collate(tokens_of(), measures={"unifrac": ConstantDistance()})([dataset[0, row] for row in rows])


def run(rows=(0, 1, 2), **weights):
    options = PretrainObjectives(**{"penalty": 0, "nuc_penalty": 0, "count_penalty": 0, **weights})
    encoder, taught = make_encoder().float(), UNIFRAC if options.is_taught else ()
    step = Step.alone(batch_of(rows))
    outcome = self_supervised(encoder, step, options, taught, torch.Generator().manual_seed(0))
    return encoder, outcome, self_supervised_losses(outcome, step)


def test_pairs_leave_out_the_diagonal_and_count_each_pair_once():
    embedding = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    pairs = sample_pairs(embedding, torch.arange(9.0).reshape(3, 3))
    assert pairs.predicted.tolist() == pytest.approx([5, 1, np.hypot(3, 3)])
    assert pairs.true.tolist() == [1, 2, 5]


@pytest.mark.parametrize("samples", [1, 2, 3, 5])
def test_any_batch_size_has_a_loss_and_finite_gradients(samples):
    encoder, _, losses = run(range(samples), penalty=1, nuc_penalty=1, count_penalty=1)
    total = total_loss(losses, {"unifrac": 1.0, "nucleotide": 1.0, "count": 1.0})
    total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())
    assert (losses["unifrac"] == 0) == (samples == 1)


def test_equal_samples_give_finite_gradients():
    encoder, _, losses = run([0, 0, 0], penalty=1)
    losses["unifrac"].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


def test_only_objectives_with_a_weight_run():
    assert run(penalty=1)[2].keys() == {"unifrac"}
    assert run(nuc_penalty=1)[2].keys() == {"nucleotide"}
    assert run(count_penalty=1)[2].keys() == {"count"}


def test_each_objective_trains_its_own_part():
    encoder, _, losses = run(nuc_penalty=1)
    losses["nucleotide"].backward()
    assert encoder.asv_encoder.nucleotide_head[1].weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in encoder.sample_encoder.parameters())
    encoder, _, losses = run(count_penalty=1)
    losses["count"].backward()
    assert encoder.sample_encoder.abundance_head[1].weight.grad.abs().sum() > 0
    assert encoder.sample_encoder.hidden_abundance.grad.abs().sum() > 0


def test_the_sample_path_is_what_inference_sees():
    """The masks of the nucleotide and abundance objectives must not touch the sample embedding."""
    encoder, outcome, _ = run(penalty=1, nuc_penalty=1, count_penalty=1)
    batch = batch_of((0, 1, 2))
    torch.testing.assert_close(outcome.embedding, encoder(batch.asv_tokens, batch.asv_index, batch.counts))


def test_weights_multiply_their_part():
    losses = {"unifrac": torch.tensor(2.0), "nucleotide": torch.tensor(3.0)}
    assert total_loss(losses, {"unifrac": 0.5, "nucleotide": 10.0, "count": 99.0}) == 31


def test_the_loss_of_pairs_is_their_mean_square():
    pairs = sample_pairs(torch.zeros(1, 2), torch.zeros(1, 1))
    assert pairs.loss == 0
    pairs = sample_pairs(torch.tensor([[0.0], [3.0], [5.0]]), torch.ones(3, 3))
    assert pairs.loss == pytest.approx((4 + 16 + 1) / 3)
