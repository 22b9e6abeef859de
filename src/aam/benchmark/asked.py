"""A question as it is asked: its samples, its folds for each share of the training groups, and the models that can answer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import sklearn

from aam import __version__
from aam.benchmark.models import BY_LEVEL, TRAINED, TRIVIAL, common_name, needs_training
from aam.benchmark.suite import Suite
from aam.disk.cache import Cache, key_of
from aam.evaluation.contestants import ENSEMBLE, WITHOUT_TREES, TransformerSettings, transformers_of
from aam.evaluation.questions import read_question
from aam.evaluation.run import folds_of, key_of_run
from aam.learners.baselines import baselines_of
from aam.learners.ensemble import EnsembleLearner
from aam.learners.learner import Learner
from aam.options import CacheOptions, Question
from aam.study.folds import Fold, posed_within, require_learnable
from aam.study.problem import Problem


@dataclass(frozen=True, eq=False)
class Asked:
    """A question that was read; folds: by share of the training groups, the same held-out samples for each share."""

    question: Question
    problem: Problem
    folds: Mapping[float, Sequence[Fold]]

    @cached_property
    def key(self) -> str:
        """Hash of the data, the distances, the question, and the versions that answer it."""
        distances, versions = self.question.distances, (__version__, sklearn.__version__)
        about = (self.question.reads, self.question.samples.val_fraction, distances.unifrac_metric, distances.alpha, versions)
        return key_of_run(self.problem, [], *about)

    def key_of(self, share: float, fold: int, model: str, suite: Suite) -> str:
        """Hash of all that a prediction comes from."""
        held = self.folds[share][fold]
        if model in suite.estimators:
            estimator = suite.estimators[model]
            about = f"{estimator!r} {estimator.source(self.problem.target.kind)}"
        else:
            about = repr(suite.transformer if model in TRAINED else suite.ensemble) if model.startswith("AAM") else ""
        return key_of([self.key, model, about, str(suite.seed), held.train, held.test])

    def posed(self, share: float, fold: int) -> Problem:
        """The problem as a fold poses it."""
        return posed_within(self.problem, [self.folds[share][fold]])[0]

    def learners(self, suite: Suite) -> dict[str, Learner[Any]]:
        """Learners of those models of a suite that can answer; trivial ones always."""
        problem, seed, asked = self.problem, suite.seed, {TRIVIAL, BY_LEVEL, *suite.models}
        simple = baselines_of(problem, seed, 1)
        found: dict[str, Learner[Any]] = {common_name(name, problem): learner for name, learner in simple.items()}
        found[WITHOUT_TREES] = EnsembleLearner(replace(suite.ensemble, trees=False), seed, 1)
        found[ENSEMBLE] = EnsembleLearner(suite.ensemble, seed, 1)
        if needs_training(suite.models) and problem.study.sequences is not None:
            found |= transformers_of(self._settings(suite), frozen=not problem.study.reads.rarefy_each_epoch)
        others = {name: one.learner(seed) for name, one in suite.estimators.items() if problem.target.kind in one.make}
        return {name: learner for name, learner in found.items() if name in asked} | others

    def _settings(self, suite: Suite) -> TransformerSettings:
        model, objectives, fit, pretraining = suite.transformer
        return TransformerSettings(
            model=model,
            objectives=objectives,
            fit=replace(fit, seed=suite.seed),
            pretraining=pretraining,
            val_fraction=self.question.samples.val_fraction,
        )


@lru_cache(maxsize=1)
def ask(
    question: Question, shares: tuple[float, ...], seed: int, tree: Path, *, built: bool, caching: CacheOptions = CacheOptions()
) -> Asked:
    """Read a question. InputError for one that cannot be answered.

    tree: file where a tree that is built is kept, and where it is `built` taken from. The last one is kept in memory.
    """
    problem, learned = read_question(question, seed, Cache.of(caching), tree=tree, resume=built)
    folds = folds_of(problem, question.folding, seed, learned)
    require_learnable(problem, folds, seed)
    return Asked(question, problem, {share: [with_share(problem, fold, share, seed) for fold in folds] for share in shares})


def with_share(problem: Problem, fold: Fold, share: float, seed: int) -> Fold:
    """The fold with some of its training groups (samples, where there are no groups), drawn at random: a smaller share is part of a
    larger one, and each class has at least three groups in every share, to choose settings by.
    """
    if share == 1:
        return fold
    units = problem.units(fold.train)
    names = np.unique(units)
    order = np.random.default_rng([seed, fold.repeat, fold.number]).permutation(len(names))
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    # By sample, the place of its group in the order.
    places = place[np.searchsorted(names, units)]
    first = _first_of_classes(problem, fold, places)
    wanted = max(2, round(share * len(names)))
    kept = list(dict.fromkeys([*first, *range(len(names))]))[: max(wanted, len(first))]
    return replace(fold, train=fold.train[np.isin(places, kept)])


def _first_of_classes(problem: Problem, fold: Fold, places: np.ndarray) -> list[int]:
    """The first three groups that have a class, for each class, in their order: as many as settings are chosen by."""
    labels = problem.labels
    if labels is None:
        return []
    mine = labels[fold.train]
    found = [place for name in np.unique(mine) for place in np.unique(places[mine == name])[:3]]
    return sorted({int(place) for place in found})
