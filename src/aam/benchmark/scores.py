"""What came of a benchmark: scores with intervals, gains of models over each other, ranks, and what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aam.benchmark.asked import Asked
from aam.benchmark.models import TRIVIAL, headline_of, is_trivial
from aam.benchmark.work import Answer, Piece
from aam.evaluation.compare import Outcome, mean_score, resampled_scores
from aam.scoring.measures import Measure
from aam.scoring.resampling import interval


@dataclass(frozen=True, eq=False)
class Scored:
    """A question at a share of its training groups.

    outcome: of the models that answered in all folds; samples: mean number of training samples; seconds: of a model, of all folds
    together; memory: at most of any fold, bytes; failed: by model why, in the first fold that failed; notes: by model warnings.
    """

    question: str
    share: float
    outcome: Outcome
    samples: float
    seconds: Mapping[str, float]
    memory: Mapping[str, float]
    failed: Mapping[str, str]
    notes: Mapping[str, tuple[str, ...]]

    @property
    def measure(self) -> Measure:
        """What models are compared by."""
        return self.outcome.measure

    @property
    def models(self) -> list[str]:
        """Those that answered in all folds."""
        return list(self.outcome.predictions)

    @cached_property
    def scores(self) -> dict[str, float]:
        """By model, mean over folds and repeats."""
        return {name: mean_score(self.outcome, name) for name in self.models}

    @cached_property
    def resampled(self) -> dict[str, np.ndarray]:
        """By model, scores over resampled groups [W], the same draws for all; NaN for fewer than 5 groups."""
        return {name: resampled_scores(self.outcome, name) for name in self.models}

    def interval(self, model: str) -> tuple[float, float]:
        """The 95 % interval of its score, over resampled groups."""
        low, high = interval(self.resampled[model])
        return low, high

    def gain(self, model: str, over: str) -> tuple[float, float, float]:
        """Of one model over another, with its 95 % interval over resampled groups."""
        gain = float(self.measure.gain(self.scores[model], self.scores[over]))
        return gain, *interval(self.measure.gain(self.resampled[model], self.resampled[over]))


def scored(question: str, asked: Asked, answers: Mapping[Piece, Answer]) -> list[Scored]:
    """For each share of the training groups what came of it."""
    return [_scored(question, asked, share, answers) for share in asked.folds]


def _scored(question: str, asked: Asked, share: float, answers: Mapping[Piece, Answer]) -> Scored:
    mine: dict[str, list[Answer]] = {}
    for piece, answer in sorted(answers.items(), key=lambda pair: pair[0].fold):
        if piece.question == question and piece.share == share:
            mine.setdefault(piece.model, []).append(answer)
    failed = {
        name: f"fold {number + 1}: {answer.failed}"
        for name, found in mine.items()
        for number, answer in reversed(list(enumerate(found)))
        if answer.failed is not None
    }
    whole = {name: found for name, found in mine.items() if name not in failed}
    folds = asked.folds[share]
    predictions = {name: [answer.predicted for answer in found if answer.predicted is not None] for name, found in whole.items()}
    return Scored(
        question,
        share,
        Outcome(asked.problem, folds, predictions),
        float(np.mean([len(fold.train) for fold in folds])),
        {name: sum(answer.seconds for answer in found) for name, found in whole.items()},
        {name: max(answer.memory for answer in found) for name, found in whole.items()},
        failed,
        {name: notes for name, found in whole.items() if (notes := tuple(dict.fromkeys(n for one in found for n in one.notes)))},
    )


@dataclass(frozen=True)
class Rank:
    """Mean rank of a model over the questions, 1 the best, with its 95 % interval over resampled groups within the questions."""

    model: str
    rank: float
    low: float
    high: float


@dataclass(frozen=True)
class Ranking:
    """Mean ranks, the best first, of the models that read microbes and answered every question.

    critical: the difference of mean ranks from which two models differ at the 5 % level by Nemenyi's test (Demsar 2006, Statistical
    comparisons of classifiers over multiple data sets), chance: p value of Friedman's test that all are alike; both NaN for fewer
    than three models or two questions.
    """

    ranks: Sequence[Rank]
    questions: int
    critical: float
    chance: float


def ranking(results: Sequence[Scored]) -> Ranking:
    """Of questions with all training groups."""
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    common = [name for name in results[0].models if all(name in result.models for result in results)]
    # With trivial ones, which are last nearly everywhere, all others would seem to differ.
    models = [name for name in common if not is_trivial(name)]
    if not models:
        return Ranking([], len(results), float("nan"), float("nan"))
    sign = np.array([-1.0 if result.measure.higher_is_better else 1.0 for result in results])
    scores = np.array([[result.scores[name] for name in models] for result in results])
    ranks = rankdata(sign[:, None] * as_written(scores), axis=1)
    drawn = np.mean([_drawn_ranks(result, models, row) for result, row in zip(results, ranks, strict=True)], axis=0)
    low, high = interval(drawn)
    means, number, k = ranks.mean(axis=0), len(results), len(models)
    critical = chance = float("nan")
    if number > 1 and k > 2:
        critical = float(studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * number)))
        chance = float(friedmanchisquare(*ranks.T).pvalue)
    order = np.argsort(means, kind="stable")
    return Ranking([Rank(models[m], *map(float, (means[m], low[m], high[m]))) for m in order], number, critical, chance)


def _drawn_ranks(result: Scored, models: Sequence[str], known: np.ndarray) -> np.ndarray:
    """Ranks of the models in each draw of groups [W, K]; those that are known where there are too few groups to draw."""
    from scipy.stats import rankdata

    sign = -1.0 if result.measure.higher_is_better else 1.0
    drawn = sign * np.array([result.resampled[name] for name in models]).T
    found = np.broadcast_to(known, drawn.shape).copy()
    whole = np.isfinite(drawn).all(axis=1)
    found[whole] = rankdata(as_written(drawn[whole]), axis=1)
    return found


def as_written(scores: np.ndarray) -> np.ndarray:
    """Scores to six significant digits, as tables have them: differences that nobody sees are ties."""
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = 10.0 ** (np.floor(np.log10(np.abs(scores))) - 5)
    return np.where(np.isfinite(unit) & (unit > 0), np.round(scores / np.where(unit > 0, unit, 1)) * unit, scores)


@dataclass(frozen=True)
class Pair:
    """A model beside another on one question: the gain with its 95 % interval over resampled groups."""

    question: str
    model: str
    other: str
    gain: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the model wins: the interval, by itself, has no 0 in it."""
        return "win" if self.low > 0 else "loss" if self.high < 0 else "open"


