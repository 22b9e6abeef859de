"""Tables of a report that are looked at second: more scores of classes, and how often quantiles hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aam import page
from aam.evaluation.compare import Outcome, Summary
from aam.evaluation.coverage import band_covered
from aam.scoring.classes import ECE_BINS

# Scores of a table of their own, and what they are called.
MORE = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "pr_auc": "average precision",
    "brier": "Brier score",
    "ece": "calibration error",
}


def more_scores(summaries: Sequence[Summary], simple: Sequence[str]) -> list[str]:
    """A table of the scores that are looked at second, and what they are; simple: models that are not bold."""
    names = [name for name in MORE if name in summaries[0].scores]
    if not names:
        return []
    rows = [[summary.model, *(with_deviation(summary, name) for name in names)] for summary in summaries]
    bold = [summary.model not in simple for summary in summaries]
    return [page.table(["model", *(MORE[name] for name in names)], rows, bold), page.note(_ABOUT_MORE)]


def quantile_scores(outcome: Outcome, summaries: Sequence[Summary], simple: Sequence[str]) -> list[str]:
    """A table of the band between the outermost quantiles, where they were asked for."""
    found = {summary.model: band_covered(outcome, summary.model) for summary in summaries}
    rows = [[model, f"{100 * band[0]:.1f} %", three(band[1])] for model, band in found.items() if band is not None]
    if not rows:
        return []
    levels = getattr(outcome.problem.target, "quantiles", ())
    low, high = min(levels), max(levels)
    about = (
        f"Between the quantiles {low:g} and {high:g} is the truth of {100 * (high - low):g} % of samples, if they hold. They come "
        "from the errors of a model in the other folds, of samples with like predictions; each group counts once."
    )
    header = ["model", f"share between the quantiles {low:g} and {high:g}", f"mean width, in the unit of {outcome.problem.column}"]
    return [page.table(header, rows, [row[0] not in simple for row in rows]), page.note(about)]


_ABOUT_MORE = (
    "F1, precision, recall, average precision (the area under the curve of precision and recall) and AUC are means over the "
    "classes that the scored samples have; a class that none of them has is left out. Brier score: the mean squared error of the "
    "probabilities. Calibration error (ECE): how far probabilities of the likeliest class are from how often it is right, in "
    f"{ECE_BINS} bins. Both are better when lower."
)


def with_deviation(summary: Summary, name: str) -> str:
    """The mean of a score, and its standard deviation over repeats where there are some."""
    value, deviation = summary.scores[name], summary.deviations[name]
    if not math.isfinite(value):
        return "-"
    return three(value) + (f" ± {deviation:.2g}" if math.isfinite(deviation) else "")


def three(value: float) -> str:
    """Three digits, and all before the decimal point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
