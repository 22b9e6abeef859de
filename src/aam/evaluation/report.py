"""What an evaluation leaves behind: summary.tsv, metrics.json, and a page that says what it means."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from aam import page
from aam.disk.json_files import write_json
from aam.disk.writing import write_text, write_tsv
from aam.evaluation import pictures
from aam.evaluation.about_models import about_models
from aam.evaluation.classes import class_scores_of, class_tables
from aam.evaluation.compare import Outcome, Summary, best_of, block_scores, summarise
from aam.evaluation.coverage import band_covered, covered
from aam.evaluation.errors.analysis import ErrorAnalysis
from aam.evaluation.errors.section import errors_section
from aam.evaluation.explained import explained_section
from aam.evaluation.members import MemberInEvaluation, members_table
from aam.evaluation.robustness import Fall, falls_table
from aam.evaluation.robustness_section import robustness_section
from aam.evaluation.second_tables import MORE, more_scores, quantile_scores, three, with_deviation
from aam.explain.run import Explanation
from aam.learners.baselines import is_trivial
from aam.scoring.intervals import COVERAGE
from aam.scoring.measures import Measure
from aam.study.targets import Kind

# Scores that are shown, and what they are called.
_SHOWN = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "spearman": "Spearman", "auc": "AUC", "accuracy": "accuracy",
          "balanced_accuracy": "balanced accuracy", "log_loss": "log loss"}  # fmt: skip
_PERCENT = f"{100 * COVERAGE:.0f} %"


@dataclass(frozen=True)
class _Words:
    """Words about a kind of target; width: column of summary.tsv, its heading, and what it is."""

    trivial: str
    score: str
    gain: str
    truth: str
    interval: str
    width: tuple[str, str, str]


_WORDS: Mapping[Kind, _Words] = {
    "regression": _Words(
        trivial="the median",
        score="The mean absolute error (MAE) is how far predictions are from the true values on average, in the unit of {column}: "
        "lower is better, and always predicting the median of the training samples reaches {trivial}.",
        gain="share of its error that is removed",
        truth="value",
        interval="interval",
        width=("interval_width", "interval width", "the mean width of these intervals, in the unit of {column}"),
    ),
    "classification": _Words(
        trivial="chance",
        score="The area under the ROC curve (AUC) says how well a model ranks samples by their probability of a class: 0.5 is "
        "chance, 1 is perfect. {which}",
        gain="difference in AUC",
        truth="class",
        interval="set",
        width=("classes_in_set", "classes in set", "the mean number of classes in these sets"),
    ),
}


@dataclass(frozen=True, eq=False)
class Report:
    """What a reader learns of an evaluation.

    facts: about the study, by name; simple: models to be beaten; findings: sentences, what the reader must know before believing
    a score; headline: the model that the verdict is about, else the best simple one; members: of that model, if it is an ensemble;
    explanation: of what that model predicts for held-out samples, where it was asked for; falls: scores of perturbed held-out
    samples, where they were asked for.
    """

    facts: Mapping[str, str]
    outcome: Outcome
    simple: Sequence[str]
    findings: Sequence[str] = ()
    headline: str | None = None
    members: Sequence[MemberInEvaluation] = ()
    explanation: Explanation | None = None
    falls: Sequence[Fall] = ()

    @cached_property
    def summaries(self) -> list[Summary]:
        """Of all models."""
        return summarise(self.outcome, self.simple)

    @cached_property
    def verdict(self) -> str:
        """One sentence: how well the headline model does, and whether that is better than what everyone has."""
        return verdict_of(self)

    @cached_property
    def errors(self) -> ErrorAnalysis:
        """Of the headline model, else of the best simple one, beside all that are better than the trivial model."""
        outcome, trivial = self.outcome, self.outcome.problem.target.trivial_name
        scores = {summary.model: summary.scores[outcome.measure.key] for summary in self.summaries}
        learned = [
            name for name, score in scores.items() if not is_trivial(name) and outcome.measure.gain(score, scores[trivial]) > 0
        ]
        return ErrorAnalysis.of(outcome, self.headline or best_of(outcome, self.simple), learned)

    @property
    def words(self) -> _Words:
        return _WORDS[self.outcome.problem.target.kind]


def write_report(report: Report, folder: Path) -> None:
    """Write summary.tsv, metrics.json and index.html."""
    write_summary(report, folder / "summary.tsv")
    write_json(folder / "metrics.json", _figures(report))
    if report.falls:
        table = falls_table(report.falls, report.outcome.measure.key)
        write_tsv(folder / "robustness.tsv", table, index=False, float_format="%.6g")
    write_tsv(folder / "errors.tsv", report.errors.table(), index=False, float_format="%.6g")
    if report.errors.labels.named:
        write_tsv(folder / "label_errors.tsv", report.errors.suspects(), index=False)
    title = f"Can the microbes predict {report.outcome.problem.column}?"
    sections = [
        ("Models", _models(report)),
        *_members(report),
        *([] if report.explanation is None else [("Which ASVs carry it", explained_section(report.explanation))]),
        *([("Robustness", robustness_section(report.falls, report.outcome.measure))] if report.falls else []),
        ("Where it is wrong, and for whom", errors_section(report.errors, pictures.COLOURS[-1 if report.headline is None else 0])),
        ("How to read this", page.bullets(_how_to_read(report))),
        ("What the models are", page.bullets(about_models([summary.model for summary in report.summaries]))),
        *_pictures(report),
        ("Data", _data(report)),
    ]
    write_text(folder / "index.html", page.page(title, report.verdict, report.findings, sections))


def write_summary(report: Report, path: Path) -> None:
    """summary.tsv, a line for each model: means of its scores and their standard deviations over repeats (`_sd`); its gain over the
    best simple model with the 95 % interval (see `Measure.gain`); how often its 90 % intervals or sets held (`coverage`), and their
    mean width.
    """
    rows = []
    for summary in report.summaries:
        row: dict[str, object] = {"model": summary.model}
        row |= _with_deviations(summary, _SHOWN)
        row |= {"gain_over_best_simple": summary.gain, "gain_low": summary.gain_low, "gain_high": summary.gain_high}
        rows.append(row | _coverage(report, summary.model) | _with_deviations(summary, MORE))
    write_tsv(path, pd.DataFrame(rows), index=False, float_format="%.6g")


def _with_deviations(summary: Summary, names: Collection[str]) -> dict[str, float]:
    there = [name for name in names if name in summary.scores]
    return {key: value for name in there for key, value in ((name, summary.scores[name]), (f"{name}_sd", summary.deviations[name]))}


def _coverage(report: Report, model: str) -> dict[str, float]:
    share, width = covered(report.outcome, model)
    found = {"coverage": share, report.words.width[0]: width}
    band = band_covered(report.outcome, model)
    return found if band is None else found | {"quantile_coverage": band[0], "quantile_width": band[1]}


def _by_class(report: Report, model: str) -> dict[str, object]:
    if not report.outcome.problem.target.classes:
        return {}
    return {"by_class": {row.name: asdict(row) for row in class_scores_of(report.outcome, model)}}


def _figures(report: Report) -> dict[str, object]:
    """As metrics.json holds them."""
    models = {
        summary.model: {
            "mean": summary.scores,
            "sd_over_repeats": summary.deviations,
            "gain_over_best_simple": [summary.gain, summary.gain_low, summary.gain_high],
            **_coverage(report, summary.model),
            **_by_class(report, summary.model),
            "scored": block_scores(report.outcome, summary.model),
        }
        for summary in report.summaries
    }
    return {
        "verdict": report.verdict,
        "warnings": list(report.findings),
        "facts": dict(report.facts),
        "metric": report.outcome.measure.key,
        "members": {member.name: asdict(member) for member in report.members},
        "models": models,
        "errors": [asdict(named) for named in report.errors.named],
        "robustness": [asdict(fall) for fall in report.falls],
    }


def verdict_of(report: Report) -> str:
    """See `Report.verdict`."""
    outcome, measure, column = report.outcome, report.outcome.measure, report.outcome.problem.column
    scores = {summary.model: summary.scores[measure.key] for summary in report.summaries}
    reference, trivial = best_of(outcome, report.simple), outcome.problem.target.trivial_name
    name = f"{'an' if measure.title[0] in 'aeiou' else 'a'} {measure.title} ({measure.label})"
    if report.headline is None and reference == trivial:
        return f"No simple model predicts {column} better than {report.words.trivial}: {name} of {three(scores[trivial])}."
    subject = report.headline or reference
    opening = f"The {subject}" if report.headline else f"The best simple model, {subject},"
    compared = [] if report.headline is None else [_against_simple(report, reference, scores[reference])]
    if reference != trivial:
        gain = float(measure.gain(scores[subject], scores[trivial]))
        compared.append(_better(measure, gain, report.words.trivial))
    return f"{opening} predicts {column} with {name} of {three(scores[subject])}: {', and '.join(compared)}."


def _against_simple(report: Report, reference: str, score: float) -> str:
    measure = report.outcome.measure
    summary = next(summary for summary in report.summaries if summary.model == report.headline)
    tie = measure.is_tie(summary.gain)
    doubt = ": this may be chance" if summary.gain_low <= 0 <= summary.gain_high and not tie else ""
    interval = f"95 % interval of the difference {measure.between(summary.gain_low, summary.gain_high)}{doubt}"
    return _better(measure, summary.gain, f"the best simple model, {reference} ({three(score)}; {interval})")


def _better(measure: Measure, gain: float, than: str) -> str:
    if measure.is_tie(gain):
        return f"as good as {than}"
    return f"{measure.size(gain)} {'better' if gain > 0 else 'worse'} than {than}"


def _models(report: Report) -> str:
    """The table of models, what it means, and its picture."""
    outcome = report.outcome
    shown = [summary for summary in report.summaries if not is_trivial(summary.model)]
    return "\n".join(
        [
            page.hint(page.HINT),
            _table(report),
            page.note(_about_scores(report)),
            page.note(_about_coverage(report)),
            *more_scores(report.summaries, report.simple),
            *quantile_scores(report.outcome, report.summaries, report.simple),
            pictures.svg(pictures.models(shown, outcome.measure, report.simple), "models"),
        ]
    )


def _members(report: Report) -> list[tuple[str, str]]:
    if not report.members:
        return []
    return [(f"What the {report.headline} is made of", members_table(report.members, report.outcome.measure))]


def _about_scores(report: Report) -> str:
    outcome = report.outcome
    repeats = " and repeats (± standard deviation over repeats)" if outcome.repeats > 1 else ""
    together = (
        "; folds of a repeat are scored together, because some lack a class" if len(outcome.blocks) < len(outcome.folds) else ""
    )
    return (
        f"Scores are means over folds{repeats}{together}. Gain: {report.words.gain}, compared with the best simple model (and for "
        f"that one with the second best), with its 95 % interval from resampled {'groups' if outcome.grouped else 'samples'}."
    )


def _about_coverage(report: Report) -> str:
    outcome, words = report.outcome, report.words
    _, heading, width = words.width
    return (
        f"Coverage: the share of held-out samples whose true {words.truth} is in the {_PERCENT} prediction {words.interval} of a "
        f"model; it should be near {_PERCENT}. {heading.capitalize()}: {width.format(column=outcome.problem.column)}. The "
        f"{words.interval}s of a fold are calibrated on the errors in the other folds"
        f"{', and each group counts once' if outcome.grouped else ''}."
    )


def _table(report: Report) -> str:
    summaries, measure, width = report.summaries, report.outcome.measure, report.words.width
    names = [name for name in _SHOWN if name in summaries[0].scores]
    rows = []
    for summary in summaries:
        interval = f"{measure.signed(summary.gain)} ({measure.between(summary.gain_low, summary.gain_high)})"
        coverage = _coverage(report, summary.model)
        known = math.isfinite(coverage[width[0]])
        promise = [f"{100 * coverage['coverage']:.0f} %", three(coverage[width[0]])] if known else ["unknown", "unknown"]
        rows.append([summary.model, *(with_deviation(summary, name) for name in names), interval, *promise])
    header = [
        "model",
        *(_SHOWN[name] for name in names),
        "gain (95 % interval)",
        f"coverage of {_PERCENT} {report.words.interval}s",
    ]
    return page.table([*header, width[1]], rows, [summary.model not in report.simple for summary in summaries])


def _how_to_read(report: Report) -> list[str]:
    """Sentences for a reader who meets such a page for the first time."""
    outcome, words = report.outcome, report.words
    key, trivial = outcome.measure.key, outcome.problem.target.trivial_name
    new = "samples of new groups" if outcome.grouped else "new samples"
    reached = next(summary.scores[key] for summary in report.summaries if summary.model == trivial)
    read = [
        "In each fold, all models were trained on the same training samples, and everything about them was chosen there; they are "
        f"scored on the held-out samples of the fold, whose {outcome.problem.column} none of them has seen.",
        words.score.format(column=outcome.problem.column, trivial=three(reached), which=_which_auc(outcome)),
        f"A {_PERCENT} prediction {words.interval} should contain the true {words.truth} of nine in ten {new}: do not rely on it "
        "where the coverage is far below that.",
    ]
    if report.headline is not None:
        read.insert(
            2,
            "Models of AAM are bold in the table and blue in the pictures, simple models are orange: a gain whose 95 % interval is "
            "above 0 is more than chance.",
        )
    if report.findings:
        read.append("Read the warnings above first: each names a reason why the scores may mislead.")
    return read


def _which_auc(outcome: Outcome) -> str:
    classes = outcome.problem.target.classes
    if len(classes) == 2:
        return f"Samples are ranked by their probability of {classes[1]}; of two classes, either gives the same AUC."
    return f"It is that of each of the {len(classes)} classes against all others, averaged over the classes."


def _pictures(report: Report) -> list[tuple[str, str]]:
    """Sections with pictures of the headline model and the best simple one."""
    compared = [*([] if report.headline is None else [report.headline]), best_of(report.outcome, report.simple)]
    colours = dict(zip(compared, pictures.COLOURS[-len(compared) :], strict=True))
    sections = {"regression": _number_pictures, "classification": _class_pictures}
    return sections[report.outcome.problem.target.kind](report.outcome, colours)


def _number_pictures(outcome: Outcome, colours: dict[str, str]) -> list[tuple[str, str]]:
    drawn = [
        pictures.svg(pictures.predicted_against_true(outcome, model, colour), f"predicted against true, {model}")
        for model, colour in colours.items()
    ]
    drawn.append(pictures.svg(pictures.means_by_truth(outcome, colours), "mean prediction by true value"))
    sections = [("Predicted and true", page.side_by_side(drawn))]
    if outcome.grouped:
        model = next(iter(colours))
        sections.append(
            ("Errors by group", pictures.svg(pictures.errors_by_group(outcome, model, colours[model]), "errors by group"))
        )
    return sections


def _class_pictures(outcome: Outcome, colours: dict[str, str]) -> list[tuple[str, str]]:
    drawn = [
        pictures.svg(pictures.roc(outcome, colours), "ROC"),
        pictures.svg(pictures.calibration(outcome, colours), "calibration"),
    ]
    of_classes = [
        page.note(
            "Held-out samples of the first repeat, each taken for its likeliest class. Precision: the share of right ones among "
            "the samples that are predicted to be of a class; recall: among those that are of it; F1: the harmonic mean of both."
        ),
        *(class_tables(outcome, model) for model in colours),
    ]
    return [("Ranking and probabilities", page.side_by_side(drawn)), ("Classes", "\n".join(of_classes))]


def _data(report: Report) -> str:
    files = (
        "folds.tsv lists the fold in which each sample was held out, predictions.tsv the prediction of every model for every "
        "held-out sample; summary.tsv and metrics.json hold the figures of this page."
    )
    return page.definitions(list(report.facts.items())) + page.note(files)
