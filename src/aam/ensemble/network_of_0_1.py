"""Set networks of version 0.1.0, the sample level of the transformer on fixed ASV vectors: loaded, and no longer trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from aam.compute import default_device
from aam.data.dataset import Collate, SampleDataset, make_loader
from aam.ensemble.catalogue import SeenTable
from aam.models import SampleNetwork
from aam.models.weightless import weightless
from aam.options import ModelOptions, ReadOptions

_PREDICTED_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class LayeredNetworkMember:
    """The sample level of the transformer on fixed ASV vectors. weights: of a `SampleNetwork` of these options, by name."""

    weights: dict[str, np.ndarray]
    options: ModelOptions

    def _empty(self) -> SampleNetwork:
        known, outputs = self.weights["identity.weight"].shape[0] - 1, self.weights["head.4.bias"].shape[0]
        return SampleNetwork(self.options, self.weights["project.weight"].shape[1], known, outputs)

    def network(self) -> SampleNetwork:
        network = self._empty()
        network.load_state_dict({name: torch.tensor(value) for name, value in self.weights.items()})
        return network.eval()

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        said = run_network(self.network(), table, rows)
        return said if said.shape[1] > 1 else said[:, 0]

    def arrays(self) -> dict[str, np.ndarray]:
        return self.weights

    def require_fit(self, width: int, known: int, outputs: int, covariates: int) -> None:
        # Before memory is taken for one.
        with weightless():
            network = self._empty()
        if {name: value.shape for name, value in network.state_dict().items()} != {
            name: value.shape for name, value in self.weights.items()
        }:
            raise ValueError("weights that are not those of a network")
        last = network.head[-1]
        if (network.project.in_features, network.identity.num_embeddings, last.out_features, 0) != (
            *(width, known + 1, outputs, covariates),
        ):
            raise ValueError("a network is of other ASVs or outputs")


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
