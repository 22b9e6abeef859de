"""What runs write beside the model: predictions, intervals, scores, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aam.disk.json_files import write_json
from aam.disk.writing import write_tsv
from aam.parallel.ranks import by_first
from aam.scoring.plots import confusion, curves, save, scatter
from aam.study.problem import Problem
from aam.study.targets import Target
from aam.training.fit import FitResult


def beside(path: Path, what: str) -> Path:
    """`predictions.tsv` -> `predictions_intervals.tsv`."""
    return path.with_name(f"{path.stem}_{what}.tsv")


@by_first
def write_predictions(
    path: Path, sample_ids: Sequence[str], predicted: np.ndarray, target: Target, certainty: Mapping[str, np.ndarray] | None = None
) -> None:
    """Two columns that QIIME 2 imports as SampleData[RegressorPredictions] or [ClassifierPredictions]: sample, prediction.

    Class probabilities go to `<name>_probabilities.tsv`, which it imports as SampleData[Probabilities]; what is known of the
    certainty of predictions (`Fitted.certainty`) to `<name>_intervals.tsv`.
    """
    index = pd.Index(sample_ids, name="SampleID")
    tables = {path: pd.DataFrame({"prediction": target.names(predicted)}, index=index)}
    if target.classes:
        tables[beside(path, "probabilities")] = pd.DataFrame(predicted, index=index, columns=list(target.classes))
    if certainty:
        tables[beside(path, "intervals")] = pd.DataFrame(certainty, index=index)
    for place, table in tables.items():
        write_tsv(place, table)


def score_held_out(problem: Problem, predicted: np.ndarray, rows: np.ndarray, train: np.ndarray, folder: Path) -> dict[str, float]:
    """Write the predictions of held-out samples and their plot, and score them beside the trivial prediction of `train`."""
    target, true = problem.target, problem.truth[rows]
    write_predictions(folder / "predictions.tsv", problem.study.ids(rows), predicted, target)
    title = f"{len(rows)} held-out samples"
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
    """Scores, one a line."""
    width = max([len(name) for name in scores], default=0) + 2
    return "\n".join([title, *(f"  {name:<{width}}{value:.4g}" for name, value in scores.items())])
