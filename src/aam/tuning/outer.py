"""The honest score of a search: chosen and untuned options, fitted to the training samples, on test samples that no trial saw."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from aam.evaluation.compare import Outcome, Summary, summarise
from aam.scoring.measures import Measure
from aam.study.folds import Fold
from aam.study.problem import Problem
from aam.tuning.search import Search
from aam.tuning.tunable import Tunable

TUNED, UNTUNED = "tuned", "untuned"


@dataclass(frozen=True, eq=False)
class Judgement:
    """Tuned and untuned options on the test samples, the gain of the tuned ones with its 95 % interval over resampled groups, and
    the seconds that the untuned fit took.
    """

    search: Search
    column: str
    tuned: Summary
    untuned: Summary
    fit_seconds: float
    test_samples: int
    test_groups: int

    @property
    def measure(self) -> Measure:
        """What options are compared by."""
        return self.search.measure

    @property
    def changed(self) -> list[str]:
        """Names of the options that are chosen otherwise than they were given."""
        return self.search.chosen.changed(self.search.base)

    @property
    def half_width(self) -> float:
        """Of the interval of the gain."""
        return (self.tuned.gain_high - self.tuned.gain_low) / 2

    def sentence(self) -> str:
        """What tuning bought, in words."""
        measure, gained = self.measure, self.tuned
        tuned, untuned = (f"{summary.scores[measure.key]:.3g}" for summary in (self.tuned, self.untuned))
        if not self.changed:
            if len(self.search.tried) == 1:
                return f"Nothing was tried but the options as they were given. {measure.label} on the test samples: {untuned}."
            return (
                f"Tuning bought nothing: of {len(self.search.tried)} trials none with other options is better than the options as "
                f"they were given by more than one standard error. {measure.label} on the test samples: {untuned}."
            )
        scores = (
            f"{measure.label} on the test samples {tuned} with the tuned options, {untuned} without; gain "
            f"{measure.signed(gained.gain)} (95 % interval {measure.between(gained.gain_low, gained.gain_high)})"
        )
        if gained.gain_low > 0:
            return f"Tuning helps: {scores}."
        if gained.gain_high < 0:
            return f"Tuning harms: {scores}. Train with the options as they were given."
        return f"Tuning bought nothing that the test samples can tell: {scores}."

    def about(self) -> dict[str, Any]:
        """As metrics.json holds it."""
        search = self.search
        counts = {state: sum(tried.state == state for tried in search.tried) for state in ("complete", "pruned", "failed")}
        return {
            "measure": self.measure.key,
            "tuned": self.tuned.scores,
            "untuned": self.untuned.scores,
            "gain": self.tuned.gain,
            "gain_low": self.tuned.gain_low,
            "gain_high": self.tuned.gain_high,
            "changed": {name: search.chosen.values[name] for name in self.changed},
            "trials": counts,
            "trial_seconds": sum(tried.seconds for tried in search.tried),
            "fit_seconds": self.fit_seconds,
            "test_samples": self.test_samples,
            "importance": dict(search.importance),
        }


def judge(problem: Problem, train: np.ndarray, test: np.ndarray, tunable: Tunable, search: Search) -> Judgement:
    """Fit both to the training samples, and score them on the test samples."""
    chosen, begin = search.chosen, time.monotonic()
    untuned = tunable.learner.fit(problem, train).predict(problem.study, test)
    seconds, tuned = time.monotonic() - begin, untuned
    if chosen.changed(search.base):
        tuned = tunable.with_values(chosen.values).learner.fit(problem, train).predict(problem.study, test)
    outcome = Outcome(problem, [Fold(0, 0, train, test)], {UNTUNED: [untuned], TUNED: [tuned]})
    found = {summary.model: summary for summary in summarise(outcome, [UNTUNED])}
    groups = len(np.unique(problem.units(test)))
    return Judgement(search, problem.column, found[TUNED], found[UNTUNED], seconds, len(test), groups)
