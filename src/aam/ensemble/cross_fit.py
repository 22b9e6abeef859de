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

import numpy as np
import torch

from aam.ensemble.members import KERNELS, NEED_NO_IDENTITY, KernelMember, Member, MemberName, NetworkMember, TreesMember
from aam.ensemble.training import Training
from aam.errors import InputError, first_few
from aam.progress import track
from aam.study.folds import class_size, inner_folds

Fit = Callable[[Training, np.ndarray], Member]


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """members: fitted, by name, several where their mean counts; judged: what they say of the training samples [n] that each did
    not learn from, in training units or as probabilities [n, K].
    """

    members: dict[MemberName, list[Member]]
    judged: dict[MemberName, np.ndarray]


def cross_fit(training: Training, rows: np.ndarray, names: Sequence[MemberName], jobs: int, *, show: bool = False) -> CrossFitted:
    """Fit the members `names` to the samples `rows`, `jobs` at a time, with a progress bar where `show`."""
    problem, labels = training.problem, training.problem.labels
    parts = inner_folds(rows, training.options.cross_fit_folds, training.seed, groups=problem.groups, labels=labels)
    for learn, _ in parts:
        if labels is not None and len(set(labels[rows[learn]])) < 2:
            sizes = [class_size(name, labels[rows], problem.groups_of(rows)) for name in sorted(set(labels[rows]))]
            raise InputError(
                f"classes {first_few(sizes)}: a part of the training samples has one class only, so no member learns the "
                "others there; more groups or samples of these are needed"
            )
    names = [name for name in names if training.table.known or name in NEED_NO_IDENTITY]
    if torch.cuda.is_available():
        # Each worker takes memory of the GPU for itself.
        jobs = min(jobs, 2)
    nothing = rows[:0]
    work = [(name, rows[learn], rows[judge]) for name in names for learn, judge in parts]
    work += [(name, rows, nothing) for name in names if name != "network"]
    # Workers need neither metadata nor a tree.
    sent = replace(training, problem=replace(problem, study=replace(problem.study, metadata=None, written=None, distance=None)))
    from joblib import Parallel, delayed, parallel_config

    with warnings.catch_warnings(), parallel_config(backend="loky", inner_max_num_threads=1):
        # A worker that has grown is replaced, and says so.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
        found = Parallel(n_jobs=jobs)(delayed(_fit_of)(name, sent, rows) for name in names)
        fits: dict[MemberName, Fit] = dict(zip(names, found, strict=True))
        running = Parallel(n_jobs=jobs, return_as="generator")(
            delayed(_run)(fits[name], sent, learned, judged) for name, learned, judged in work
        )
        results = list(track(running, "Fitting members", len(work)) if show else running)
    members: dict[MemberName, list[Member]] = {name: [] for name in names}
    judged = {name: problem.target.nothing_said(len(rows)) for name in names}
    place = np.empty(len(problem), dtype=np.int64)
    place[rows] = np.arange(len(rows))
    for (name, _, asked), (member, said) in zip(work, results, strict=True):
        if len(asked):
            judged[name][place[asked]] = said
        if member is not None:
            members[name].append(member)
    return CrossFitted(members, judged)


def _run(fit: Fit, training: Training, learned: np.ndarray, asked: np.ndarray) -> tuple[Member | None, np.ndarray]:
    """Fit, and predict what is asked; only set networks, and members of all samples, are kept."""
    with _one_thread():
        member = fit(training, learned)
        if not len(asked):
            return member, asked
        said = member.predict(training.table, asked)
        return member if isinstance(member, NetworkMember) else None, said


@contextmanager
def _one_thread() -> Iterator[None]:
    """Small operations on one core: the others have work of their own."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit_of(name: MemberName, training: Training, rows: np.ndarray) -> Fit:
    """How a member is fitted to parts of the samples `rows`; what all of its fits share is chosen on all of them."""
    if name == "network":
        return NetworkMember.fit
    if name in ("forest", "boosting"):
        return partial(TreesMember.fit, kind=name)
    with _one_thread():
        return partial(KernelMember.fit, shares=KernelMember.choose(training, rows, KERNELS[name]))
