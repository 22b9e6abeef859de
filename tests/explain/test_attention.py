"""Attention beside what the layers compute with it."""

import numpy as np
import pytest
import torch
from scipy import sparse

from aam.errors import InputError
from aam.explain import attention
from aam.explain.attributions import Attributions, Features
from aam.models.transformer import RotaryPositions
from tests.support.encoders import make_batch
from tests.support.explained import ensemble_of, transformer_of


def sample():
    rng = np.random.default_rng(0)
    counts = sparse.csr_array(rng.integers(0, 3, (4, 15)) * rng.integers(1, 9, (4, 15)))
    return rng.normal(size=(15, 16)).astype(np.float32), counts


@pytest.mark.parametrize("rotated", [True, False])
@pytest.mark.parametrize("biased", [True, False])
def test_weights_reproduce_the_layer(rotated, biased):
    model, _ = transformer_of()
    layer, rotary = model.base_model.sample_encoder.layers[0], RotaryPositions(16, 2, 9) if rotated else None
    x, bias = torch.randn(3, 9, 16), torch.randn(3, 2, 9) if biased else None
    with torch.no_grad():
        normed = layer.attention_norm(x)
        values = layer.attention.qkv(normed)[..., 32:].unflatten(-1, (2, -1)).transpose(1, 2)
        weights = attention.layer_weights(layer, x, bias, rotary)
        attended = (weights @ values).transpose(1, 2).flatten(2)
        torch.testing.assert_close(
            attended, layer.attention(normed.flatten(0, 1), 3, bias, rotary).view_as(x), rtol=1e-4, atol=1e-5
        )
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 2, 9))


def test_weights_reproduce_the_pooling():
    pooling = transformer_of()[0].base_model.pooling
    x, bias = torch.randn(3, 9, 16), torch.randn(3, 2, 9)
    with torch.no_grad():
        weights = attention.pooling_weights(pooling, x, bias)
        values = pooling.value(pooling.norm(x)).unflatten(-1, (2, -1)).transpose(1, 2)
        pooled = pooling.out((weights.unsqueeze(2) @ values).flatten(1))
        torch.testing.assert_close(pooled, pooling(x, None, bias), rtol=1e-4, atol=1e-5)


def test_attention_of_a_sample_reproduces_its_embedding():
    model, _ = transformer_of()
    vectors, counts = sample()
    found = attention.of_sample(model, vectors, counts, 2)
    number = counts[[2]].nnz
    assert found.layers.shape == (2, 2, number, number)
    np.testing.assert_allclose(found.layers.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(found.pooling.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(found.rollout.sum(axis=-1), 1, atol=1e-5)
    assert found.score.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(found.columns, counts[[2]].indices)


def test_rollout_is_the_product_of_layers_with_what_passes_them_by():
    layers = np.random.default_rng(0).dirichlet(np.ones(3), (2, 2, 3)).astype(np.float32)
    found = attention.Attention(layers, np.full((2, 3), 1 / 3, np.float32), np.arange(3))
    first, second = (0.5 * layer.mean(axis=0) + 0.5 * np.eye(3) for layer in layers)
    np.testing.assert_allclose(found.rollout, second @ first, atol=1e-6)


@pytest.mark.parametrize("mixed_lengths", [True, False])
def test_attention_of_an_asv_leaves_padding_out(mixed_lengths):
    model, _ = transformer_of()
    tokens, _, _ = make_batch(0, 4, 2, 3, mixed_lengths)
    tokens = tokens.numpy()
    for row in tokens:
        found = attention.of_asv(model, row)
        assert found.layers.shape == (2, 2, np.count_nonzero(row), np.count_nonzero(row))
        np.testing.assert_allclose(found.layers.sum(axis=-1), 1, atol=1e-5)
        pooling = model.base_model.asv_encoder.pooling
        with torch.no_grad():
            encoder = model.base_model.asv_encoder
            hidden = encoder._encode(torch.from_numpy(row[None]), None)[0][:, : np.count_nonzero(row)]
            wanted = attention.pooling_weights(pooling, hidden, None)[0]
        np.testing.assert_allclose(found.pooling, wanted, atol=1e-5)


def test_ensembles_have_no_attention():
    with pytest.raises(InputError, match=r"trees and ensembles have no attention.*`recipe=transformer`"):
        attention.encoder_of(ensemble_of()[1])


def deletion(values, sample):
    features = Features("asv", tuple(map(str, range(15))), sparse.eye_array(15, dtype=bool, format="csr"))
    feature = np.concatenate([np.arange(n) for n in np.bincount(sample)])
    value = np.asarray(values, dtype=float)[:, None]
    nothing = np.full_like(value, np.nan)
    about = (features, ("age",), "years", np.arange(sample.max() + 1), sample, feature)
    return Attributions("deletion", *about, value, nothing, nothing, value)


def test_faithfulness_is_the_mean_rank_correlation_within_samples():
    sample = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    found = deletion([1, -2, 3, -4, 1, 2, 3, 9], sample)
    same = attention.faithfulness(np.array([1, 2, 3, 4, 10, 20, 30, 0.0]), found)
    assert (same.correlation, same.samples) == (pytest.approx(1.0), 2)
    half = attention.faithfulness(np.array([1, 2, 3, 4, 30, 20, 10, 0.0]), found)
    assert half.correlation == pytest.approx(0.0)
    assert "Spearman 0.00" in half.sentence("attention")
    assert "cannot be compared" in attention.faithfulness(np.zeros(8), found).sentence("attention")


def test_scores_are_of_the_asv_of_each_occurrence():
    model, _ = transformer_of()
    vectors, counts = sample()
    rows = np.array([3, 1])
    places = [counts[[row]].indices for row in rows]
    found = deletion(np.ones(sum(map(len, places))), np.repeat([0, 1], [len(place) for place in places]))
    found = Attributions(**{**vars(found), "samples": rows, "feature": np.concatenate(places)})
    wanted = np.concatenate([attention.of_sample(model, vectors, counts, row).score for row in rows])
    np.testing.assert_allclose(attention.scores_of(model, vectors, counts, found), wanted)
