"""The section of the page on errors: what is named, worst first, labels to look up, and the strongest looks."""

from __future__ import annotations

from aam import page
from aam.errors import counted
from aam.evaluation import pictures
from aam.evaluation.errors.analysis import ErrorAnalysis
from aam.evaluation.errors.looks import CHANCE

_NAMED, _SUSPECTS, _LOOKS = 10, 10, 12


def errors_section(analysis: ErrorAnalysis, colour: str) -> str:
    """HTML."""
    named, looks = analysis.named, analysis.looks
    strata = len({(look.column, look.level) for look in looks})
    if named:
        parts = [page.bullets([one.sentence for one in named[:_NAMED]])]
        if len(named) > _NAMED:
            parts.append(page.note(f"{len(named) - _NAMED} more are in errors.tsv."))
    else:
        parts = [page.note(f"Of {strata} parts of the samples none is predicted worse than the rest by more than chance.")]
    if analysis.labels.named:
        shown = analysis.suspects().head(_SUSPECTS)
        parts += [page.heading("Labels to look up"), page.table(list(shown.columns), shown.values.tolist(), [False] * len(shown))]
    rows = [
        [
            f"{look.column}: {look.level}",
            look.what,
            str(look.samples),
            *(f"{value:.3g}" for value in (look.inside, look.outside, look.difference)),
            f"{look.low:.3g} to {look.high:.3g}",
            f"{look.corrected:.2g}",
        ]
        for look in looks[:_LOOKS]
    ]
    header = ["samples", "what", "number", "inside", "others", "difference", "95 % interval", "chance"]
    parts += [
        pictures.svg(pictures.errors_by_reads(analysis.outcome, analysis.held, colour), "errors by reads"),
        page.heading("Where it differs most"),
        page.table(header, rows, [look.named for look in looks[:_LOOKS]]),
        page.note(_about(analysis, strata)),
    ]
    return "\n".join(parts)


def _about(analysis: ErrorAnalysis, strata: int) -> str:
    held = analysis.held
    error = "one less the probability of the true class" if held.of_classes else "how far a prediction is from the truth"
    return (
        f"Held-out samples of the first repeat, as the {analysis.model} predicts them; {counted(strata, 'level')} of metadata, "
        f"groups, reads and ASVs. Error: {error}; bias: prediction less truth; coverage: how often the truth is in the interval or "
        f"set. Chance: how often any look differs as much where nothing is wrong, after {counted(len(analysis.looks), 'look')}, "
        "with what the truth alone explains taken out, since every model pulls towards the middle. Below "
        f"{100 * CHANCE:g} % a level that is predicted worse is named. It may stand for something else that goes with it. "
        "errors.tsv holds all looks, label_errors.tsv, where there are some, the samples whose label may be wrong."
    )
