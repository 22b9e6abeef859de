"""A whole table through the model equals the slow model, sample by sample."""

import numpy as np
import pytest
import torch

from aam.data.dataset import SampleDataset
from aam.models import SequencePredictor
from aam.models.inference import TableSamples, embed_asvs, embed_samples, predict_embedded
from aam.models.sequence_predictor import CovariateShape
from aam.options import ReadOptions
from tests.support import reference
from tests.support.encoders import make_encoder
from tests.support.tables import table_of, tokens_of


def test_a_table_equals_the_reference_and_any_batch_size():
    encoder = make_encoder().float().eval()
    table, tokens = table_of(), tokens_of()
    tokens[4, 6:] = 0
    tokens[7, 3:] = 0
    rows = np.array([5, 0, 3, 6])
    samples = TableSamples(SampleDataset(table, ReadOptions(), seed=0), tokens, rows)
    counts = torch.from_numpy(table.counts.toarray()[rows]).float()
    index = torch.arange(12).expand(4, 12)
    with torch.no_grad():
        expected = reference.encode(encoder, torch.from_numpy(tokens), index, counts).numpy()
    for batch_size in (1, 3, 10):
        np.testing.assert_allclose(embed_samples(encoder, samples, batch_size), expected, rtol=1e-4, atol=1e-5)


def test_asvs_of_mixed_lengths_keep_their_order():
    encoder = make_encoder().float().eval()
    tokens = tokens_of()
    tokens[2, 4:] = 0
    tokens[9, 7:] = 0
    with torch.no_grad():
        expected = torch.stack([reference.encode_asv(encoder, torch.from_numpy(row)) for row in tokens])
    torch.testing.assert_close(embed_asvs(encoder.asv_encoder, tokens), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fusion", ["concat", "gated"])
def test_predictions_take_the_covariates_of_their_sample(fusion):
    encoder = make_encoder().float()
    model = SequencePredictor(encoder, encoder.asv_encoder.options, outputs=2, covariates=CovariateShape((4, 3), 2, fusion)).eval()
    levels = [np.eye(size, dtype=np.float32)[np.arange(7) % size] for size in (4, 3)]
    table, design = table_of(), np.hstack([*levels, np.linspace(-1, 1, 14).reshape(7, 2).astype(np.float32)])
    dataset, rows = SampleDataset(table, ReadOptions(), seed=0), np.array([6, 1, 2])
    outputs = predict_embedded(model, embed_samples(model.base_model, TableSamples(dataset, tokens_of(), rows), 2), design[rows])
    embeddings = torch.from_numpy(embed_samples(encoder, TableSamples(dataset, tokens_of(), rows), 2))
    with torch.no_grad():
        expected = model.head(embeddings, torch.from_numpy(design[rows]))
        unknown = model.head(embeddings, torch.zeros(3, 9))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    assert (expected - unknown).abs().max() > 1e-4
