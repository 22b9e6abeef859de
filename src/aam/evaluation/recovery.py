"""How well distances between samples are recovered by distances between their embeddings."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from aam.data.dataset import Collate, SampleDataset
from aam.saved.transformer import FittedEncoder
from aam.scoring.plots import scatter
from aam.study.study import Study
from aam.training.objectives.unifrac import sample_pairs

# Samples of which all pairs are scored; more add nothing to a correlation and cost their square.
_SCORED_SAMPLES = 1_000
_SHOWN_PAIRS = 5_000
# Of those, samples of two blocks that are compared at a time.
_COMPARED_SAMPLES = 100


def distance_pairs(fitted: FittedEncoder, study: Study, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances between embeddings, and the study's own, of all pairs [P] of the samples `rows`, or of a thousand of them."""
    if study.distance is None:
        raise ValueError("the study has no distance to recover")
    seed = fitted.info.seed
    if len(rows) > _SCORED_SAMPLES:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _SCORED_SAMPLES, replace=False))
    embeddings = torch.from_numpy(fitted.embed(study, rows))
    dataset = SampleDataset(study.table, fitted.info.reads, seed)
    pairs = sample_pairs(embeddings, distances_of(study.distance.cpu(), dataset, study.asv_tokens, rows))
    return pairs.predicted.numpy(), pairs.true.numpy()


def distances_of(distance: nn.Module, dataset: SampleDataset, asv_tokens: np.ndarray, rows: np.ndarray) -> Tensor:
    """Distances float [rows, rows], some samples against some others at a time: of many, most nodes are of few."""
    collate = Collate(asv_tokens)
    blocks = torch.arange(len(rows)).split(_COMPARED_SAMPLES)
    found = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for number, first in enumerate(blocks):
        for second in blocks[number:]:
            both = torch.cat([first, second]).unique()
            batch = collate([dataset[0, int(rows[place])] for place in both])
            found[both[:, None], both] = distance(batch.columns, batch.counts, batch.sample_index).double()
    return found


def plot_pairs(pairs: tuple[np.ndarray, np.ndarray]) -> Figure:
    """Some of the pairs: predicted against true."""
    shown = np.random.default_rng(0).permutation(len(pairs[1]))[:_SHOWN_PAIRS]
    return scatter(np.stack(pairs, axis=1)[shown], "UniFrac", "distance between embeddings", "pairs of held-out samples")
