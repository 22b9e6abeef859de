"""Streaming metrics: memory does not grow with the number of samples. Built on torchmetrics, which reduces them over ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat
from torchmetrics.utilities.distributed import gather_all_tensors

from aam.parallel.collectives import total, world
from aam.parallel.ranks import rank
from aam.scoring.classes import probability_scores

# Points kept for plots and rank correlations, and samples kept for the scores of classes.
RESERVOIR_SIZE, SCORED_SAMPLES = 1_000, 10_000


def random_keys(update: int, n: int, device: torch.device) -> Tensor:
    """Random numbers [n] by the number of the update: the same in every epoch, and so in a resumed run."""
    # A GPU need not be waited for.
    return torch.rand(n, generator=torch.Generator().manual_seed(update)).to(device, non_blocking=True)


class Reservoir(Metric):
    """A uniform random sample of (predicted, true) points: those with the highest of random keys, so parts can be merged."""

    full_state_update = False
    keys: Tensor
    points: Tensor

    def __init__(self, size: int = RESERVOIR_SIZE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.add_state("keys", torch.zeros(0), dist_reduce_fx="cat")
        self.add_state("points", torch.zeros(0, 2), dist_reduce_fx="cat")

    def update(self, predicted: Tensor, true: Tensor) -> None:
        keys = torch.cat([self.keys, random_keys(self.update_count, len(true), self.keys.device)])
        points = torch.cat([self.points, torch.stack([predicted.float(), true.float()], dim=1)])
        kept = keys.topk(min(self.size, len(keys))).indices
        self.keys, self.points = keys[kept], points[kept]

    def compute(self) -> Tensor:
        """The kept (predicted, true) points, [<= size, 2]."""
        return self.points


class MeanLosses(Metric):
    """Means over samples of the losses `names` of batches, and of their weighted total; of all ranks' samples already."""

    full_state_update = False
    sums: Tensor

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(sync_on_compute=False)
        self.names = list(names)
        self.add_state("sums", torch.zeros(2 + len(self.names), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, losses: Mapping[str, Tensor], weighted: Tensor, samples: int) -> None:
        values = torch.stack([torch.ones_like(weighted), weighted, *(losses[name] for name in self.names)])
        self.sums = self.sums + samples * values.double()

    def compute(self) -> dict[str, Tensor]:
        means = self.sums[1:] / self.sums[0]
        return dict(zip(("loss", *(f"{name}_loss" for name in self.names)), means, strict=True))


def running_state(module: nn.Module) -> dict[str, dict[str, Tensor]]:
    """What the metrics of a module have seen of an epoch that is not over; of ranks that see different samples, added up."""
    state = {}
    for name, metric in module.named_modules():
        if isinstance(metric, Metric) and metric.update_called:
            whole = {key: _of_all(value, metric.sync_on_compute) for key, value in metric.metric_state.items()}
            state[name] = {"updates": torch.tensor(metric.update_count), **whole}
    return state


def _of_all(value: Any, apart: bool) -> Tensor:
    """A state of a metric; where ranks see samples apart, lists of all of them are put together, and tensors are added up."""
    if not isinstance(value, list):
        return total(torch.as_tensor(value)) if apart else torch.as_tensor(value)
    own = dim_zero_cat(value)
    return torch.cat(gather_all_tensors(own)) if apart and world() > 1 else own


def restore_running(module: nn.Module, state: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Go on from what `running_state` gave, the first rank with what ranks had together."""
    for name, values in state.items():
        metric = module.get_submodule(name)
        assert isinstance(metric, Metric)
        metric._update_count = int(values["updates"])
        if rank() == 0 or not metric.sync_on_compute:
            for key in values.keys() - {"updates"}:
                value = values[key].to(metric.device)
                setattr(metric, key, [value] if isinstance(getattr(metric, key), list) else value)


class PairedMetrics(Metric):
    """Errors of predictions [P] against their truth [P], from running sums in float64."""

    full_state_update = False
    sums: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("sums", torch.zeros(5, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, true: Tensor, counted: Tensor | None = None) -> None:
        """counted: bool [P], which of them count; None for all."""
        predicted, true = predicted.flatten().double(), true.flatten().double()
        error = predicted - true
        values = torch.stack([torch.ones_like(true), true, true.square(), error.abs(), error.square()])
        if counted is not None:
            values = values.where(counted.flatten(), 0.0)
        self.sums = self.sums + values.sum(dim=1)

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
    """Accuracy at masked positions, and the accuracy of always naming the position's commonest letter.

    majority: int64 [1 + L], the commonest letter 0-3 of each position among the table's ASVs.
    """

    full_state_update = False
    sums: Tensor
    majority: Tensor

    def __init__(self, majority: Tensor) -> None:
        super().__init__()
        self.register_buffer("majority", majority, persistent=False)
        self.add_state("sums", torch.zeros(3, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, letters: Tensor, positions: Tensor) -> None:
        """logits [P, 4], letters 0-3 [P], below 0 where there is none to name, and positions [P]."""
        right = logits.argmax(dim=1) == letters
        common = self.majority[positions] == letters
        values = torch.stack([letters >= 0, right, common]).double()
        self.sums = self.sums + values.sum(dim=1)

    def compute(self) -> dict[str, Tensor]:
        count, right, common = self.sums
        return {"accuracy": right / count, "majority_accuracy": common / count}


class TaxonMetrics(Metric):
    """Accuracy over the ranks of ASVs that are named, and that of always naming the commonest taxon of each rank.

    common: int64 [ranks], the code of that taxon.
    """

    full_state_update = False
    sums: Tensor
    common: Tensor

    def __init__(self, common: Tensor) -> None:
        super().__init__()
        self.register_buffer("common", common, persistent=False)
        self.add_state("sums", torch.zeros(3, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, told: Tensor, true: Tensor) -> None:
        """Codes told and true, int64 [U, ranks], true ones below 0 where a rank is not named."""
        values = torch.stack([true >= 0, (told == true) & (true >= 0), (true == self.common) & (true >= 0)]).double()
        self.sums = self.sums + values.sum(dim=(1, 2))

    def compute(self) -> dict[str, Tensor]:
        count, right, common = self.sums
        return {"accuracy": right / count, "majority_accuracy": common / count}


class ClassMetrics(Metric):
    """Scores of a head's outputs [B, O] against class ids [B]: those of `probability_scores`, so that an epoch and the held-out
    samples of a run are scored alike. A sample whose class is NaN is left out.

    decode: outputs [n, O] -> class probabilities [n, K]. Outputs of up to `size` samples are kept: of more, a uniform draw.
    """

    full_state_update = False
    keys: list[Tensor]
    rows: list[Tensor]

    def __init__(self, decode: Callable[[np.ndarray], np.ndarray], size: int = SCORED_SAMPLES) -> None:
        super().__init__()
        self.decode, self.size = decode, size
        # Lists, so that ranks may have kept different numbers of samples.
        self.add_state("keys", [], dist_reduce_fx="cat")
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, outputs: Tensor, true: Tensor) -> None:
        rows = torch.cat([outputs.float(), true[:, None].float()], dim=1)
        keys = random_keys(self.update_count, len(rows), rows.device)
        keys, rows = torch.cat([*self.keys, keys]), torch.cat([*self.rows, rows])
        if len(keys) > self.size:
            kept = keys.topk(self.size).indices
            keys, rows = keys[kept], rows[kept]
        self.keys, self.rows = [keys], [rows]

    def compute(self) -> dict[str, Tensor]:
        rows = dim_zero_cat(self.rows).double().cpu().numpy()
        if not len(rows := rows[~np.isnan(rows[:, -1])]):
            return {}
        outputs, true = rows[:, :-1], rows[:, -1].astype(np.int64)
        found = probability_scores(true, self.decode(np.where(np.isfinite(outputs), outputs, 0.0)))
        # Of a model that diverged.
        sound = bool(np.isfinite(outputs).all())
        return {name: torch.tensor(value if sound else torch.nan) for name, value in found.items()}
