"""Use a model on a whole table: each distinct ASV is encoded once, for all samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aam.compute import plan_of
from aam.data.dataset import Batch, Collate, SampleDataset, make_loader
from aam.data.stream import asvs_per_sample, stretches, used_columns
from aam.models import ASVEncoder, Encoder, SequencePredictor
from aam.models.heads import Head
from aam.models.precision import lowered
from aam.models.words import WordEncoder
from aam.parallel.collectives import share, total
from aam.progress import track

# Chunks of ASVs between two steps of the progress bar, where threads share them out; a GPU is one worker.
_CHUNKS = {"cpu": 16, "cuda": 1}


@torch.inference_mode()
def embed_asvs(encoder: ASVEncoder | WordEncoder, asv_tokens: np.ndarray) -> Tensor:
    """Tokens uint8 [M, 1 + L] -> ASV vectors float32 [M, D], on the encoder's device. Ranks encode a part each and have all."""
    device = next(encoder.parameters()).device
    lengths = np.count_nonzero(asv_tokens, axis=1)
    # By length, so that few positions are padding.
    order = share(np.argsort(lengths, kind="stable"))
    vectors = torch.zeros(len(asv_tokens), encoder.options.embedding_dim, device=device)
    encoder = lowered(encoder, encoder.compute.mixed_precision)
    at_once = plan_of(encoder.compute, device).asvs_at_once(asv_tokens.shape[1], encoder.options.embedding_dim)
    size = _CHUNKS[device.type] * at_once
    steps = range(0, len(order), size)
    for start in track(steps, "Encoding ASVs", len(steps)):
        rows = order[start : start + size]
        tokens = torch.from_numpy(asv_tokens[rows, : lengths[rows[-1]]]).to(device)
        vectors[torch.from_numpy(rows).to(device)] = encoder(tokens).float()
    return total(vectors)


@dataclass(frozen=True)
class TableSamples:
    """Samples to run a model on: the rows of a dataset, with the table's tokens uint8 [M, 1 + L]; show: a progress bar."""

    dataset: SampleDataset
    asv_tokens: np.ndarray
    rows: np.ndarray
    show: bool = True

    def batches(self, batch_size: int) -> Iterator[Batch]:
        loader = make_loader(self.dataset, Collate(self.asv_tokens), self.rows, batch_size, shuffle=False)
        yield from track(loader, "Encoding samples", len(loader)) if self.show else loader


def embed_samples(encoder: Encoder, samples: TableSamples, batch_size: int) -> np.ndarray:
    """Sample embeddings float32 [rows, D]. Only ASVs that occur in the samples are encoded. Of ranks each embeds a part."""
    return embed_with(encoder, vectors_of(encoder, samples), samples, batch_size)


@torch.inference_mode()
def vectors_of(encoder: Encoder, samples: TableSamples) -> Tensor:
    """Vectors float32 [M, D] of the ASVs that occur in the samples, on the encoder's device; 0 for others."""
    device = encoder.device
    used = used_columns(samples.dataset.counts, samples.rows)
    vectors = torch.zeros(len(samples.asv_tokens), encoder.width, device=device)
    vectors[torch.from_numpy(used).long().to(device)] = embed_asvs(encoder.asv_encoder, samples.asv_tokens[used])
    return vectors


@torch.inference_mode()
def embed_with(encoder: Encoder, vectors: Tensor, samples: TableSamples, batch_size: int) -> np.ndarray:
    """Sample embeddings float32 [rows, D] with the vectors of the table's ASVs [M, D]: only the sample level is run."""
    device = encoder.device
    encoder = lowered(encoder, encoder.compute.mixed_precision)
    place = np.zeros(samples.dataset.counts.shape[0], dtype=np.int64)
    place[samples.rows] = np.arange(len(samples.rows))
    embedded = torch.zeros(len(samples.rows), vectors.shape[1], device=device)
    # By size, so that little is padding.
    counts = samples.dataset.counts
    order = np.lexsort((asvs_per_sample(counts)[samples.rows], stretches(counts)[samples.rows]))
    for batch in replace(samples, rows=samples.rows[order]).batches(batch_size):
        moved = batch.to(device)
        embedding = encoder.encode_samples(vectors[moved.asv_columns], moved.asv_index, moved.counts, batch.sizes)
        embedded[torch.from_numpy(place[batch.sample_index.numpy()]).to(device)] = embedding.float()
    return total(embedded).cpu().numpy()


@torch.inference_mode()
def told_of(encoder: Encoder, head: Head, embeddings: np.ndarray) -> np.ndarray:
    """What a head tells of embeddings float32 [n, D], in its own units: float32 [n, outputs]."""
    if head.own and head.scale == 1:
        return embeddings
    told = encoder.heads.tell(head, torch.from_numpy(embeddings).to(encoder.device))
    return (told * head.scale + head.shift).cpu().numpy()


@torch.inference_mode()
def predict_embedded(model: SequencePredictor, embeddings: np.ndarray, design: np.ndarray | None) -> np.ndarray:
    """Head outputs float32 [rows, outputs] of sample embeddings float32 [rows, D] and covariates float32 [rows, K]."""
    device = model.base_model.device
    given = None if design is None else torch.from_numpy(design).to(device)
    return model.head(torch.from_numpy(embeddings).to(device), given).cpu().numpy()
