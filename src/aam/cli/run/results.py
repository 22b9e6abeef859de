"""What runs write beside the model: predictions, intervals, scores, curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aam.disk.json_files import write_json
from aam.errors import counted
from aam.parallel.ranks import by_first
from aam.saved.fitted import Fitted
from aam.saved.predictions import write_predictions
from aam.scoring.plots import confusion, curves, save, scatter
from aam.scoring.scores import BASELINES
from aam.study.problem import Problem

if TYPE_CHECKING:
    from aam.training.fit import FitResult


def score_held_out(
    fitted: Fitted, problem: Problem, predicted: np.ndarray, rows: np.ndarray, train: np.ndarray, folder: Path
) -> dict[str, float]:
    """Write the predictions of held-out samples and their plot, and score them beside the trivial prediction of `train`."""
    target, true = problem.target, problem.truth[rows]
    known = target.labels(true) if target.classes else true
    certainty = fitted.certainty(predicted, None, fitted.banded(problem.study, predicted, rows))
    write_predictions(folder / "predictions.tsv", problem.study.ids(rows), predicted, target, certainty, known)
    title = counted(len(rows), "held-out sample")
    if target.classes:
        figure = confusion(true, predicted.argmax(axis=1), target.classes, f"{problem.column}, {title}")
    else:
        points = np.stack([predicted, true], axis=1)
        figure = scatter(points, f"true {problem.column}", f"predicted {problem.column}", title)
    save(figure, folder / "plots" / "predictions.png")
    return target.scores(true, predicted, problem.truth[train])


@by_first
def write_metrics(folder: Path, result: FitResult, more: Mapping[str, Any]) -> None:
    """metrics.json: held-out scores, metrics of the best epoch, and of every epoch; plots/loss.png: the loss of every epoch."""
    content = {
        **more,
        "best_metric": result.monitor,
        "best_value": result.best_value,
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        "best": result.best,
        "history": result.history,
    }
    write_json(folder / "metrics.json", content)
    lines = {
        split: [
            (epoch, values[f"{split}/loss"]) for epoch, values in enumerate(result.history, start=1) if f"{split}/loss" in values
        ]
        for split in ("train", "val")
    }
    save(curves(lines, "loss", "Loss by epoch"), folder / "plots" / "loss.png")


def score_table(title: str, scores: Mapping[str, float]) -> str:
    """Scores, one a line, baselines called so."""
    shown = {BASELINES.get(name, name): value for name, value in scores.items()}
    width = max([len(name) for name in shown], default=0) + 2
    return "\n".join([title, *(f"  {name:<{width}}{value:.4g}" for name, value in shown.items())])
