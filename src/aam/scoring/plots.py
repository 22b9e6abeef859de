"""Pictures of a run: predicted against true, confusion, loss curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aam.disk.writing import whole
from aam.parallel.ranks import by_first

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

_BLUE, _GREY = "#2a6f97", "#8d99ae"


def _figure(title: str, xlabel: str, ylabel: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def scatter(points: np.ndarray, true_label: str, predicted_label: str, title: str) -> Figure:
    """(predicted, true) points [P, 2], true on the x axis, with the line on which they would be equal."""
    figure = _figure(title, true_label, predicted_label)
    axes = figure.axes[0]
    predicted, true = points[:, 0], points[:, 1]
    axes.scatter(true, predicted, s=10, alpha=0.5, color=_BLUE, linewidths=0)
    low, high = float(points.min(initial=0.0)), float(points.max(initial=1e-9))
    axes.plot([low, high], [low, high], color=_GREY, linewidth=1, label="predicted = true")
    axes.legend(frameon=False, loc="upper left")
    return figure


def confusion(true: np.ndarray, predicted: np.ndarray, classes: tuple[str, ...], title: str) -> Figure:
    """Counts of true classes (rows) by predicted classes (columns); class ids [N]."""
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (true, predicted), 1)
    figure = _figure(title, "predicted", "true")
    axes = figure.axes[0]
    axes.imshow(counts / counts.sum(axis=1, keepdims=True).clip(min=1), cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=45 if len(classes) > 3 else 0)
    axes.set_yticks(range(len(classes)), classes)
    for row, column in np.ndindex(counts.shape):
        dark = counts[row, column] > 0.6 * max(1, counts[row].sum())
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color="white" if dark else "black")
    return figure


def curves(history: dict[str, list[tuple[int, float]]], ylabel: str, title: str) -> Figure:
    """Lines by name, each a list of (epoch, value)."""
    figure = _figure(title, "epoch", ylabel)
    axes = figure.axes[0]
    for (name, line), color in zip(sorted(history.items()), (_BLUE, "#e07a5f", "#81b29a", _GREY), strict=False):
        axes.plot(*zip(*line, strict=True), label=name, color=color)
    axes.legend(frameon=False)
    return figure


@by_first
def save(figure: Figure, path: Path) -> None:
    """Write a PNG, with its folder."""
    with whole(path) as new:
        figure.savefig(new)
