"""What can be tuned: a learner with its options by name, and how a trial of other ones is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from aam.learners.ensemble import EnsembleLearner
from aam.learners.learner import Learner
from aam.learners.transformer import TransformerLearner
from aam.options import AugmentOptions, EnsembleOptions, ModelOptions, TrainFitOptions, TrainObjectives
from aam.study.folds import INNER_FOLDS, inner_folds
from aam.study.problem import Problem

OptionsT = TypeVar("OptionsT")
# Trials are compared on the same folds, with the same seed, and what a run does beside learning is no part of a search.
_KEPT = {
    "cross_fit_folds": "trials are compared on the same folds",
    "seed": "trials are compared with the same seed",
    "best_metric": "it is how a transformer judges itself",
    "penalty": "it needs a tree, which is read before the search",
    "target_penalty": "it is a scale of the others",
    **dict.fromkeys(("find_lr", "deterministic", "checkpoint_minutes"), "it is no part of what is learned"),
}
_FROZEN_SHAPE = "its encoder is given"


class Tunable(Protocol):
    """A learner of a recipe, whose options have names."""

    @property
    def recipe(self) -> str:
        """Its name."""

    @property
    def base(self) -> dict[str, Any]:
        """The options that can be searched, as they are given."""

    @property
    def usual(self) -> dict[str, Any]:
        """Their defaults."""

    @property
    def learner(self) -> Learner[Any]:
        """What is fitted to all training samples."""

    def untuned(self, name: str) -> str | None:
        """Why an option of the recipe cannot be searched; None for one that can, or that there is not."""

    def with_values(self, values: Mapping[str, Any]) -> Tunable:
        """The same with other values of some options. InputError for one that an option cannot have."""

    def judge(self, problem: Problem, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Step by step, places in `rows` that are judged so far, and predictions of these samples by models that did not learn from
        their groups.
        """


@dataclass(frozen=True)
class TunedEnsemble:
    """An ensemble: a trial is its cross-fitting, which has a step of two folds and one of all."""

    learner: EnsembleLearner
    recipe: str = "ensemble"

    @property
    def base(self) -> dict[str, Any]:
        """See `Tunable`."""
        return _values(self.learner.options, self.learner.augment)

    @property
    def usual(self) -> dict[str, Any]:
        """See `Tunable`."""
        return _values(EnsembleOptions(), AugmentOptions())

    def untuned(self, name: str) -> str | None:
        """See `Tunable`."""
        return _untuned(name) if name in _names(EnsembleOptions()) else None

    def with_values(self, values: Mapping[str, Any]) -> TunedEnsemble:
        """See `Tunable`."""
        learner = self.learner
        return replace(
            self, learner=replace(learner, options=changed(learner.options, values), augment=changed(learner.augment, values))
        )

    def judge(self, problem: Problem, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """See `Tunable`."""
        yield from self.learner.judge(problem, rows)


@dataclass(frozen=True)
class TunedTransformer:
    """A transformer: a trial is fits on inner folds, one step each."""

    learner: TransformerLearner
    recipe: str = "transformer"

    @property
    def base(self) -> dict[str, Any]:
        """See `Tunable`."""
        return self._of(self.learner.model, self.learner.options, self.learner.objectives, self.learner.augment)

    @property
    def usual(self) -> dict[str, Any]:
        """See `Tunable`."""
        return self._of(ModelOptions(), TrainFitOptions(), TrainObjectives(), AugmentOptions())

    def _of(self, *parts: Any) -> dict[str, Any]:
        return {name: value for name, value in _values(*parts).items() if self.untuned(name) is None}

    def untuned(self, name: str) -> str | None:
        """See `Tunable`."""
        learner = self.learner
        if learner.start is not None and name in _names(ModelOptions()) - {"dropout"}:
            return _FROZEN_SHAPE
        frozen = _names(TrainObjectives()) | {"augment"}
        return "its base is frozen" if learner.freeze_base and name in frozen else _untuned(name)

    def with_values(self, values: Mapping[str, Any]) -> TunedTransformer:
        """See `Tunable`."""
        learner = self.learner
        learner = replace(
            learner,
            model=changed(learner.model, values),
            options=changed(learner.options, values),
            objectives=changed(learner.objectives, values),
            augment=changed(learner.augment, values),
        )
        return replace(self, learner=learner)

    def judge(self, problem: Problem, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """See `Tunable`."""
        # Each fold draws validation samples of its own.
        alone = replace(self.learner, validation=None, show=False)
        said, judged = problem.target.nothing_said(len(rows)), np.zeros(len(rows), dtype=bool)
        parts = inner_folds(rows, INNER_FOLDS, alone.options.seed, groups=problem.groups, labels=problem.labels)
        for learn, judge in parts:
            said[judge] = alone.fit(problem, rows[learn]).predict(problem.study, rows[judge])
            judged[judge] = True
            places = np.flatnonzero(judged)
            yield places, said[places]


def _names(part: Any) -> set[str]:
    return {field.name for field in fields(part)}


def _untuned(name: str) -> str | None:
    return _KEPT.get(name)


def _values(*parts: Any) -> dict[str, Any]:
    return {name: getattr(part, name) for part in parts for name in vars(part) if name in _names(part) and name not in _KEPT}


def changed(part: OptionsT, values: Mapping[str, Any]) -> OptionsT:
    """Options with some of the values: those that are theirs."""
    own = _names(part)
    return replace(part, **{name: value for name, value in values.items() if name in own})  # type: ignore[type-var]
