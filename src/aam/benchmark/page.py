"""What a benchmark leaves behind: index.html for a reader, and benchmark.md, the same as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aam import page
from aam.benchmark import tables
from aam.benchmark.models import FOREST, TRIVIAL, is_ours, is_trivial
from aam.benchmark.scores import Ranking, Results, Scored
from aam.benchmark.tables import Table, three
from aam.disk.writing import write_text
from aam.errors import counted
from aam.explain import drawing

_LEFT, _RIGHT, _ROW = 190, drawing.WIDTH - 16, 26
_TOP, _FOOT, _SIDE = 40, 210, 56
_STYLE = """
svg .band { fill: currentColor; opacity: .09; } svg .thin { stroke: var(--base); stroke-width: 1; opacity: .55; fill: none; }
svg .ours-line { stroke: var(--lower); } svg .rest-line { stroke: var(--raise); } svg .dashed { stroke-dasharray: 4 4; }
"""


def verdict_of(results: Results) -> str:
    """One sentence: who is first, and how the model that was named beforehand stands beside the best of the others."""
    ranking, ours = results.ranking, results.headline
    number = counted(ranking.questions, "question")
    if len(ranking.ranks) < 2:
        return f"On {number} no two models answered every question: there is nothing to rank."
    first = ranking.ranks[0]
    opening = (
        f"On {number}, the {first.model} has the best mean rank of {len(ranking.ranks)} models: {first.rank:.1f} "
        f"({first.low:.1f} to {first.high:.1f})."
    )
    others = [rank for rank in ranking.ranks if rank.model != ours]
    if not others or ours not in {rank.model for rank in ranking.ranks}:
        return opening
    other = others[0].model
    pairs = [pair for pair in results.pairs if pair.model == ours and pair.other == other]
    verdicts = [pair.verdict for pair in pairs]
    better = sum(pair.gain > 0 for pair in pairs)
    place = "the next" if first.model == ours else "the best of the others"
    return (
        f"{opening} The {ours} is better than the {other}, {place}, on {better} of {len(pairs)}; the 95 % interval of the gain is "
        f"above 0 on {verdicts.count('win')}, below on {verdicts.count('loss')}."
    )


def write_pages(results: Results, folder: Path, title: str, about: str, facts: Mapping[str, str]) -> None:
    """Write index.html and benchmark.md; about: text that comes first; facts: about the run, by name."""
    verdict = verdict_of(results)
    parts = _sections(results)
    sections = [
        (heading, "\n".join([*_html(table), *(page.note(note) for note in notes), *pictures]))
        for heading, table, notes, pictures in parts
    ]
    sections.append(("About", page.definitions(list(facts.items()))))
    opening = [("What this is", page.note(about))] if about else []
    html = page.page(title, verdict, _failures(results), [*opening, *sections], drawing.STYLE + _STYLE)
    write_text(folder / "index.html", html)
    text = [f"# {title}", *([about] if about else []), verdict, *(f"**{line}**" for line in _failures(results))]
    for heading, table, notes, _ in parts:
        text += [f"## {heading}", *([] if table is None else [table.markdown()]), *notes]
    text += ["## About", "\n".join(f"- {name}: {value}" for name, value in facts.items())]
    write_text(folder / "benchmark.md", "\n\n".join(text) + "\n")


def _html(table: Table | None) -> list[str]:
    return [] if table is None else [page.table(table.header, table.rows, table.strong)]


def _failures(results: Results) -> list[str]:
    return [f"{name} failed on {result.question}: {why}" for result in results.all for name, why in result.failed.items()]


_Section = tuple[str, Table | None, list[str], list[str]]


def _sections(results: Results) -> list[_Section]:
    """Heading, table, notes, and pictures of each section."""
    grouped = any(result.outcome.grouped for result in results.whole)
    found: list[_Section] = [
        ("Scores", tables.score_table(results), [_ABOUT_SCORES], []),
        ("Ranks", tables.rank_table(results), [_about_ranks(results.ranking)], [_rank_picture(results.ranking)]),
        (f"{results.headline} beside each other model", tables.win_table(results), [_about_wins(grouped)], []),
    ]
    if (curves := tables.curve_table(results)) is not None:
        pictures = page.side_by_side([_curve(results, result) for result in results.whole])
        found.append(("Scores by number of samples", curves, [_ABOUT_CURVES], [pictures]))
    found += [
        ("Time and memory", tables.cost_table(results), [_ABOUT_COST], []),
        ("Questions", tables.question_table(results), _what_to_know(results), []),
    ]
    if notes := [
        f"{result.question}, {name}: {note}" for result in results.whole for name, said in result.notes.items() for note in said
    ]:
        found.append(("What models warned of", None, notes, []))
    return found


def _what_to_know(results: Results) -> list[str]:
    found = [f"{name}: {sentence}" for name, sentences in results.findings.items() for sentence in sentences]
    return found or [
        "Nothing was found that makes a score mislead: no near copies in training and held-out samples, no few groups."
    ]


_ABOUT_SCORES = (
    "AUC: the mean of the folds, or of all held-out samples together where folds lack a class; errors: of all held-out samples. In "
    "each fold all models learn from the same training samples, and everything about them is chosen there. *: the best of a "
    "question, as far as it is written. Trivial: the median of the training samples, or their shares of the classes. -: "
    "a model that cannot answer this question."
)
_ABOUT_CURVES = (
    "All models learn from the same groups (samples, where there are none), drawn at random, a smaller share being part of a "
    "larger one; the held-out samples stay the same. Grey lines: the other models."
)
_ABOUT_COST = (
    "Mean seconds of a fit and its prediction in a fold, and the memory that it took at most above that of the data. Other work "
    "went on beside it where several ran at a time."
)


def _about_ranks(ranking: Ranking) -> str:
    text = (
        "1 is the best; trivial models have no rank. The interval is over resampled groups (samples, where there are none) within "
        "the questions."
    )
    if math.isfinite(ranking.critical):
        text += (
            f" Critical difference (Nemenyi, 5 %): {ranking.critical:.2f}; models whose mean ranks are nearer than that are not "
            f"told apart by {counted(ranking.questions, 'question')} (shaded: from the best). That all are alike has p = "
            f"{ranking.chance:.2g} (Friedman)."
        )
    return text


def _about_wins(grouped: bool) -> str:
    what = "groups" if grouped else "samples"
    return (
        "Gain: the share of the other's error that is removed, or the difference in AUC, with its 95 % interval over resampled "
        f"{what}. Win or loss: 0 is not in that interval. Each interval stands by itself: of twenty such, one would miss by chance."
    )


def _rank_picture(ranking: Ranking) -> str:
    """Mean ranks with intervals, and the critical difference from the best."""
    ends = (1.0, float(max(len(ranking.ranks), 2)))
    x = drawing.scale(ends, _LEFT, _RIGHT)
    foot = 8 + _ROW * len(ranking.ranks)
    parts = []
    if math.isfinite(ranking.critical):
        best = ranking.ranks[0].rank
        parts.append(drawing.bar(x(best), x(min(best + ranking.critical, ends[1])), 2, foot - 2, "band"))
    parts += drawing.x_axis(x, ends, (2, foot), "mean rank, 95 % interval")
    for place, rank in enumerate(ranking.ranks):
        y = 8 + _ROW * place + _ROW / 2 - 4
        kind = "lower" if is_ours(rank.model) else "base" if is_trivial(rank.model) else "raise"
        parts += [
            drawing.text(_LEFT - 12, y + 4, drawing.fitting(rank.model, _LEFT - 12), anchor="end"),
            drawing.path(np.array([x(rank.low), x(rank.high)]), np.array([y, y]), f"line {kind}-line"),
            drawing.dots(np.array([x(rank.rank)]), np.array([y]), kind, 5),
        ]
    return drawing.svg("mean ranks of the models", foot + 40, parts)


def _curve(results: Results, whole: Scored) -> str:
    """Scores of a question by the number of training samples."""
    mine = sorted((result for result in results.all if result.question == whole.question), key=lambda result: result.share)
    known = [name for name in whole.models if all(name in result.models for result in mine)]
    samples = np.array([result.samples for result in mine])
    scores = {name: np.array([result.scores[name] for result in mine]) for name in known}
    ends = (float(samples.min()), float(samples.max()))
    x, values = drawing.scale(ends, _SIDE, _RIGHT), [float(value) for line in scores.values() for value in line]
    y = drawing.scale(values, _FOOT - 8, _TOP + 8)
    parts = [drawing.text(_SIDE, 12, f"{whole.question}, {whole.measure.title}", kind="strong")]
    for value in drawing.ticks(min(values), max(values), 4):
        label = drawing.text(_SIDE - 6, y(value) + 4, f"{value:g}", anchor="end")
        parts += [drawing.line((_SIDE, y(value)), (_RIGHT, y(value)), "grid"), label]
    parts += drawing.x_axis(x, ends, (_TOP, _FOOT), "training samples")
    named = {results.headline: "line ours-line", FOREST: "line rest-line", TRIVIAL: "line base-line dashed"}
    for name, line in sorted(scores.items(), key=lambda pair: pair[0] in named):
        parts.append(drawing.path(np.array([x(n) for n in samples]), np.array([y(v) for v in line]), named.get(name, "thin")))
        if name in (results.headline, FOREST):
            kind = "lower" if name == results.headline else "raise"
            parts.append(drawing.dots(np.array([x(n) for n in samples]), np.array([y(v) for v in line]), kind, 3.5))
    at = _SIDE
    for name, kind in named.items():
        if name in scores:
            parts += [drawing.path(np.array([at, at + 18]), np.array([26, 26]), kind), drawing.text(at + 23, 30, name)]
            at += 40 + 7 * len(name)
    text = ", ".join(f"{name} {three(line[-1])}" for name, line in scores.items())
    return drawing.svg(f"{whole.question}: score by number of training samples; with all: {text}", _FOOT + 40, parts)
