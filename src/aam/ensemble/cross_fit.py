"""Fit members so that each training sample is also predicted by models that did not learn from its group.

Those predictions say how much each member is worth, how sure the mean of them is, and how wide an interval must be
(cross-fitting; stacking of Wolpert 1992). Networks of the parts are kept, all of them: their mean is better than one network of all
samples. The other members are fitted once more, to all samples.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from aam.ensemble.copies import with_copies
from aam.ensemble.members import (
    KERNELS,
    LINEAR,
    NEED_NO_IDENTITY,
    TREES,
    KernelMember,
    LinearMember,
    Member,
    MemberName,
    NetworkMember,
    TreesMember,
)
from aam.ensemble.training import Training
from aam.errors import InputError, first_few
from aam.parallel.heap import return_freed
from aam.parallel.threads import on_one_core
from aam.progress import track
from aam.study.folds import class_size, inner_folds
from aam.study.problem import Problem

# Fits a member to each of some parts of the samples.
Fit = Callable[[Training, Sequence[np.ndarray]], list[Member]]


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """members: fitted, by name, several where their mean counts; judged: what they say of the training samples [n] that each did
    not learn from, in training units or as probabilities [n, K].
    """

    members: dict[MemberName, list[Member]]
    judged: dict[MemberName, np.ndarray]


def parts_of(problem: Problem, rows: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Places in the samples `rows` that members learn from and are judged on, in turn. InputError where one could learn nothing."""
    labels = problem.labels
    parts = inner_folds(rows, folds, seed, groups=problem.groups, labels=labels)
    for learn, _ in parts:
        if labels is not None and len(set(labels[rows[learn]])) < 2:
            sizes = [class_size(name, labels[rows], problem.groups_of(rows)) for name in sorted(set(labels[rows]))]
            raise InputError(
                f"classes {first_few(sizes)}: a part of the training samples has one class only, so no member learns the "
                "others there; more groups or samples of these are needed"
            )
    return parts


def cross_fit(training: Training, rows: np.ndarray, names: Sequence[MemberName], jobs: int, *, show: bool = False) -> CrossFitted:
    """Fit the members `names` to the samples `rows`, `jobs` at a time, with a progress bar where `show`."""
    begun = _Begun.of(training, rows, names, jobs)
    work = list(_work(begun.whole, begun.names, begun.learned, begun.asked, begun.jobs))
    results = begun.run(work, show=show)
    members: dict[MemberName, list[Member]] = {name: [] for name in begun.names}
    for some, (kept, _) in zip(work, results, strict=True):
        members[some.name] += kept
    return CrossFitted(members, begun.judged(work, results))


def judge_in_turn(
    training: Training, rows: np.ndarray, names: Sequence[MemberName], jobs: int
) -> Iterator[tuple[np.ndarray, dict[MemberName, np.ndarray]]]:
    """The same without members that are kept, in two turns: places in `rows` that are judged so far, and what members say of them,
    by name. The first turn is two of five parts: who sees enough then stops.
    """
    begun = _Begun.of(training, rows, names, jobs)
    first = max(1, round(_FIRST_TURN * len(begun.asked)))
    work: list[_Work] = []
    results: list[_Result] = []
    for turn in (slice(first), slice(first, None)):
        more = [some for some in _work(begun.whole, begun.names, begun.learned[turn], begun.asked[turn], begun.jobs) if some.asked]
        work, results = work + more, results + begun.run(more)
        places = np.sort(np.concatenate([begun.place[asked] for asked in begun.asked[: turn.stop]]))
        yield places, {name: said[places] for name, said in begun.judged(work, results).items()}


# Members that are kept, and what is said of the samples that were asked about.
_Result = tuple[list[Member], list[np.ndarray]]
# The share of the parts that is judged first.
_FIRST_TURN = 0.4


