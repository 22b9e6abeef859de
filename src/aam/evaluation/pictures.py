"""Pictures of an evaluation, as SVG that takes the colour of the page's text, for light and dark pages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from sklearn.metrics import roc_curve

from aam.evaluation.compare import Outcome, Summary
from aam.evaluation.errors.held_out import HeldOut
from aam.evaluation.errors.promises import Promise
from aam.evaluation.robustness import Fall
from aam.scoring.measures import Measure

# Drawn in this colour, which nothing else has, and then replaced by the text's.
_TEXT = "#010203"
_OURS, _SIMPLE = "#2f83c6", "#c9762b"
_SHOWN_GROUPS, _BINS = 20, 8
# Of a picture, inches: what a telephone shows without making it smaller.
_WIDTH = 4.8
# Of a name above a line, at that width.
_LETTERS = 52


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


def models(summaries: Sequence[Summary], measure: Measure, simple: Sequence[str]) -> Figure:
    """The score of every model, by which models are compared, with its 95 % interval."""
    # Names stand above the lines, not beside them: so it fits a narrow window at its own size.
    figure, axes = _axes(_WIDTH, 0.44 * len(summaries) + 0.9, "All models on the same folds", f"{measure.title}, 95 % interval", "")
    for place, summary in enumerate(reversed(summaries)):
        colour = _SIMPLE if summary.model in simple else _OURS
        axes.plot([summary.low, summary.high], [place, place], color=colour, linewidth=2, alpha=0.45, solid_capstyle="round")
        axes.plot([summary.scores[measure.key]], [place], "o", color=colour, markersize=6)
        above = axes.get_yaxis_transform()
        axes.text(0.01, place + 0.22, _plain(summary.model), color=_TEXT, fontsize=9, va="bottom", transform=above)
    axes.set_yticks([])
    axes.set_ylim(-0.5, len(summaries) - 0.2)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", alpha=0.15)
    return figure


def predicted_against_true(outcome: Outcome, model: str, colour: str = _OURS) -> Figure:
    """Points of the first repeat's held-out samples, and the line on which both are equal."""
    column = outcome.problem.column
    _, true, predicted = outcome.together(model)
    figure, axes = _axes(4.2, 3.9, model, f"true {column}", f"predicted {column}")
    axes.scatter(true, predicted, s=9, alpha=0.5, color=colour, linewidths=0)
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    axes.plot(ends, ends, color=_TEXT, linewidth=0.8, alpha=0.6)
    return figure


def errors_by_group(outcome: Outcome, model: str, colour: str) -> Figure:
    """Errors (predicted - true) in each group, the groups with the largest mean error first."""
    rows, true, predicted = outcome.together(model)
    groups = np.asarray(outcome.group_names)[outcome.unit[rows]]
    found = sorted(set(groups), key=lambda group: -abs((predicted - true)[groups == group].mean()))[:_SHOWN_GROUPS]
    figure, axes = _axes(
        _WIDTH, 0.24 * len(found) + 0.9, f"Errors by group, {model}", f"predicted - true {outcome.problem.column}", ""
    )
    for place, group in enumerate(reversed(found)):
        errors = (predicted - true)[groups == group]
        axes.plot(errors, np.full(len(errors), place), "o", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
        axes.plot([errors.mean()], [place], "|", color=_TEXT, markersize=12)
    axes.axvline(0, color=_TEXT, linewidth=0.8, alpha=0.5)
    axes.set_yticks(range(len(found)), [_plain(group) for group in reversed(found)], fontsize=7)
    return figure


def errors_by_reads(outcome: Outcome, held: HeldOut, colour: str) -> Figure:
    """The error of each sample by its reads, and the median in each quarter of the samples."""
    reads = np.asarray(outcome.problem.study.counts[held.rows].sum(axis=1)).ravel().astype(float)
    signed = held.bias is not None and not held.of_classes
    errors = held.bias if signed and held.bias is not None else held.error
    label = f"predicted - true {outcome.problem.column}" if signed else "1 - probability of the true class"
    figure, axes = _axes(_WIDTH, 3.2, "Errors by reads", "reads of a sample", label)
    axes.scatter(reads, errors, s=9, alpha=0.5, color=colour, linewidths=0)
    order = np.argsort(reads, kind="stable")
    for quarter in np.array_split(order, 4):
        if len(quarter):
            ends = [reads[quarter].min(), reads[quarter].max()]
            axes.plot(ends, [np.median(errors[quarter])] * 2, color=_TEXT, linewidth=2)
    if reads.max() > 10 * max(reads.min(), 1):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    if signed:
        axes.axhline(0, color=_TEXT, linewidth=0.8, alpha=0.5)
    return figure


def calibration_by_level(promises: Sequence[Promise], held: HeldOut, colour: str) -> Figure:
    """Shares that should be right (upright lines) and that are (points, with their 95 % intervals), a level in a row."""
    label = "right predictions, %" if held.of_classes else "truths in their intervals, %"
    figure, axes = _axes(_WIDTH, 0.44 * len(promises) + 0.9, "Calibration by level", label, "")
    beside = axes.get_yaxis_transform()
    for place, one in enumerate(reversed(promises)):
        low, high, kept, promised = (100 * share for share in (one.low, one.high, one.kept, one.promised))
        axes.plot([low, high], [place, place], color=colour, linewidth=2, alpha=0.45, solid_capstyle="round")
        axes.plot([kept], [place], "o", color=colour, markersize=6)
        axes.plot([promised], [place], "|", color=_TEXT, markersize=12, markeredgewidth=2)
        name = f"{_fitting(one.level)} ({one.samples})"
        axes.text(0.01, place + 0.22, _plain(name), color=_TEXT, fontsize=9, va="bottom", transform=beside)
    axes.set_yticks([])
    axes.set_ylim(-0.5, len(promises) - 0.2)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", alpha=0.15)
    return figure


def _fitting(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1].rstrip()}…"


