"""What an evaluation leaves behind: summary.tsv, metrics.json, and a page that says what it means."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd

from aam.disk.json_files import finite_or_null
from aam.disk.writing import write_text, write_tsv
from aam.evaluation import pictures
from aam.evaluation.compare import Outcome, Summary, best_of, block_scores, gain, summarise
from aam.learners.baselines import TRIVIAL
from aam.scoring.intervals import COVERAGE, covered

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c2430; --faint: #5c6674; --line: #dfe4ea; --shade: #f4f6f9;
  --warn: #8a5a00; --warn-shade: #fff6e0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181e; --ink: #e4e9f0; --faint: #98a3b3; --line: #2c3440; --shade: #1c222b; --warn: #f2c15c;
    --warn-shade: #2b2413; }
}
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
.verdict { font-size: 1.15rem; background: var(--shade); border-left: 4px solid #2f83c6; padding: .8rem 1rem; }
.warning { background: var(--warn-shade); color: var(--warn); border-left: 4px solid currentColor; padding: .5rem 1rem; }
table { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .45rem; border-bottom: 1px solid var(--line); vertical-align: bottom; }
td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr.ours td:first-child { font-weight: 600; }
.faint { color: var(--faint); }
.wide { overflow-x: auto; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
svg { max-width: 100%; height: auto; }
svg text { font-family: system-ui, sans-serif; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dd { margin: 0; }
"""
_SHOWN = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "spearman": "Spearman", "auc": "AUC", "accuracy": "accuracy",
          "balanced_accuracy": "balanced accuracy", "log_loss": "log loss"}  # fmt: skip


