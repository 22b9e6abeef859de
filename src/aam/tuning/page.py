"""tune.html, and trials.tsv: what was tried, what matters, and what tuning bought."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from aam import page
from aam.disk.writing import write_text, write_tsv
from aam.errors import counted
from aam.evaluation.compare import Summary
from aam.explain import drawing
from aam.tuning.outer import TUNED, Judgement
from aam.tuning.search import Search, behind, duration
from aam.tuning.space import Knob
from aam.tuning.trials import FEWEST, Tried

_TOP, _FOOT, _LEFT, _RIGHT = 24, 200, 56, drawing.WIDTH - 14
# Of the label of a bar, and height of one; colours of trials.
_LABEL, _BAR = 190, 22
_TRIED, _ENDED, _CHOSEN = "lower", "base", "raise"


def write_trials(search: Search, path: Path) -> None:
    """trials.tsv: a line for each trial, in their order: how it ended, its score, and the values of the options."""
    rows = []
    for number, tried in enumerate(search.tried, start=1):
        about = {
            "trial": number,
            "state": tried.state,
            search.measure.key: tried.score,
            "standard_errors_behind_the_best": _behind(search, tried),
            "changed": len(tried.changed(search.base)),
            "chosen": "yes" if tried is search.chosen else "",
            "seconds": round(tried.seconds, 2),
            "reason": tried.reason,
        }
        rows.append({**about, **tried.values})
    write_tsv(path, pd.DataFrame(rows), index=False)


def _behind(search: Search, tried: Tried) -> float:
    return float("nan") if tried.state == "failed" else round(behind(search.measure, tried, search.best), 3)


def write_page(found: Judgement, facts: Mapping[str, str], path: Path) -> None:
    """tune.html; facts: about the run, by name."""
    search = found.search
    states = {state: sum(tried.state == state for tried in search.tried) for state in ("complete", "pruned", "failed")}
    seconds = sum(tried.seconds for tried in search.tried)
    warnings = []
    if not np.isfinite(found.tuned.gain_low):
        warnings.append(f"The test samples are of {counted(found.test_groups, 'group')}: too few to say how sure the gain is.")
    if len(search.complete) < FEWEST:
        warnings.append(f"Few trials were judged on all samples ({len(search.complete)}): importance and slices say little yet.")
    of_groups = f" of {counted(found.test_groups, 'group')}" if found.test_groups < found.test_samples else ""
    about = [
        ("trials", f"{states['complete']} judged on all samples, {states['pruned']} ended early, {states['failed']} failed"),
        ("time", f"{duration(seconds)} of trials; a fit of the untuned options took {duration(found.fit_seconds)}"),
        ("test samples", f"{found.test_samples}{of_groups}, which no trial saw"),
        *facts.items(),
    ]
    sections = [
        ("On the test samples", "\n".join([page.hint(page.HINT), _scores(found), page.note(_ABOUT_SCORES)])),
        ("Options", "\n".join([_options(search), page.note(_ABOUT_CHOICE)])),
        ("History", "\n".join([_history(search), page.note(_ABOUT_HISTORY)])),
        ("Importance", "\n".join([_importance(search), page.note(_ABOUT_IMPORTANCE)])),
        ("Slices", "\n".join([page.side_by_side([_slice(search, knob) for knob in search.space]), page.note(_ABOUT_SLICES)])),
        ("About", page.definitions(about)),
    ]
    title = f"Tuning: {found.column}"
    write_text(path, page.page(title, found.sentence(), warnings, sections, drawing.STYLE))


_ABOUT_SCORES = (
    "Both were fitted to all training samples. Intervals are of resampled groups of the test samples (of samples, "
    "without groups), the same draws for both. "
    "The test samples had no part in any trial, nor in the choice."
)
_ABOUT_CHOICE = (
    "Chosen is the trial that changes the fewest options, of those that are not worse than the best one by more than one standard "
    "error of the difference, over resampled groups of the training samples. The score of the best of many trials is too good: "
    "believe that of the test samples."
)
_ABOUT_HISTORY = (
    "Each trial in its order: blue, judged on all training samples by models that did not learn from their groups; grey, ended "
    "early, as it was two standard errors behind the best on the samples judged so far; orange, the chosen one. Line: the best."
)
_ABOUT_IMPORTANCE = (
    "How much each option tells the best trials from the others (PED-ANOVA of Optuna), adding up to 100 %. It says what moves the "
    "score of the trials, not that it moves that of the test samples."
)
_ABOUT_SLICES = "The score of each trial by the value of one option; the others differ, too. Colours as above."


def _scores(found: Judgement) -> str:
    measure = found.measure

    def row(summary: Summary) -> list[str]:
        score, gain = f"{summary.scores[measure.key]:#.4g}", "-"
        if summary.model == TUNED and found.changed:
            gain = f"{measure.signed(summary.gain)} ({measure.between(summary.gain_low, summary.gain_high)})"
        known = f"{summary.low:.3g} to {summary.high:.3g}" if np.isfinite(summary.low) else "unknown: too few groups"
        return [f"{summary.model} options", score, known, gain]

    header = ["", measure.label, "95 % interval", "gain over untuned (95 % interval)"]
    return page.table(header, [row(found.tuned), row(found.untuned)], [True, False])


def _options(search: Search) -> str:
    shown = (search.base, search.best.values, search.chosen.values)
    rows = [[knob.name, knob.text(), *(_text(values[knob.name]) for values in shown)] for knob in search.space]
    changed = [search.chosen.values[knob.name] != search.base[knob.name] for knob in search.space]
    return page.table(["option", "searched", "untuned", "best trial", "chosen"], rows, changed)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _history(search: Search) -> str:
    known = [(number, tried) for number, tried in enumerate(search.tried, start=1) if np.isfinite(tried.score)]
    x = drawing.scale([1, max(len(search.tried), 2)], _LEFT, _RIGHT)
    parts, y = _score_axis(search)
    parts += drawing.x_axis(x, (1, max(len(search.tried), 2)), (_TOP, _FOOT), "trial")
    least = np.maximum if search.measure.higher_is_better else np.minimum
    judged = [(number, tried.score) for number, tried in known if tried.state == "complete"]
    best = least.accumulate([score for _, score in judged])
    parts.append(drawing.path(np.array([x(number) for number, _ in judged]), np.array([y(score) for score in best]), "line axis"))
    parts += _points(search, [(x(number), tried) for number, tried in known], y)
    return drawing.svg(f"{search.measure.title} of each trial", _FOOT + 40, parts)


def _score_axis(search: Search) -> tuple[list[str], Callable[[float], float]]:
    scores = [tried.score for tried in search.tried if np.isfinite(tried.score)]
    y = drawing.scale(scores, _FOOT - 8, _TOP + 8)
    parts = [drawing.text(_LEFT, _TOP - 8, search.measure.title, kind="faint")]
    for value in drawing.ticks(min(scores), max(scores), 4):
        parts += [
            drawing.line((_LEFT, y(value)), (_RIGHT, y(value)), "grid"),
            drawing.text(_LEFT - 6, y(value) + 4, f"{value:g}", anchor="end"),
        ]
    return parts, y


def _points(search: Search, known: Sequence[tuple[float, Tried]], y: Callable[[float], float]) -> list[str]:
    def kind(tried: Tried) -> str:
        return _CHOSEN if tried is search.chosen else _TRIED if tried.state == "complete" else _ENDED

    parts = []
    for one in (_ENDED, _TRIED, _CHOSEN):
        mine = [(x, y(tried.score)) for x, tried in known if kind(tried) == one]
        xs, ys = (np.array([point[axis] for point in mine]) for axis in (0, 1))
        parts.append(drawing.dots(xs, ys, one, 5 if one == _CHOSEN else 3.5))
    return parts


def _importance(search: Search) -> str:
    if not search.importance:
        return page.note("Unknown: too few trials were judged on all samples.")
    parts, reach = [], max(search.importance.values()) or 1.0
    for place, (name, share) in enumerate(search.importance.items()):
        y = _BAR * place
        end = _LABEL + share / reach * (drawing.WIDTH - _LABEL - 50)
        parts += [
            drawing.text(_LABEL - 8, y + 15, name, anchor="end"),
            drawing.bar(_LABEL, end, y + 4, _BAR - 8, _TRIED),
            drawing.text(end + 5, y + 15, f"{100 * share:.0f} %"),
        ]
    return drawing.svg("importance of the options", _BAR * len(search.importance), parts)


def _slice(search: Search, knob: Knob) -> str:
    known = [tried for tried in search.tried if np.isfinite(tried.score)]
    parts, y = _score_axis(search)
    if knob.values:
        x = drawing.scale([-0.5, len(knob.values) - 0.5], _LEFT, _RIGHT)
        # Trials of a value side by side.
        jitter = np.random.default_rng(0).uniform(-0.15, 0.15, size=len(known))
        at = [x(knob.values.index(tried.values[knob.name]) + shift) for tried, shift in zip(known, jitter, strict=True)]
        parts += [drawing.text(x(place), _FOOT + 14, _text(value), anchor="middle") for place, value in enumerate(knob.values)]
        parts.append(drawing.text((_LEFT + _RIGHT) / 2, _FOOT + 31, knob.name, anchor="middle", kind="faint"))
    else:
        scaled = np.log10 if knob.log else np.asarray
        values = [float(scaled(tried.values[knob.name])) for tried in known]
        ends = (min(values), max(values))
        x = drawing.scale(ends, _LEFT, _RIGHT)
        at = [x(value) for value in values]
        label = f"{knob.name}{', logarithm to base 10' if knob.log else ''}"
        parts += drawing.x_axis(x, ends, (_TOP, _FOOT), label)
    return drawing.svg(f"score by {knob.name}", _FOOT + 40, [*parts, *_points(search, list(zip(at, known, strict=True)), y)])
