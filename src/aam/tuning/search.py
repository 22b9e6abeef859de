"""A search: trials of other options, judged on training samples alone, and which of them are chosen."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from aam.disk.cache import key_of
from aam.errors import InputError, counted
from aam.scoring.measures import Measure
from aam.scoring.resampling import bayesian, resampled
from aam.scoring.weighted import WEIGHTED
from aam.study.problem import Problem
from aam.tuning.space import Knob
from aam.tuning.trials import State, Trials, Tried
from aam.tuning.tunable import Tunable

log = logging.getLogger(__name__)

# Draws of groups, and standard errors behind the best that end a trial.
_DRAWS, _CLEARLY = 400, 2.0


@dataclass(frozen=True, eq=False)
class Search:
    """What was tried, the first being the options as they are given (`base`), and which are chosen; importance: of options, by
    name, adding up to 1.
    """

    measure: Measure
    space: Sequence[Knob]
    base: Mapping[str, Any]
    tried: Sequence[Tried]
    importance: Mapping[str, float]

    @property
    def complete(self) -> list[Tried]:
        """Trials that were judged on all samples."""
        return [tried for tried in self.tried if tried.state == "complete"]

    @property
    def best(self) -> Tried:
        """The trial with the best score."""
        return best_of(self.measure, self.complete)

    @property
    def chosen(self) -> Tried:
        """By the rule of one standard error: of the trials that are not worse than the best by more than the standard error of the
        difference, over resampled groups, the one that changes the fewest options; of several the best.
        """
        best, sign = self.best, self._sign
        alike = [tried for tried in self.complete if behind(self.measure, tried, best) <= 1]
        return min(alike, key=lambda tried: (len(tried.changed(self.base)), -sign * tried.score))

    @property
    def _sign(self) -> int:
        return 1 if self.measure.higher_is_better else -1


def best_of(measure: Measure, tried: Sequence[Tried]) -> Tried:
    """The one with the best score."""
    return (max if measure.higher_is_better else min)(tried, key=lambda one: one.score)


def behind(measure: Measure, tried: Tried, best: Tried) -> float:
    """By how many standard errors of their difference, over resampled groups, a trial is worse than another on the samples that it
    was judged on so far; 0 for one that is not.
    """
    step = len(tried.scores) - 1
    if step >= len(best.scores):
        return 0.0
    difference = (best.scores[step] - tried.scores[step]) * (1 if measure.higher_is_better else -1)
    if not np.isfinite(difference[0]) or difference[0] <= 0:
        return 0.0
    spread = float(np.nanstd(difference[1:]))
    return float(difference[0]) / spread if spread > 0 else math.inf


def scores_of(truth: np.ndarray, said: np.ndarray, units: np.ndarray, measure: Measure) -> np.ndarray:
    """The score of predictions, as they are and then in a Bayesian bootstrap over groups [1 + W]: the same weights for all."""
    score = partial(WEIGHTED[measure.key], truth, said)
    return np.concatenate([score(np.ones((1, len(truth)))), resampled(units, score, bayesian, _DRAWS)])


def key_of_samples(problem: Problem, rows: np.ndarray) -> str:
    """Hash of what a search learns from: the samples `rows`, and what is to be predicted in them."""
    study, metadata = problem.study, problem.study.full_metadata
    counts = study.table.counts[rows].sorted_indices()
    arrays = [np.asarray(part, dtype=np.int64) for part in (counts.indptr, counts.indices, counts.data)]
    labels = [None if part is None else part[rows].tolist() for part in (problem.truth, problem.groups, problem.levels)]
    about = [repr(part) for part in (study.ids(rows), study.sequences, study.reads, problem.column, problem.target, labels)]
    if problem.covariates.columns and metadata is not None:
        about += [repr((tuple(problem.covariates.vocabularies), tuple(problem.covariates.numbers), problem.covariates.fusion))]
        about += [repr(metadata.texts(column).iloc[rows].tolist()) for column in problem.covariates.columns]
    return key_of([*about, *arrays])[:12]


def search(
    problem: Problem, rows: np.ndarray, tunable: Tunable, trials: Trials, *, number: int, seed: int, seconds: float | None = None
) -> Search:
    """Make trials until there are `number` of them, or until after `seconds`. Of samples that are not among `rows` nothing is
    learned, and their truth is not there.

    InputError where the options as they are given cannot be fitted.
    """
    hidden = np.full_like(problem.truth, problem.target.missing)
    hidden[rows] = problem.truth[rows]
    seen, measure, begin = replace(problem, truth=hidden), problem.target.measure, time.monotonic()
    over = trials.over()
    if over:
        log.info("going on after %s", counted(len(over), "trial"))
    before = len(over)
    while len(over) < number and (not over or seconds is None or time.monotonic() - begin < seconds):
        if (begun := trials.begin(seed)) is None:
            log.info("the space holds no more that was not tried")
            break
        trial, values = begun
        state, scores, reason = _judge(seen, rows, tunable, values, [one for one in over if one.state == "complete"])
        trials.end(trial, state, scores, reason)
        if state == "failed" and not over:
            raise InputError(f"the options as they are given cannot be fitted: {reason}")
        over = trials.over()
        _say(over, measure, number, (time.monotonic() - begin) / (len(over) - before), seconds, begin)
    return Search(measure, trials.space, trials.base, over, trials.importance())


def _judge(
    problem: Problem, rows: np.ndarray, tunable: Tunable, values: Mapping[str, Any], complete: Sequence[Tried]
) -> tuple[State, list[np.ndarray], str]:
    measure, scores = problem.target.measure, []
    try:
        # What the first says, of the data, all say.
        with _quiet() if complete else _aloud():
            for places, said in tunable.with_values(values).judge(problem, rows):
                judged = rows[places]
                scores.append(scores_of(problem.truth[judged], said, problem.units(judged), measure))
                tried = Tried("complete", values, scores, 0.0)
                if len(places) < len(rows) and complete and behind(measure, tried, best_of(measure, complete)) > _CLEARLY:
                    return "pruned", scores, ""
    except InputError as error:
        return "failed", [], str(error)
    if not np.isfinite(scores[-1][0]):
        return "failed", [], f"its {measure.label} is not a number"
    return "complete", scores, ""


@contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _aloud() -> Iterator[None]:
    yield


def _say(over: Sequence[Tried], measure: Measure, number: int, each: float, seconds: float | None, begin: float) -> None:
    """A line of the log for a trial, with the time left."""
    last, complete = over[-1], [tried for tried in over if tried.state == "complete"]
    said = {
        "complete": f"{measure.label} {last.score:.4g}",
        "pruned": f"ended early, {measure.label} {last.score:.4g} of the samples judged so far",
        "failed": f"failed: {last.reason}",
    }[last.state]
    best = best_of(measure, complete)
    left = each * (number - len(over))
    if seconds is not None:
        left = min(left, max(seconds - (time.monotonic() - begin), 0.0))
    place = next(place for place, tried in enumerate(over, start=1) if tried is best)
    told = f"best {best.score:.4g} of trial {place}"
    log.info("trial %d of %d: %s; %s; %s left", len(over), number, said, told, duration(left))


def duration(seconds: float) -> str:
    """As it is said: ``40 s``, ``12 min``, ``1.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