def write_report(
    facts: Mapping[str, str],
    outcome: Outcome,
    simple: Sequence[str],
    warnings: Sequence[str],
    folder: Path,
    headline: str | None = None,
) -> None:
    """Write all of it.

    facts: of the data, by name, `column` being the target; simple: the models to be beaten; warnings: sentences; headline: the
    model that the verdict is about, else the best simple one.
    """
    summaries = summarise(outcome, simple)
    verdict = verdict_of(facts["column"], outcome, summaries, simple, headline)
    write_summary(summaries, outcome, folder / "summary.tsv")
    content = {
        "verdict": verdict,
        "warnings": list(warnings),
        "facts": dict(facts),
        "metric": outcome.metric,
        "models": {summary.model: {"mean": summary.scores, "sd_over_repeats": summary.deviations,
                                   "gain_over_best_simple": [summary.gain, summary.gain_low, summary.gain_high],
                                   "covered": covered(outcome, summary.model),
                                   "scored": block_scores(outcome, summary.model)} for summary in summaries},
    }  # fmt: skip
    text = json.dumps(finite_or_null(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(folder / "metrics.json", f"{text}\n")
    write_text(folder / "index.html", page(facts, outcome, summaries, simple, warnings, verdict, headline))


def write_summary(summaries: Sequence[Summary], outcome: Outcome, path: Path) -> None:
    """summary.tsv: a line for each model."""
    rows = []
    for summary in summaries:
        row: dict[str, object] = {"model": summary.model}
        for name in _SHOWN:
            if name in summary.scores:
                row |= {name: summary.scores[name], f"{name}_sd": summary.deviations[name]}
        about = "auc_difference" if outcome.classes else "error_removed"
        row |= {f"{about}_to_best_simple": summary.gain, f"{about}_low": summary.gain_low, f"{about}_high": summary.gain_high}
        row["covered"], row["classes_in_set" if outcome.classes else "interval_width"] = covered(outcome, summary.model)
        rows.append(row)
    write_tsv(path, pd.DataFrame(rows), index=False, float_format="%.6g")


def verdict_of(column: str, outcome: Outcome, summaries: Sequence[Summary], simple: Sequence[str], headline: str | None) -> str:
    """One sentence: how well the headline model does, and whether that is better than what everyone has.

    The headline is named beforehand: the best of several would be too good to be true.
    """
    by_name = {summary.model: summary for summary in summaries}
    reference = best_of(outcome, simple)
    subject = by_name[headline if headline is not None else reference]
    trivial = next(name for name in simple if name in TRIVIAL)
    metric, unit = outcome.metric, _SHOWN[outcome.metric]
    text = f"{subject.model[0].upper()}{subject.model[1:]} predicts {column} with {unit} {subject.scores[metric]:.3g}"
    if headline is not None:
        better = f"{_size(subject.gain, outcome)} {'better' if subject.gain >= 0 else 'worse'}"
        doubt = "" if subject.gain_low > 0 or subject.gain_high < 0 else " (which may be chance)"
        interval = _range(subject.gain_low, subject.gain_high, outcome)
        text += f", {better}{doubt} than the best simple model, {reference}, with {by_name[reference].scores[metric]:.3g}"
        text += f" (95 % interval of the difference {interval})"
    over = float(gain(outcome, subject.scores[metric], by_name[trivial].scores[metric]))
    than = f"than {'chance' if outcome.classes else f'the {trivial}'}"
    return f"{text}; that is {_size(over, outcome)} {'better' if over >= 0 else 'worse'} {than}."


def _size(value: float, outcome: Outcome) -> str:
    return f"{abs(value):.3f}" if outcome.classes else f"{100 * abs(value):.0f} %"


def _range(low: float, high: float, outcome: Outcome) -> str:
    if not math.isfinite(low):
        return "unknown: too few groups"
    return f"{low:+.3f} to {high:+.3f}" if outcome.classes else f"{100 * low:+.0f} to {100 * high:+.0f} %"


def page(
    facts: Mapping[str, str],
    outcome: Outcome,
    summaries: Sequence[Summary],
    simple: Sequence[str],
    warnings: Sequence[str],
    verdict: str,
    headline: str | None,
) -> str:
    """The report, one file that needs no other."""
    title = f"Can the microbes predict {escape(facts['column'])}?"
    alerts = "".join(f'<p class="warning">{escape(warning)}</p>' for warning in warnings)
    about = "".join(f"<dt class=faint>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{_STYLE}</style></head><body>
<h1>{title}</h1>
<p class="verdict">{escape(verdict)}</p>
{alerts}
<h2>Models</h2>
<div class="wide">{_table(summaries, outcome, simple)}</div>
<p class="faint">{_caption(outcome)}</p>
{_pictures(facts, outcome, summaries, simple, headline)}
<h2>Data</h2><dl>{about}</dl>
<p class="faint">folds.tsv says who was tested when, predictions.tsv what every model said of every sample, summary.tsv and
metrics.json hold the figures of this page. All models learned the target from the same training samples of each fold, and
everything about them was chosen there.</p>
</body></html>
"""


def _caption(outcome: Outcome) -> str:
    drawn = "groups" if len(set(outcome.unit)) < len(outcome.unit) else "samples"
    gained = "difference of AUC" if outcome.classes else "share of its error that is taken away"
    kind = "sets of classes" if outcome.classes else "intervals"
    pooled = ", all folds together because some lack a class" if len(outcome.blocks) < len(outcome.folds) else ""
    width = "how many classes are in a set" if outcome.classes else "how wide it is, in the target's unit"
    repeats = " and repeats (± standard deviation over these)" if outcome.repeats > 1 else ""
    return (
        f"Means over folds{repeats}{pooled}. Gain: over the best simple model ({gained}; its own: over the second best), with the "
        f"95 % interval when {drawn} are drawn again and again. {100 * COVERAGE:.0f} % {kind}: conformal, calibrated on the groups "
        f"of the other folds; how often the truth of a tested sample was inside, and {width}, on average."
    )


def _table(summaries: Sequence[Summary], outcome: Outcome, simple: Sequence[str]) -> str:
    names = [name for name in _SHOWN if name in summaries[0].scores]
    head = "".join(f"<th>{_SHOWN[name]}</th>" for name in names)
    rows = []
    for summary in summaries:
        values = "".join(f"<td>{_with_deviation(summary, name)}</td>" for name in names)
        interval = f"{_signed(summary.gain, outcome)} ({_range(summary.gain_low, summary.gain_high, outcome)})"
        inside, width = covered(outcome, summary.model)
        promise = f"{100 * inside:.0f} %, {width:.3g}" if math.isfinite(width) else "unknown"
        kind = "" if summary.model in simple else ' class="ours"'
        rows.append(f"<tr{kind}><td>{escape(summary.model)}</td>{values}<td>{interval}</td><td>{promise}</td></tr>")
    kind = "sets" if outcome.classes else "intervals"
    head = f"<th>model</th>{head}<th>gain (95 % interval)</th><th>{100 * COVERAGE:.0f} % {kind}: covered, width</th>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _with_deviation(summary: Summary, name: str) -> str:
    value, deviation = summary.scores[name], summary.deviations[name]
    if not math.isfinite(value):
        return "-"
    return f"{value:.3g}" + (f" ± {deviation:.2g}" if math.isfinite(deviation) else "")


def _signed(value: float, outcome: Outcome) -> str:
    return f"{value:+.3f}" if outcome.classes else f"{100 * value:+.0f} %"


def _pictures(
    facts: Mapping[str, str], outcome: Outcome, summaries: Sequence[Summary], simple: Sequence[str], headline: str | None
) -> str:
    column = facts["column"]
    compared = [*([] if headline is None else [headline]), best_of(outcome, simple)]
    colours = dict(zip(compared, pictures.COLOURS[-len(compared) :], strict=True))
    shown = [summary for summary in summaries if summary.model not in TRIVIAL]
    drawn = pictures.svg(pictures.models(shown, outcome.metric, simple), "models")
    if outcome.classes:
        pair = [
            pictures.svg(pictures.roc(outcome, colours), "ROC"),
            pictures.svg(pictures.calibration(outcome, colours), "calibration"),
        ]
        return f'{drawn}<h2>Ranking and probabilities</h2><div class="row">{"".join(pair)}</div>'
    pair = [
        pictures.svg(pictures.predicted_against_true(outcome, model, column, colour), f"predicted against true, {model}")
        for model, colour in colours.items()
    ]
    pair.append(pictures.svg(pictures.means_by_truth(outcome, colours, column), "mean prediction by truth"))
    groups = ""
    if len(set(outcome.unit)) < len(outcome.unit):
        names = [outcome.group_names[unit] for unit in outcome.unit]
        figure = pictures.errors_by_group(outcome, compared[0], names, colours[compared[0]])
        groups = f"<h2>Errors by group</h2>{pictures.svg(figure, 'errors by group')}"
    return f'{drawn}<h2>Predicted and true</h2><div class="row">{"".join(pair)}</div>{groups}'
