"""The models learn: eight samples by heart, and the losses of a short run stay what they were."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aam.data.dataset import Collate, SampleDataset
from aam.data.phylogeny import Phylogeny
from aam.data.sequences import tokenize
from aam.data.simulate import simulate
from aam.distances.unifrac import UniFrac
from aam.models import SequenceEncoder, SequencePredictor
from aam.options import FitOptions, ModelOptions, PretrainObjectives, ReadOptions, TrainObjectives
from aam.study.targets import ClassTarget, RegressionTarget
from aam.training.frozen import HeadModule
from aam.training.objectives.label_free import self_supervised, self_supervised_losses, total_loss
from aam.training.objectives.taught import UNIFRAC, Taught
from aam.training.step import Step

OPTIONS = ModelOptions(embedding_dim=32, attention_heads=4, attention_layers=1, dropout=0.0)


@pytest.fixture(scope="module")
def community():
    return simulate(0, n_samples=24, n_asvs=40, length=40)


def make_batch(community, target=None, rows=range(8)):
    tokens = tokenize(community.sequences, community.table.feature_ids, 150)
    dataset = SampleDataset(community.table, ReadOptions(), seed=0)
    distance = UniFrac(Phylogeny.from_tree(community.tree, community.table.feature_ids))
    return Collate(tokens, target, measures={"unifrac": distance})([dataset[0, row] for row in rows])


def make_encoder(batch, word_length=OPTIONS.word_length):
    torch.manual_seed(0)
    encoder = SequenceEncoder(replace(OPTIONS, word_length=word_length), 150)
    encoder.calibrate(batch.asv_tokens, batch.asv_index, batch.counts)
    return encoder


def descend(parameters, loss_of, steps, lr=3e-3):
    optimizer = torch.optim.AdamW(parameters, lr=lr)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_eight_samples_are_learned_by_heart_as_numbers_and_as_classes(community):
    values, ids = np.arange(24.0) % 8 * 10, np.arange(24) % 2
    targets = {
        "number": (RegressionTarget("zscore", loss_type="mse").fit(values), values),
        "class": (ClassTarget(("a", "b")).fit(ids), ids),
    }
    for name, (target, truth) in targets.items():
        batch = make_batch(community, target.learned(truth))
        model = SequencePredictor(make_encoder(batch), OPTIONS, target.outputs)

        def loss(target=target, batch=batch, model=model):
            return target.loss(model(batch.asv_tokens, batch.asv_index, batch.counts).target, batch.target)

        losses = np.array(descend(model.parameters(), loss, steps=400)) / 8
        assert losses[0] > 0.3, name
        assert losses[-1] < 0.02, name


def test_unifrac_of_eight_samples_is_learned_by_heart(community):
    batch = make_batch(community)
    encoder, step = make_encoder(batch), Step.alone(batch)
    options = PretrainObjectives(nuc_penalty=0)

    def loss():
        return self_supervised_losses(self_supervised(encoder, step, options, UNIFRAC), step)["unifrac"]

    losses = descend(encoder.parameters(), loss, steps=150)
    assert losses[-1] < 0.02 * losses[0]


def test_gradients_reach_every_parameter(community):
    batch = make_batch(community)
    encoder, step = make_encoder(batch), Step.alone(batch)
    options = PretrainObjectives(penalty=1, nuc_penalty=1, count_penalty=1)
    losses = self_supervised_losses(self_supervised(encoder, step, options, UNIFRAC), step)
    total_loss(losses, dict.fromkeys(losses, 1.0)).backward()
    for name, parameter in encoder.named_parameters():
        if name == "asv_encoder.words.table":
            # It stays as it is.
            assert parameter.grad is None
            continue
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


# Without words, and with.
GOLDEN = {
    0: [
        [2.431964e-01, 1.468353e00, 1.700580e01],
        [8.921271e-03, 1.478924e00, 7.053740e00],
        [3.757562e-03, 1.525491e00, 4.774443e00],
        [7.185042e-03, 1.479561e00, 4.168510e00],
    ],
    6: [
        [2.681257e-01, 1.468353e00, 1.707828e01],
        [9.492888e-02, 1.478569e00, 1.416951e01],
        [2.876534e-02, 1.524590e00, 1.141125e01],
        [1.019622e-02, 1.477697e00, 9.983290e00],
    ],
}


@pytest.mark.parametrize("word_length", [0, 6])
def test_golden_losses(community, word_length):
    """UniFrac, nucleotide and count losses of the first steps, fp32; an optimisation must not move them."""
    batch = make_batch(community)
    encoder, step = make_encoder(batch, word_length), Step.alone(batch)
    options = PretrainObjectives(penalty=1, nuc_penalty=0.1, count_penalty=0.1)
    seen = []

    def loss():
        generator = torch.Generator().manual_seed(len(seen))
        losses = self_supervised_losses(self_supervised(encoder, step, options, UNIFRAC, generator), step)
        seen.append([losses[name].item() for name in ("unifrac", "nucleotide", "count")])
        return total_loss(losses, {"unifrac": 1.0, "nucleotide": 0.1, "count": 0.1})

    descend(encoder.parameters(), loss, steps=4, lr=1e-3)
    np.testing.assert_allclose(seen, GOLDEN[word_length], rtol=2e-3)


def test_a_frozen_base_gets_no_gradients_and_stays_in_inference_mode(community):
    target = RegressionTarget("zscore").fit(np.arange(24.0))
    batch = make_batch(community, target.learned(np.arange(24.0)))
    model = SequencePredictor(make_encoder(batch), OPTIONS, outputs=1, freeze_base=True)
    majority = torch.zeros(batch.asv_tokens.shape[1], dtype=torch.int64)
    module = HeadModule(model, Taught(), TrainObjectives(), FitOptions(), target, majority).train()
    assert model.head.training
    assert not model.base_model.training
    model(batch.asv_tokens, batch.asv_index, batch.counts).target.sum().backward()
    assert all(p.grad is None for p in model.base_model.parameters())
    assert all(p.grad is not None for p in module.model.head.parameters())
