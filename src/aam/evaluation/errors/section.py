"""The section of the page on errors: what is named, worst first, labels to look up, and the strongest looks."""

from __future__ import annotations

from collections.abc import Sequence

from aam import page
from aam.errors import counted
from aam.evaluation import pictures
from aam.evaluation.errors.analysis import ErrorAnalysis
from aam.evaluation.errors.looks import CHANCE
from aam.evaluation.errors.strata import FEWEST, label_of
from aam.scoring.intervals import COVERAGE

_NAMED, _CASES, _LOOKS = 10, 8, 12
_PERCENT = f"{100 * COVERAGE:.0f} %"


def errors_section(analysis: ErrorAnalysis, colour: str) -> str:
    """HTML, worst first."""
    strata = len({(look.column, look.level) for look in analysis.looks})
    drawn = [pictures.svg(pictures.errors_by_reads(analysis.outcome, analysis.held, colour), "errors by reads")]
    if analysis.promises:
        picture = pictures.calibration_by_level(analysis.promises, analysis.held, colour)
        drawn.append(pictures.svg(picture, "calibration by level"))
    parts = [
        _named(analysis, strata),
        *_samples(analysis),
        *(_confused(analysis) if analysis.held.of_classes else []),
        page.heading("Depth and calibration"),
        page.side_by_side(drawn),
        *([page.note(_about_promises(analysis))] if analysis.promises else []),
        page.heading("Where it differs most"),
        page.hint(page.HINT),
        _looks(analysis),
        page.note(_about(analysis, strata)),
    ]
    return "\n".join(parts)


def _named(analysis: ErrorAnalysis, strata: int) -> str:
    named = [one.sentence for one in analysis.named]
    if not named:
        return page.note(f"Of {strata} parts of the samples none is predicted worse than the rest by more than chance.")
    more = [page.note(f"{len(named) - _NAMED} more are in errors.tsv.")] if len(named) > _NAMED else []
    return "\n".join([page.bullets(named[:_NAMED]), *more])


def _samples(analysis: ErrorAnalysis) -> list[str]:
    """Labels to look up, and all other samples that every model gets wrong."""
    parts, suspects = [], [suspect.place for suspect in analysis.labels.suspects] if analysis.labels.named else []
    if suspects:
        parts += [page.heading("Labels to look up"), _cases(analysis, suspects)]
    if missed := [place for place in analysis.missed if place not in suspects]:
        wrong = (
            "their likeliest class is another one"
            if analysis.held.of_classes
            else f"the truth is outside their {_PERCENT} intervals"
        )
        others = "other " if suspects else ""
        about = f"{counted(len(missed), f'{others}sample')} of {len(analysis.held.rows)} that all models get wrong ({wrong})"
        which = f"; below, the {_CASES} of which the {analysis.model} is most wrong" if len(missed) > _CASES else ""
        parts += [page.heading("What every model gets wrong"), page.note(f"{about}{which}."), _cases(analysis, missed)]
    return [*parts[:1], page.hint(page.HINT), *parts[1:]] if parts else []


def _cases(analysis: ErrorAnalysis, places: Sequence[int]) -> str:
    shown = analysis.cases(places[:_CASES])
    return page.table(list(shown.columns), shown.values.tolist(), [False] * len(shown))


def _confused(analysis: ErrorAnalysis) -> list[str]:
    heading, size = page.heading("Taken for another class"), f"{FEWEST} samples or more of a class"
    if not analysis.confused:
        return [heading, page.note(f"No group and no level of the metadata with {size} is taken for another class more often.")]
    rows = [
        [
            f"{one.column}: {one.level}",
            one.true,
            f"{one.samples} of {counted(one.groups, 'group')}" if analysis.outcome.grouped else str(one.samples),
            f"{100 * one.right:.0f} %",
            f"{100 * one.elsewhere:.0f} %",
            f"{one.taken_for} ({100 * one.taken:.0f} %)",
        ]
        for one in analysis.confused[:_CASES]
    ]
    more = f" {len(analysis.confused) - _CASES} more are not shown." if len(analysis.confused) > _CASES else ""
    header = ["samples", "true class", "number", "right", "right elsewhere", "taken for"]
    about = (
        f"Groups and levels of the metadata with {size} that are taken for another class more often than for their own, and more "
        f"often than the samples of their class elsewhere.{more} What is more than chance is named at the top."
    )
    return [heading, page.table(header, rows, [False] * len(rows)), page.note(about)]


def _looks(analysis: ErrorAnalysis) -> str:
    looks = analysis.looks[:_LOOKS]
    rows = [
        [
            label_of(look.column, look.level),
            look.what,
            str(look.samples),
            *(f"{value:.3g}" for value in (look.inside, look.outside, look.difference)),
            f"{look.low:.3g} to {look.high:.3g}",
            f"{look.corrected:.2g}",
        ]
        for look in looks
    ]
    header = ["samples", "what", "number", "inside", "others", "difference", "95 % interval", "chance"]
    return page.table(header, rows, [look.named for look in looks])


def _about_promises(analysis: ErrorAnalysis) -> str:
    what = (
        "Upright line: the mean probability of the class that is predicted; point: the share of the samples in which it is right"
        if analysis.held.of_classes
        else f"Upright line: {_PERCENT}; point: the share of the samples whose {_PERCENT} interval holds the truth"
    )
    return (
        f"Calibration by level. {what}, with its 95 % interval. Below all samples stand the levels that fall short by the "
        "strongest evidence, worst first: of so many levels some fall short by chance."
    )


def _about(analysis: ErrorAnalysis, strata: int) -> str:
    held = analysis.held
    explained = "with what the truth alone explains taken out, since every model pulls towards the middle"
    if held.of_classes:
        explained = "beyond what the probabilities themselves say, once they are true of all samples together"
    error = "one less the probability of the true class" if held.of_classes else "how far a prediction is from the truth"
    return (
        f"Held-out samples of the first repeat, as the {analysis.model} predicts them; {counted(strata, 'level')} of metadata, "
        f"groups, reads and ASVs. Error: {error}; bias: prediction less truth; coverage: how often the truth is in the interval or "
        "set; labels: how likely they are another sample's. Chance: how often any look differs as much where nothing is wrong, "
        f"after {counted(len(analysis.looks), 'look')}, half of it for metadata and groups, {explained}. Below "
        f"{100 * CHANCE:g} % a level that is predicted worse is named. It may stand for something else that goes with it. "
        "errors.tsv holds all looks, with whole names of ASVs; label_errors.tsv, where there are some, the samples whose label "
        "may be wrong."
    )