def roc(outcome: Outcome, models: dict[str, str]) -> Figure:
    """ROC curves of the first repeat, all folds together; one class against the rest, averaged, where there are several."""
    figure, axes = _axes(4.2, 3.9, "ROC", "false positive rate", "true positive rate")
    rates, number = np.linspace(0, 1, 201), len(outcome.problem.target.classes)
    for model, colour in models.items():
        _, true, predicted = outcome.together(model)
        # A class without held-out samples has no curve.
        classes = [1] if number == 2 else [k for k in range(number) if (true == k).any()]
        curves = [np.interp(rates, *roc_curve(true == k, predicted[:, k])[:2]) for k in classes]
        # Several samples may be above the first false positive: the curve rises from 0 to them.
        axes.plot([0, *rates], [0, *np.mean(curves, axis=0)], color=colour, label=model)
    axes.plot([0, 1], [0, 1], color=_TEXT, linewidth=0.8, alpha=0.5)
    _legend(axes, "lower right")
    return figure


def calibration(outcome: Outcome, models: dict[str, str]) -> Figure:
    """Observed shares beside predicted probabilities: all classes and folds of the first repeat together."""
    figure, axes = _axes(4.2, 3.9, "Calibration", "predicted probability", "observed share")
    for model, colour in models.items():
        _, true, predicted = outcome.together(model)
        said, so = predicted.ravel(), np.eye(predicted.shape[1])[true].ravel()
        order = np.array_split(np.argsort(said), min(_BINS, len(said)))
        axes.plot([said[part].mean() for part in order], [so[part].mean() for part in order], "o-", color=colour, label=model, ms=4)
    axes.plot([0, 1], [0, 1], color=_TEXT, linewidth=0.8, alpha=0.5)
    _legend(axes, "upper left")
    return figure


def means_by_truth(outcome: Outcome, models: dict[str, str]) -> Figure:
    """Mean prediction in bins of the true value: models that hedge are flat."""
    column = outcome.problem.column
    figure, axes = _axes(4.2, 3.9, "Mean prediction by true value", f"true {column}", f"mean predicted {column}")
    ends: list[float] = []
    for model, colour in models.items():
        _, true, predicted = outcome.together(model)
        bins = np.array_split(np.argsort(true, kind="stable"), min(_BINS, len(true)))
        centres = [float(true[part].mean()) for part in bins]
        axes.plot(centres, [predicted[part].mean() for part in bins], "o-", color=colour, label=model, ms=4)
        ends += centres
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color=_TEXT, linewidth=0.8, alpha=0.5)
    _legend(axes, "upper left")
    return figure


def fall(name: str, falls: Sequence[Fall], measure: Measure, simple: str) -> Figure:
    """The score of each model by the level of a perturbation; `simple`: the model that is not ours."""
    figure, axes = _axes(4.2, 3.2, name, f"{name}, %", measure.title)
    for model in dict.fromkeys(one.model for one in falls):
        points = [(100 * one.level, one.score) for one in falls if one.model == model]
        axes.plot(*zip(*points, strict=True), "o-", color=_SIMPLE if model == simple else _OURS, label=model, ms=4)
    axes.grid(alpha=0.15)
    axes.legend(frameon=False, labelcolor=_TEXT, fontsize=8, loc="best")
    return figure


COLOURS = (_OURS, _SIMPLE)
