"""Streaming metrics: memory does not grow with the number of samples. Built on torchmetrics, which reduces them over ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

# Points kept for plots and rank correlations.
RESERVOIR_SIZE = 1_000


class Reservoir(Metric):
    """A uniform random sample of (predicted, true) points: those with the highest of random keys, so parts can be merged."""

    full_state_update = False
    keys: Tensor
    points: Tensor

    def __init__(self, size: int = RESERVOIR_SIZE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.generator = torch.Generator().manual_seed(0)
        self.add_state("keys", torch.zeros(0), dist_reduce_fx="cat")
        self.add_state("points", torch.zeros(0, 2), dist_reduce_fx="cat")

    def update(self, predicted: Tensor, true: Tensor) -> None:
        keys = torch.rand(len(true), generator=self.generator).to(self.keys.device)
        keys = torch.cat([self.keys, keys])
        points = torch.cat([self.points, torch.stack([predicted.float(), true.float()], dim=1)])
        kept = keys.topk(min(self.size, len(keys))).indices
        self.keys, self.points = keys[kept], points[kept]

    def reset(self) -> None:
        super().reset()
        # The same points in every epoch, and so in a resumed run.
        self.generator.manual_seed(0)

    def compute(self) -> Tensor:
        """The kept (predicted, true) points, [<= size, 2]."""
        return self.points


class PairedMetrics(Metric):
    """Errors of predictions [P] against their truth [P], from running sums in float64."""

    full_state_update = False
    sums: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("sums", torch.zeros(5, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, true: Tensor) -> None:
        predicted, true = predicted.double(), true.double()
        error = predicted - true
        ones = torch.ones_like(true)
        self.sums = self.sums + torch.stack([ones, true, true.square(), error.abs(), error.square()]).sum(dim=1)

    def compute(self) -> dict[str, Tensor]:
        """mse, mae, rmse, r2, stress (Kruskal's stress-1) and mean_mse: the mse of always predicting the mean of the truth."""
        count, total, squares, absolute, squared = self.sums
        variance = (squares - total.square() / count).clamp(min=0)
        return {
            "mse": squared / count,
            "mae": absolute / count,
            "rmse": (squared / count).sqrt(),
            "r2": 1 - squared / variance,
            "stress": (squared / squares).sqrt(),
            "mean_mse": variance / count,
        }


def spearman(points: Tensor) -> Tensor:
    """Rank correlation of (predicted, true) points [P, 2]; NaN for fewer than 3."""
    if len(points) < 3:
        return torch.tensor(torch.nan)
    from scipy.stats import spearmanr

    columns = points.double().cpu().numpy()
    if (columns == columns[0]).all(axis=0).any():
        return torch.tensor(torch.nan)
    return torch.tensor(float(spearmanr(columns[:, 0], columns[:, 1]).statistic))


class NucleotideMetrics(Metric):
    """Loss and accuracy at masked positions, and the accuracy of always naming the position's commonest letter.

    majority: int64 [1 + L], the commonest letter 0-3 of each position among the table's ASVs.
    """

    full_state_update = False
    sums: Tensor
    majority: Tensor

    def __init__(self, majority: Tensor) -> None:
        super().__init__()
        self.register_buffer("majority", majority, persistent=False)
        self.add_state("sums", torch.zeros(4, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, letters: Tensor, positions: Tensor) -> None:
        loss = torch.nn.functional.cross_entropy(logits, letters, reduction="none")
        right = logits.argmax(dim=1) == letters
        common = self.majority[positions] == letters
        values = torch.stack([torch.ones_like(loss), loss, right.float(), common.float()]).double()
        self.sums = self.sums + values.sum(dim=1)

    def compute(self) -> dict[str, Tensor]:
        count, loss, right, common = self.sums
        return {"loss": loss / count, "accuracy": right / count, "majority_accuracy": common / count}
