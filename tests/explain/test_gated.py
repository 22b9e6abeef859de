"""Samples whose ASVs are faded in: open, the model itself; closed, what the model says of an empty sample."""

import numpy as np
import pytest
import torch
from scipy import sparse

from aam.ensemble.catalogue import SeenTable
from aam.ensemble.set_batches import set_batch
from aam.explain.gated import GatedLevel, GatedSet, LevelViews, NetworkViews, Sample
from tests.models.test_set_networks import KNOWN, networks, table
from tests.support.encoders import make_encoder

CPU = torch.device("cpu")


def seen():
    counts, vectors, identity = table()
    return SeenTable(counts, np.zeros((len(identity), 1), np.uint8), vectors.numpy(), identity.numpy(), KNOWN)


@pytest.mark.parametrize("by_presence", [True, False])
def test_open_gates_leave_a_set_network_as_it_is_and_closed_ones_are_an_empty_sample(by_presence):
    found, nets = seen(), networks(by_presence=by_presence)
    empty = sparse.csr_array(np.vstack([found.counts.toarray(), np.zeros(found.counts.shape[1])]))
    rows = np.tile(np.arange(empty.shape[0]), (3, 1))
    with torch.no_grad():
        said = nets(torch.from_numpy(found.vectors), torch.from_numpy(found.identity), set_batch(empty, rows))
        for row in range(empty.shape[0] - 1):
            gated = GatedSet.of(nets, found, Sample.of(found.counts, row, CPU))
            gates = torch.stack([torch.ones(gated.values.shape[1]), torch.zeros(gated.values.shape[1])])
            both = gated(gates, NetworkViews.nothing(nets))
            torch.testing.assert_close(both[:, 0], said[:, row], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(both[:, 1], said[:, -1], rtol=1e-4, atol=1e-4)


def level_and_samples():
    encoder = make_encoder(attention_layers=2).float().eval()
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, (4, 12)) * rng.integers(1, 30, (4, 12))
    counts[:, 0] += 1
    vectors = torch.from_numpy(rng.normal(size=(12, 16)).astype(np.float32))
    return encoder, vectors, counts


def test_open_gates_leave_the_sample_level_as_it_is_and_closed_ones_are_an_empty_sample():
    encoder, vectors, counts = level_and_samples()
    index = torch.arange(12).expand(5, -1)
    with torch.no_grad():
        both = torch.from_numpy(np.vstack([counts, np.zeros(12)]).astype(np.float32))
        embedded = encoder.encode_samples(vectors, index, both)
        for row in range(4):
            gated = GatedLevel.of(encoder, vectors, Sample.of(sparse.csr_array(counts), row, CPU))
            number = len(gated.log_share)
            found = gated(torch.stack([torch.ones(number), torch.zeros(number)]), LevelViews.nothing(encoder))
            torch.testing.assert_close(found[0], embedded[row], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(found[1], embedded[4], rtol=1e-4, atol=1e-4)


def test_between_the_average_sample_and_itself_closed_gates_are_the_one_and_open_gates_the_other():
    found, nets = seen(), networks()
    gated = [GatedSet.of(nets, found, Sample.of(found.counts, row, CPU)) for row in range(4)]
    average = NetworkViews.mean([sample.views() for sample in gated])
    encoder, vectors, counts = level_and_samples()
    levels = [GatedLevel.of(encoder, vectors, Sample.of(sparse.csr_array(counts), row, CPU)) for row in range(4)]
    middle = LevelViews.mean([sample.views() for sample in levels])
    with torch.no_grad():
        said = [sample(torch.zeros(1, sample.values.shape[1]), average) for sample in gated]
        embedded = [sample(torch.zeros(1, len(sample.log_share)), middle) for sample in levels]
    for first, others in ((said[0], said[1:]), (embedded[0], embedded[1:])):
        for other in others:
            torch.testing.assert_close(first, other, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        for sample, level in zip(gated, levels, strict=True):
            ones, more = torch.ones(1, sample.values.shape[1]), torch.ones(1, len(level.log_share))
            torch.testing.assert_close(sample(ones, average), sample(ones, NetworkViews.nothing(nets)), rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(level(more, middle), level(more, LevelViews.nothing(encoder)), rtol=1e-4, atol=1e-4)


def test_another_vector_in_the_place_of_an_asv():
    encoder, vectors, counts = level_and_samples()
    gated = GatedLevel.of(encoder, vectors, Sample.of(sparse.csr_array(counts), 1, CPU))
    place, column = 2, int(np.flatnonzero(counts[1])[2])
    others = torch.randn(3, 16)
    with torch.no_grad():
        found = gated.replaced(place, others + gated.entering[place] - vectors[column])
        for other, embedded in zip(others, found, strict=True):
            changed = vectors.clone()
            changed[column] = other
            wanted = encoder.encode_samples(changed, torch.arange(12)[None], torch.from_numpy(counts[[1]].astype(np.float32)))
            torch.testing.assert_close(embedded, wanted[0], rtol=1e-4, atol=1e-4)
