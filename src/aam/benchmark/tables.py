"""The tables of a benchmark: scores.tsv, pairs.tsv, ranks.tsv, checks.tsv, metrics.json, and as text for a page or Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from aam.benchmark.models import is_ours, is_trivial
from aam.benchmark.scores import Pair, Results, Scored
from aam.disk.json_files import write_json
from aam.disk.writing import write_tsv
from aam.errors import counted


@dataclass(frozen=True)
class Table:
    """Text in rows; strong: which of them stand out."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: Sequence[bool]

    def markdown(self) -> str:
        """As Markdown."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "\n".join(f"| {' | '.join(_in_cell(cell) for cell in cells)} |" for cells in lines)


def _in_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def write_tables(results: Results, folder: Path, verdict: str) -> None:
    """Write all of them."""
    frame = pd.DataFrame([row for result in results.all for row in _rows(results, result)])
    write_tsv(folder / "scores.tsv", frame, index=False, float_format="%.6g")
    pairs = pd.DataFrame([{**asdict(pair), "verdict": pair.verdict} for pair in results.pairs])
    write_tsv(folder / "pairs.tsv", pairs, index=False, float_format="%.6g")
    ranks = pd.DataFrame([asdict(rank) for rank in results.ranking.ranks])
    write_tsv(folder / "ranks.tsv", ranks, index=False, float_format="%.6g")
    write_findings(results.findings, folder)
    write_json(
        folder / "metrics.json",
        {
            "verdict": verdict,
            "scores": frame.to_dict("records"),
            "ranking": asdict(results.ranking),
            "findings": {name: list(found) for name, found in results.findings.items()},
        },
    )


def write_findings(findings: Mapping[str, Sequence[str]], folder: Path) -> None:
    """checks.tsv: what to know before believing a score."""
    rows = [(question, sentence) for question, found in findings.items() for sentence in found]
    write_tsv(folder / "checks.tsv", pd.DataFrame(rows, columns=["question", "finding"]), index=False)


def _rows(results: Results, result: Scored) -> list[dict[str, object]]:
    about = {
        "question": result.question,
        "share": result.share,
        "training_samples": round(result.samples, 1),
        "metric": result.measure.key,
    }
    found: list[dict[str, object]] = []
    for name in result.models:
        low, high = result.interval(name)
        gain, gain_low, gain_high = results.over_trivial(result, name)
        score = {"score": result.scores[name], "low": low, "high": high}
        over = {"gain_over_trivial": gain, "gain_low": gain_low, "gain_high": gain_high}
        cost = {"seconds": result.seconds[name], "memory_mb": result.memory[name] / 1e6, "failed": ""}
        found.append({**about, "model": name, **score, **over, **cost})
    return found + [{**about, "model": name, "failed": why} for name, why in result.failed.items()]


def score_table(results: Results) -> Table:
    """A row for each model, a column for each question; the best of a question is marked."""
    header = ["model", *(f"{result.question}, {result.measure.label}" for result in results.whole), "mean rank"]
    ranks = {rank.model: rank.rank for rank in results.ranking.ranks}
    rows = []
    for name in results.models:
        cells = [_score(result, name) for result in results.whole]
        rows.append([name, *cells, f"{ranks[name]:.1f}" if name in ranks else "-"])
    return Table(header, rows, [is_ours(name) for name in results.models])


def _score(result: Scored, name: str) -> str:
    if name in result.failed:
        return "failed"
    if name not in result.models:
        return "-"
    best = result.measure.best(dict(result.scores))
    text = three(result.scores[name])
    return f"{text} *" if text == three(result.scores[best]) else text


def three(value: float) -> str:
    """Three digits."""
    return f"{value:#.3g}".rstrip(".") if math.isfinite(value) else "unknown"


def rank_table(results: Results) -> Table:
    """Mean ranks with their intervals."""
    ranking = results.ranking
    rows = [[rank.model, f"{rank.rank:.2f}", f"{rank.low:.1f} to {rank.high:.1f}"] for rank in ranking.ranks]
    return Table(["model", "mean rank", "95 % interval"], rows, [is_ours(rank.model) for rank in ranking.ranks])


def win_table(results: Results) -> Table:
    """The headline model beside each other one: on how many questions it is better, and on how many the interval leaves 0."""
    ours = results.headline
    rows, strong = [], []
    for other in results.models:
        pairs = [pair for pair in results.pairs if pair.model == ours and pair.other == other]
        if pairs:
            better, verdicts = sum(pair.gain > 0 for pair in pairs), [pair.verdict for pair in pairs]
            sure = f"{verdicts.count('win')}, {verdicts.count('loss')}"
            rows.append([other, f"{better} of {len(pairs)}", sure, *(_gain(pairs, result) for result in results.whole)])
            strong.append(is_ours(other))
    header = ["beside", "better", "wins, losses", *(result.question for result in results.whole)]
    return Table(header, rows, strong)


def _gain(pairs: Sequence[Pair], result: Scored) -> str:
    pair = next((pair for pair in pairs if pair.question == result.question), None)
    if pair is None:
        return "-"
    return f"{result.measure.signed(pair.gain)} ({result.measure.between(pair.low, pair.high)})"


def cost_table(results: Results) -> Table:
    """Seconds of a fit and a prediction, mean over folds, and the memory above that of the data."""
    rows = []
    for name in results.models:
        cells = []
        for result in results.whole:
            if name in result.models:
                memory = result.memory[name]
                size = f", {memory / 1e6:.0f} MB" if math.isfinite(memory) else ""
                cells.append(f"{three(result.seconds[name] / len(result.outcome.folds))} s{size}")
            else:
                cells.append("-")
        rows.append([name, *cells])
    return Table(["model", *(result.question for result in results.whole)], rows, [is_ours(name) for name in results.models])


def curve_table(results: Results) -> Table | None:
    """Scores by share of the training groups; None for one share."""
    shares = sorted({result.share for result in results.all})
    if len(shares) == 1:
        return None
    rows, strong = [], []
    for whole in results.whole:
        mine = {result.share: result for result in results.all if result.question == whole.question}
        for name in whole.models:
            if is_trivial(name):
                continue
            cells = [three(mine[share].scores[name]) if name in mine[share].models else "-" for share in shares]
            rows.append([name, f"{whole.question}, {whole.measure.label}", *cells])
            strong.append(is_ours(name))
    return Table(["model", "question", *(f"{100 * share:.0f} % of the groups" for share in shares)], rows, strong)


def question_table(results: Results) -> Table:
    """What is asked."""
    rows = []
    for result in results.whole:
        problem = result.outcome.problem
        groups = "none" if problem.groups is None else f"{len(set(problem.groups)):,}"
        classes = ", ".join(map(str, problem.target.classes)) or "a number"
        folds = counted(len(result.outcome.folds), "fold")
        rows.append(
            [result.question, problem.column, classes, f"{len(problem):,}", f"{problem.study.counts.shape[1]:,}", groups, folds]
        )
    return Table(["question", "column", "answer", "samples", "ASVs", "groups", "held out"], rows, [False] * len(rows))
