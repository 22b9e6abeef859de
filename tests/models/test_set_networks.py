"""Set networks beside a plain computation, network by network and sample by sample, and by symmetry."""

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.nn import functional as F

from aam.ensemble.set_batches import set_batch
from aam.models.set_networks import PRESENCE_RATE, SetNetworks

SAMPLES, ASVS, WIDTH, VECTOR, KNOWN = 7, 20, 8, 5, 12


def table(seed=0):
    """Counts, with a sample that has one ASV, vectors and identities."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, (SAMPLES, ASVS)) * rng.integers(1, 50, (SAMPLES, ASVS))
    counts[3] = 0
    counts[3, 5] = 9
    identity = np.where(np.arange(ASVS) < KNOWN, 1 + np.arange(ASVS), 0)
    vectors = torch.from_numpy(rng.normal(size=(ASVS, VECTOR)).astype(np.float32))
    return sparse.csr_array(counts), vectors, torch.from_numpy(identity)


def networks(number=3, *, outputs=2, by_presence=True, seed=0):
    """Some whose every parameter matters."""
    torch.manual_seed(seed)
    made = SetNetworks(number, VECTOR, KNOWN, outputs, width=WIDTH, heads=2, by_presence=by_presence, typical_size=4.0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.eval()


def plainly(net, counts, vectors, identity):
    """What one network says of one sample, counts [M], by the definition."""
    w = {name: weight[0] for name, weight in net.items()}

    def linear(name, x):
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"][0]

    def norm(name, x):
        return F.layer_norm(x, x.shape[-1:]) * w[f"{name}.weight"][0] + w[f"{name}.bias"][0]

    there = torch.from_numpy(np.flatnonzero(counts))
    share = torch.log(torch.from_numpy(counts[counts > 0] / counts.sum()).float())[:, None]
    own = torch.stack([w["identity"][k] if k else torch.zeros(WIDTH) for k in identity[there].tolist()])
    x = linear("project", vectors[there]) + own + linear("abundance", F.gelu(linear("abundance_widen", share)))
    scores = linear("score", norm("norm", x)) + w["abundance_multiple"][0] * share
    values = linear("value", norm("norm", x)).unflatten(1, (2, -1))
    average = (scores.softmax(dim=0).unsqueeze(-1) * values).sum(dim=0).flatten()
    largest = linear("max_value", norm("max_norm", x)).amax(dim=0)
    richness = linear("richness", torch.tensor([float(len(there))]).log())
    pooled = linear("pooled", average) + linear("largest", norm("largest_norm", largest)) + richness
    said = linear("head", F.gelu(linear("head_widen", norm("head_norm", pooled))))
    if "presence" in w:
        terms = [w["presence"][k] for k in identity[there].tolist() if k]
        said = said + PRESENCE_RATE / 2 * sum(terms, torch.zeros(len(said)))
    return said


@pytest.mark.parametrize("by_presence", [False, True])
def test_what_networks_say_is_what_their_definition_says(by_presence):
    counts, vectors, identity = table()
    made = networks(by_presence=by_presence)
    # Each network has samples of its own.
    rows = np.array([[0, 1, 3], [3, 3, 6], [5, 2, 4]])
    said = made(vectors, identity, set_batch(counts, rows))
    assert said.shape == (3, 3, 2)
    for network, weights in enumerate(made.apart()):
        for place, row in enumerate(rows[network]):
            expected = plainly(weights, counts[[row]].toarray()[0], vectors, identity)
            torch.testing.assert_close(said[network, place], expected, rtol=1e-4, atol=1e-4)


def test_networks_side_by_side_learn_as_each_alone():
    counts, vectors, identity = table()
    together = networks()
    alone = [SetNetworks.of(weights) for weights in together.apart()]
    rows = np.array([[0, 1, 3], [3, 3, 6], [5, 2, 4]])
    together(vectors, identity, set_batch(counts, rows)).square().sum().backward()
    for number, network in enumerate(alone):
        network(vectors, identity, set_batch(counts, rows[[number]])).square().sum().backward()
        for name, parameter in network.named_parameters():
            whole = together.get_parameter(name).grad
            torch.testing.assert_close(parameter.grad[0], whole[number], rtol=1e-3, atol=1e-4, msg=name)
    again = SetNetworks.side_by_side(alone).state_dict()
    assert all(torch.equal(again[name], weight) for name, weight in together.state_dict().items())


def test_a_new_network_knows_no_identity():
    counts, vectors, identity = table()
    torch.manual_seed(0)
    fresh = SetNetworks(1, VECTOR, KNOWN, 1, width=WIDTH, heads=2, by_presence=True)
    batch = set_batch(counts, np.arange(SAMPLES)[None])
    torch.testing.assert_close(fresh(vectors, identity, batch), fresh(vectors, torch.zeros_like(identity), batch))
    trained = networks(1)
    assert not torch.allclose(trained(vectors, identity, batch), trained(vectors, torch.zeros_like(identity), batch))


def test_a_sample_without_asvs_is_said_something_of():
    counts, vectors, identity = table()
    empty = sparse.csr_array(sparse.vstack([counts, sparse.csr_array((1, ASVS), dtype=counts.dtype)]))
    said = networks()(vectors, identity, set_batch(empty, np.array([[0, SAMPLES]] * 3)))
    assert torch.isfinite(said).all()
    torch.testing.assert_close(said[:, :1], networks()(vectors, identity, set_batch(counts, np.array([[0]] * 3))))


def test_asvs_are_left_out_at_random_but_for_two():
    counts, _, _ = table()
    draws = [np.random.default_rng(seed) for seed in (0, 1)]
    kept = np.zeros((2, SAMPLES))
    for _ in range(300):
        batch = set_batch(counts, np.tile(np.arange(SAMPLES), (2, 1)), 0.5, draws)
        sizes = batch.log_size.exp().round().numpy()
        assert (sizes >= np.minimum(2, np.diff(counts.indptr))).all()
        # Shares are of the reads that are left.
        shares = torch.segment_reduce(batch.log_share.exp().flatten()[:, None], "sum", offsets=batch.offsets, unsafe=True)
        real = shares.view(2, -1)[:, :-1]
        torch.testing.assert_close(real, torch.ones_like(real))
        kept += sizes
    mean = (kept / 300 / np.diff(counts.indptr))[:, np.diff(counts.indptr) > 5]
    np.testing.assert_allclose(mean, 0.75, atol=0.05)