@dataclass(frozen=True, eq=False)
class Results:
    """A benchmark's results; all: questions at each share, in the order of the suite; findings: by question what to know first."""

    all: Sequence[Scored]
    findings: Mapping[str, Sequence[str]]

    @cached_property
    def whole(self) -> list[Scored]:
        """With all training groups."""
        return [result for result in self.all if result.share == 1]

    @property
    def models(self) -> list[str]:
        """Names of all models, in the order of the first question that has them."""
        return list(dict.fromkeys(name for result in self.whole for name in (*result.models, *result.failed)))

    @cached_property
    def ranking(self) -> Ranking:
        """See `ranking`."""
        return ranking(self.whole)

    @property
    def headline(self) -> str:
        """The model that is compared with all others."""
        common = [rank.model for rank in self.ranking.ranks]
        return headline_of([name for name in self.models if name in common] or self.models)

    @cached_property
    def pairs(self) -> list[Pair]:
        """Every model beside every other, on each question."""
        return [
            Pair(result.question, one, other, *result.gain(one, other))
            for result in self.whole
            for one in result.models
            for other in result.models
            if one != other
        ]

    def over_trivial(self, result: Scored, model: str) -> tuple[float, float, float]:
        """Gain over the trivial model."""
        return result.gain(model, TRIVIAL)