@dataclass(frozen=True, eq=False)
class _Begun:
    """What all fits of a cross-fitting share: parts of the samples `rows` to learn from and to judge, `place` of each sample in
    `rows`, all samples with their copies (`whole`), and how each member is fitted.
    """

    training: Training
    rows: np.ndarray
    place: np.ndarray
    learned: list[np.ndarray]
    asked: list[np.ndarray]
    whole: np.ndarray
    names: list[MemberName]
    fits: dict[MemberName, Fit]
    jobs: int

    @classmethod
    def of(cls, training: Training, rows: np.ndarray, names: Sequence[MemberName], jobs: int) -> _Begun:
        """Part the samples, and choose what the fits of linear and kernel models share."""
        problem = training.problem
        parts = parts_of(problem, rows, training.options.cross_fit_folds, training.seed)
        known = [name for name in names if training.table.known or name in NEED_NO_IDENTITY]
        if torch.cuda.is_available():
            # Each worker takes memory of the GPU for itself.
            jobs = min(jobs, 2)
        learned, asked = [rows[learn] for learn, _ in parts], [rows[judge] for _, judge in parts]
        whole = rows
        if training.augment:
            # Of each part by itself: what a part is judged on has no part in its copies.
            training, extended = with_copies(training, training.augment, [*learned, rows])
            *learned, whole = extended
        # Workers need neither metadata nor a tree.
        study = replace(training.problem.study, metadata=None, written=None, distance=None)
        sent = replace(training, problem=replace(training.problem, study=study))
        choosing = [name for name in (*KERNELS, *LINEAR) if name in known]
        chosen = _in_workers(jobs, [(_chosen_fit, (name, sent, rows)) for name in choosing])
        place = np.empty(len(problem), dtype=np.int64)
        place[rows] = np.arange(len(rows))
        fits = {**_FITS, **dict(zip(choosing, chosen, strict=True))}
        return cls(sent, rows, place, learned, asked, whole, known, fits, jobs)

    def run(self, work: Sequence[_Work], *, show: bool = False) -> list[_Result]:
        """Fit, in the order of the work: the longest first."""
        return list(_in_workers(self.jobs, [(_run, (self.fits[some.name], self.training, some)) for some in work], show=show))

    def judged(self, work: Sequence[_Work], results: Sequence[_Result]) -> dict[MemberName, np.ndarray]:
        """What members say of the samples `rows` that were asked about, by name."""
        found = {name: self.training.problem.target.nothing_said(len(self.rows)) for name in self.names}
        for some, (_, said) in zip(work, results, strict=True):
            for judge, answer in zip(some.asked, said, strict=True):
                found[some.name][self.place[judge]] = answer
        return found


def _in_workers(jobs: int, calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]], *, show: bool = False) -> list[Any]:
    """Results of calls, `jobs` at a time, in processes where that is more than one."""
    from joblib import Parallel, delayed, parallel_config

    with warnings.catch_warnings(), parallel_config(backend="loky", inner_max_num_threads=1):
        # A worker that has grown is replaced, and says so. One whose first work were a short one would seem to have grown.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
        running = Parallel(n_jobs=jobs, return_as="generator")(delayed(call)(*given) for call, given in calls)
        return list(track(running, "Fitting members", len(calls)) if show else running)


@dataclass(frozen=True, eq=False)
class _Work:
    """Fits of a member that are made together: the samples that each learns from, and is asked about; `kept` in the ensemble."""

    name: MemberName
    learned: Sequence[np.ndarray]
    asked: Sequence[np.ndarray]
    kept: bool


def _work(
    rows: np.ndarray, names: Sequence[MemberName], learned: Sequence[np.ndarray], asked: Sequence[np.ndarray], jobs: int
) -> Iterator[_Work]:
    """The fits of the members to the samples `rows` and to parts of them (learned, and asked about): networks first, which take
    longest.
    """
    if "network" in names:
        # Side by side they take less time than one after the other.
        for some in np.array_split(np.arange(len(learned)), 1 if torch.cuda.is_available() else min(jobs, len(learned))):
            yield _Work("network", [learned[place] for place in some], [asked[place] for place in some], kept=True)
    for name in names:
        if name != "network":
            yield from (_Work(name, [learn], [ask], kept=False) for learn, ask in zip(learned, asked, strict=True))
            yield _Work(name, [rows], [], kept=True)


def _run(fit: Fit, training: Training, work: _Work) -> tuple[list[Member], list[np.ndarray]]:
    """Fit, and predict what is asked."""
    if not work.kept:
        # What only says how good a member is needs no more trees than that.
        training = replace(training, options=replace(training.options, forest_trees=-(-training.options.forest_trees // 2)))
    with _at_work():
        members = fit(training, work.learned)
        said = [member.predict(training.table, asked) for member, asked in zip(members, work.asked, strict=False)]
        return members if work.kept else [], said


@contextmanager
def _at_work() -> Iterator[None]:
    """Small operations on one core: the others have work of their own. A worker that keeps what is freed seems to have grown, and
    is replaced.
    """
    try:
        with on_one_core():
            yield
    finally:
        return_freed()


def _chosen_fit(name: MemberName, training: Training, rows: np.ndarray) -> Fit:
    """How a linear or kernel model is fitted to parts of the samples `rows`; what its fits share is chosen on all of them."""
    with _at_work():
        if name in LINEAR:
            return partial(_each, partial(LinearMember.fit, view=name, penalty=LinearMember.choose(training, rows, name)))
        return partial(_each, partial(KernelMember.fit, shares=KernelMember.choose(training, rows, KERNELS[name])))


def _networks(training: Training, parts: Sequence[np.ndarray]) -> list[Member]:
    """Set networks, fitted together."""
    return [*NetworkMember.fit(training, parts)]


def _each(fit: Callable[[Training, np.ndarray], Member], training: Training, parts: Sequence[np.ndarray]) -> list[Member]:
    """Members fitted one after the other."""
    return [fit(training, rows) for rows in parts]


# Of those of which nothing is chosen.
_FITS: dict[MemberName, Fit] = {
    "network": _networks,
    **{name: partial(_each, partial(TreesMember.fit, kind=name)) for name in TREES},
}
