"""Pictures of an evaluation, as SVG that takes the colour of the page's text, for light and dark pages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from aam.evaluation.compare import Outcome, Summary

# Drawn in this colour, which nothing else has, and then replaced by the text's.
_TEXT = "#010203"
_OURS, _SIMPLE = "#2f83c6", "#c9762b"
_SHOWN_GROUPS, _BINS = 20, 8


def svg(figure: Figure, name: str) -> str:
    """Make a figure an `<svg>` element whose text takes the page's colour and font; `name` tells the pictures of a page apart."""
    content = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    text = content.getvalue()
    text = text[text.index("<svg") :].replace(_TEXT, "currentColor")
    return text.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def _plain(text: object) -> str:
    """Text as it is: Matplotlib would read formulas between two dollar signs."""
    return str(text).replace("$", r"\$")


def _axes(width: float, height: float, title: str, xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    with rc_context(
        {"text.color": _TEXT, "axes.labelcolor": _TEXT, "axes.edgecolor": _TEXT, "xtick.color": _TEXT, "ytick.color": _TEXT}
    ):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(_plain(title), fontsize=11)
        axes.set(xlabel=_plain(xlabel), ylabel=_plain(ylabel))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(axes: Axes, place: Literal["upper left", "lower right"]) -> None:
    axes.legend(frameon=False, labelcolor=_TEXT, fontsize=8, loc=place)


def _together(outcome: Outcome, model: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, truth and predictions of all tested samples of the first repeat."""
    first = [(fold, said) for fold, said in zip(outcome.folds, outcome.predictions[model], strict=True) if fold.repeat == 0]
    rows = np.concatenate([fold.test for fold, _ in first])
    return rows, outcome.truth[rows], np.concatenate([said for _, said in first])


def models(summaries: Sequence[Summary], metric: str, simple: Sequence[str]) -> Figure:
    """The metric of every model with its 95 % interval."""
    title = "area under the ROC curve" if metric == "auc" else "mean absolute error"
    figure, axes = _axes(7.2, 0.32 * len(summaries) + 0.9, "All models on the same folds", f"{title}, 95 % interval", "")
    for place, summary in enumerate(reversed(summaries)):
        colour = _SIMPLE if summary.model in simple else _OURS
        axes.plot([summary.low, summary.high], [place, place], color=colour, linewidth=2, alpha=0.45, solid_capstyle="round")
        axes.plot([summary.scores[metric]], [place], "o", color=colour, markersize=6)
    axes.set_yticks(range(len(summaries)), [summary.model for summary in reversed(summaries)])
    axes.grid(axis="x", alpha=0.15)
    return figure


def predicted_against_true(outcome: Outcome, model: str, column: str, colour: str = _OURS) -> Figure:
    """Points of the first repeat's tested samples, and the line on which both are equal."""
    _, true, predicted = _together(outcome, model)
    figure, axes = _axes(4.2, 3.9, model, f"true {column}", f"predicted {column}")
    axes.scatter(true, predicted, s=9, alpha=0.5, color=colour, linewidths=0)
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    axes.plot(ends, ends, color=_TEXT, linewidth=0.8, alpha=0.6)
    return figure


def errors_by_group(outcome: Outcome, model: str, names: Sequence[str], colour: str) -> Figure:
    """Mean error (predicted - true) of each group, those with the largest; `names` [N] of the samples' groups."""
    rows, true, predicted = _together(outcome, model)
    groups = np.asarray(names)[rows]
    found = sorted(set(groups), key=lambda group: -abs((predicted - true)[groups == group].mean()))[:_SHOWN_GROUPS]
    figure, axes = _axes(7.2, 0.24 * len(found) + 0.9, f"Errors by group, {model}", "predicted - true", "")
    for place, group in enumerate(reversed(found)):
        errors = (predicted - true)[groups == group]
        axes.plot(errors, np.full(len(errors), place), "o", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
        axes.plot([errors.mean()], [place], "|", color=_TEXT, markersize=12)
    axes.axvline(0, color=_TEXT, linewidth=0.8, alpha=0.5)
    axes.set_yticks(range(len(found)), [_plain(group) for group in reversed(found)], fontsize=7)
    return figure


def roc(outcome: Outcome, models: dict[str, str]) -> Figure:
    """ROC curves of the first repeat, all folds together; one class against the rest, averaged, where there are several."""
    figure, axes = _axes(4.2, 3.9, "ROC", "false positive rate", "true positive rate")
    rates = np.linspace(0, 1, 201)
    for model, colour in models.items():
        _, true, predicted = _together(outcome, model)
        classes = [1] if len(outcome.classes) == 2 else range(len(outcome.classes))
        curves = [np.interp(rates, *roc_curve(true == k, predicted[:, k])[:2]) for k in classes]
        axes.plot(rates, np.mean(curves, axis=0), color=colour, label=model)
    axes.plot([0, 1], [0, 1], color=_TEXT, linewidth=0.8, alpha=0.5)
    _legend(axes, "lower right")
    return figure


def calibration(outcome: Outcome, models: dict[str, str]) -> Figure:
    """How often what was said with some probability was so: all classes and folds of the first repeat together."""
    figure, axes = _axes(4.2, 3.9, "Calibration", "probability that was said", "share that was so")
    for model, colour in models.items():
        _, true, predicted = _together(outcome, model)
        said, so = predicted.ravel(), np.eye(len(outcome.classes))[true].ravel()
        order = np.array_split(np.argsort(said), _BINS)
        axes.plot([said[part].mean() for part in order], [so[part].mean() for part in order], "o-", color=colour, label=model, ms=4)
    axes.plot([0, 1], [0, 1], color=_TEXT, linewidth=0.8, alpha=0.5)
    _legend(axes, "upper left")
    return figure


def means_by_truth(outcome: Outcome, models: dict[str, str], column: str) -> Figure:
    """Mean prediction in bins of the truth: models that hedge are flat."""
    figure, axes = _axes(4.2, 3.9, "Mean prediction by truth", f"true {column}", f"mean predicted {column}")
    ends: list[float] = []
    for model, colour in models.items():
        _, true, predicted = _together(outcome, model)
        bins = np.array_split(np.argsort(true, kind="stable"), _BINS)
        centres = [float(true[part].mean()) for part in bins]
        axes.plot(centres, [predicted[part].mean() for part in bins], "o-", color=colour, label=model, ms=4)
        ends += centres
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color=_TEXT, linewidth=0.8, alpha=0.5)
    _legend(axes, "upper left")
    return figure


COLOURS = (_OURS, _SIMPLE)
