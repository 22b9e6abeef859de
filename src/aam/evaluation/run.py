"""Folds of a problem, and what every model predicts in them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from aam.disk.cache import key_of
from aam.errors import InputError
from aam.evaluation.compare import Outcome
from aam.evaluation.contestants import EnsembleOf
from aam.evaluation.kept import KeptFolds
from aam.evaluation.members import MemberInEvaluation, MembersInFold, summarise_members
from aam.learners.learner import Learner
from aam.options import FoldOptions
from aam.progress import track
from aam.study.folds import Fold, leave_one_group_out, make_folds, one_fold, posed_within
from aam.study.problem import Problem

log = logging.getLogger(__name__)


def folds_of(problem: Problem, options: FoldOptions, seed: int, learned: int) -> list[Fold]:
    """The folds that the options ask for; learned: number of the samples of `table`, which come before those of `test_table`."""
    if options.test_table is not None:
        return one_fold(learned, len(problem), problem.labels)
    if options.leave_one_group_out:
        if problem.groups is None:
            raise InputError("`leave_one_group_out` needs `group_column`: which groups")
        return leave_one_group_out(problem.groups, problem.labels)
    return make_folds(len(problem), options.folds, options.repeats, seed, groups=problem.groups, labels=problem.labels)


def key_of_run(problem: Problem, folds: Sequence[Fold], *options: object) -> str:
    """Hash of what the predictions of the folds depend on: the data, the distances, the folds, and the options of the models.

    Places of files are not among the options: what is in them is hashed.
    """
    study, counts = problem.study, problem.study.counts
    distances = [] if study.distance is None else [buffer.cpu().numpy() for buffer in study.distance.buffers()]
    # Repeats and numbers tell folds of the same samples apart.
    rows = [part for fold in folds for part in (fold.name, fold.train, fold.test)]
    labels = [repr(None if part is None else part.tolist()) for part in (problem.truth, problem.groups, problem.confounder)]
    about = [repr(options), repr(study.sequences), repr(study.reads), repr(problem.column), repr(problem.target)]
    covariates, metadata = problem.covariates, study.full_metadata
    if covariates.columns and metadata is not None:
        about += [repr(covariates), *(repr(metadata.texts(column).tolist()) for column in covariates.columns)]
    return key_of([*about, counts.indptr, counts.indices, counts.data, *rows, *labels, *distances])


def run_folds(
    problem: Problem,
    contestants: Mapping[str, Learner[Any]],
    folds: Sequence[Fold],
    kept: KeptFolds,
    explained: str | None = None,
) -> tuple[Outcome, list[str]]:
    """Fit each model to the training samples of each fold and predict the held-out ones; explained: the model that is kept in each
    fold of the first repeat.

    Also sentences about models that failed in a fold: these are left out of the outcome.
    """
    kept.start()
    posed = {id(fold): view for fold, view in zip(folds, posed_within(problem, folds), strict=True)}
    work = [(fold, name) for fold in folds for name in contestants]
    predictions: dict[str, list[np.ndarray]] = {name: [] for name in contestants}
    failed: list[str] = []
    for fold, name in track(work, "Evaluating", len(work)):
        if name not in predictions:
            continue

        def predict(fold: Fold = fold, learner: Learner[Any] = contestants[name]) -> np.ndarray:
            if isinstance(learner, EnsembleOf):
                return members_in(problem, posed[id(fold)], fold, learner, kept).predict(learner.names)
            return learner.fit(posed[id(fold)], fold.train).predict(problem.study, fold.test)

        try:
            predictions[name].append(kept.get(fold, name, predict))
            if name == explained and fold.repeat == 0:
                kept.keep_model(fold, partial(contestants[name].fit, posed[id(fold)], fold.train))
        except InputError as error:
            failed.append(f"{name} is left out: it failed in {fold.name}: {error}")
            log.warning("%s", failed[-1])
            del predictions[name]
    if not predictions:
        raise InputError(f"every model failed; the last one: {failed[-1]}")
    return Outcome(problem, folds, predictions), failed


def members_of(
    problem: Problem, contestants: Mapping[str, Learner[Any]], outcome: Outcome, name: str | None, kept: KeptFolds
) -> list[MemberInEvaluation]:
    """The members of the ensemble of this name, those that count most first; empty for a model that has none."""
    learner = None if name is None else contestants[name]
    if not isinstance(learner, EnsembleOf):
        return []
    posed = posed_within(problem, outcome.folds)
    members = [members_in(problem, view, fold, learner, kept) for view, fold in zip(posed, outcome.folds, strict=True)]
    return summarise_members(outcome, members, learner.names)


def members_in(problem: Problem, posed: Problem, fold: Fold, learner: EnsembleOf, kept: KeptFolds) -> MembersInFold:
    """What the members of an ensemble say in a fold, fitted where it is not kept; posed: the problem as the fold poses it."""
    target = posed.target.fit(posed.truth[fold.train])
    return kept.members(fold, target, lambda: MembersInFold.of(learner.fit(posed, fold.train), problem.study, fold.test))
