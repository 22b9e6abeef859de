"""What pretrain and train write at the end besides the model: metrics.json, curves, and a table of scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aam.disk.writing import write_text
from aam.parallel.ranks import by_first

if TYPE_CHECKING:
    from aam.training.fit import FitResult


@by_first
def write_metrics(folder: Path, result: FitResult, more: Mapping[str, Any]) -> None:
    """metrics.json: held-out scores, metrics of the best epoch, and of every epoch; plots/loss.png: the loss of every epoch."""
    from aam.disk.json_files import finite_or_null
    from aam.scoring.plots import curves, save

    content = {
        **more,
        "best_metric": result.monitor,
        "best_value": result.best_value,
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        "best": result.best,
        "history": result.history,
    }
    text = json.dumps(finite_or_null(content), indent=2) + "\n"
    write_text(folder / "metrics.json", text)
    lines = {
        split: [
            (epoch, values[f"{split}/loss"]) for epoch, values in enumerate(result.history, start=1) if f"{split}/loss" in values
        ]
        for split in ("train", "val")
    }
    save(curves(lines, "loss", "Loss by epoch"), folder / "plots" / "loss.png")


def score_table(title: str, scores: Mapping[str, float]) -> str:
    """Scores, one a line."""
    width = max([len(name) for name in scores], default=0) + 2
    return "\n".join([title, *(f"  {name:<{width}}{value:.4g}" for name, value in scores.items())])
