"""What a set network says of samples."""

from __future__ import annotations

import numpy as np
import torch

from aam.compute import default_device
from aam.ensemble.catalogue import SeenTable
from aam.ensemble.set_batches import set_batch
from aam.models.set_networks import SetNetworks

# ASVs of samples that are predicted together.
_ASVS_AT_ONCE = 2**15


@torch.inference_mode()
def run_networks(networks: SetNetworks, table: SeenTable, rows: np.ndarray) -> np.ndarray:
    """What networks say of the samples `rows`, float64 [E, rows, outputs]: training units, or class probabilities."""
    device = default_device()
    networks.to(device)
    vectors, identity = torch.tensor(table.vectors, device=device), torch.tensor(table.identity, device=device)
    number = len(networks.identity)
    parts = [torch.zeros(number, 0, networks.head.bias.shape[2], dtype=torch.float64)]
    ends = np.diff(table.counts.indptr)[rows].cumsum()
    for some in np.split(rows, np.flatnonzero(np.diff(ends // _ASVS_AT_ONCE)) + 1):
        if len(some):
            batch = set_batch(table.counts, np.tile(some, (number, 1))).to(device)
            design = torch.from_numpy(table.design_of(some)).to(device).unsqueeze(0)
            parts.append(networks(vectors, identity, batch, design=design).double().cpu())
    said = torch.cat(parts, dim=1)
    return (said.softmax(dim=2) if said.shape[2] > 1 else said).numpy()
