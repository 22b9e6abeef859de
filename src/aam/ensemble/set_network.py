"""The set network, the sample level of the transformer on fixed ASV vectors: what it says of samples."""

from __future__ import annotations

import numpy as np
import torch

from aam.compute import default_device
from aam.data.dataset import Collate, SampleDataset, make_loader
from aam.ensemble.catalogue import SeenTable
from aam.models import SampleNetwork
from aam.options import ReadOptions

_PREDICTED_AT_ONCE = 64


@torch.inference_mode()
def run_network(network: SampleNetwork, table: SeenTable, rows: np.ndarray) -> np.ndarray:
    """What a network says of the samples `rows`, float64 [rows, outputs]: training units, or class probabilities."""
    device = default_device()
    network.to(device)
    vectors, identity = torch.tensor(table.vectors, device=device), torch.tensor(table.identity, device=device)
    samples = SampleDataset(table.feature_table(), ReadOptions(), 0)
    # By size, so that little is padding.
    order = np.argsort(np.diff(table.counts.indptr)[rows], kind="stable")
    parts = []
    for batch in make_loader(samples, Collate(table.tokens[:, :1]), rows[order], _PREDICTED_AT_ONCE, shuffle=False):
        moved = batch.to(device)
        columns = moved.asv_columns
        output = network(vectors[columns], identity[columns], moved.asv_index, moved.counts).double()
        parts.append((output.softmax(dim=1) if output.shape[1] > 1 else output).cpu())
    found = np.empty((len(rows), parts[0].shape[1]))
    found[order] = torch.cat(parts).numpy()
    return found
