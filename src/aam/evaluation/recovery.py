"""How well an encoder tells what it was taught of samples: distances between them, and quantities of each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from aam.data.dataset import Collate, SampleDataset
from aam.data.stream import used_columns
from aam.saved.transformer import FittedEncoder
from aam.scoring.plots import scatter
from aam.study.study import Study
from aam.training.objectives.distances import sample_pairs
from aam.training.objectives.encoder_type import EncoderType

# Samples of which all pairs are scored; more add nothing to a correlation and cost their square.
_SCORED_SAMPLES = 1_000
_SHOWN_POINTS = 5_000
# Of those, samples of two blocks that are compared at a time.
_COMPARED_SAMPLES = 100

# What was told beside the truth, [P] each.
Points = tuple[np.ndarray, np.ndarray]


def recovered(fitted: FittedEncoder, study: Study, rows: np.ndarray, measures: Mapping[str, nn.Module]) -> dict[str, Points]:
    """What the encoder tells of the samples `rows`, or of a thousand of them, by encoder type: of distances all pairs.

    measures: what gives the truth of samples, see `Taught`.
    """
    seed = fitted.info.seed
    if len(rows) > _SCORED_SAMPLES:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _SCORED_SAMPLES, replace=False))
    dataset = SampleDataset(study.table, fitted.info.reads, seed)
    embeddings, points = fitted.embed_as_learned(study, rows), {}
    for head in fitted.info.heads:
        if head.name not in measures:
            continue
        told, measure = fitted.told(head, embeddings), measures[head.name].cpu()
        if head.is_space:
            pairs = sample_pairs(torch.from_numpy(told), distances_of(measure, dataset, study.asv_tokens, rows))
            points[head.name] = (pairs.predicted.numpy(), pairs.true.numpy())
        else:
            points[head.name] = (told[:, 0], quantities_of(measure, dataset, study.asv_tokens, rows).numpy())
    return points


def scores_of_asvs(fitted: FittedEncoder, study: Study, kind: EncoderType, train: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """Scores of what is told of the ASVs of the samples `rows` (``held_out_accuracy``), and of those among them that none of the
    samples `train` has (``unseen_accuracy``), each with their number; no more than that, 0, where there are none.
    """
    seen, held_out = (used_columns(study.table.counts, samples) for samples in (train, rows))
    kind, found = kind.knowing(seen), {}
    said = torch.from_numpy(fitted.told(kind.head, fitted.embed_asvs(study)[held_out]))
    for part, columns in {"held_out": held_out, "unseen": np.setdiff1d(held_out, seen)}.items():
        found[f"{part}_asvs"] = float(len(columns))
        if len(columns):
            metrics = kind.metrics()
            metrics.update(kind.beside_truth(said[np.searchsorted(held_out, columns)], columns))
            found |= {f"{part}_{name}": float(value) for name, value in metrics.streamed.compute().items()}
    return found


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


def quantities_of(quantity: nn.Module, dataset: SampleDataset, asv_tokens: np.ndarray, rows: np.ndarray) -> Tensor:
    """A quantity of each sample, float64 [rows]."""
    collate = Collate(asv_tokens)
    parts = np.split(rows, range(_COMPARED_SAMPLES, len(rows), _COMPARED_SAMPLES))
    batches = (collate([dataset[0, int(row)] for row in part]) for part in parts)
    return torch.cat([quantity(batch.columns, batch.counts, batch.sample_index).double() for batch in batches])


def plot_points(points: Points, name: str, pairs: bool) -> Figure:
    """Some of them: told against true."""
    shown = np.random.default_rng(0).permutation(len(points[1]))[:_SHOWN_POINTS]
    told, of = ("distance between embeddings", "pairs of ") if pairs else ("told by the encoder", "")
    return scatter(np.stack(points, axis=1)[shown], name, told, f"{of}held-out samples")
