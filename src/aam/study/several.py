"""Several problems on one study: what is predicted in samples of which each has a value in at least one column."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from aam.errors import InputError, first_few, shown, some_of
from aam.options import TargetOptions, weights_in
from aam.study.covariates import Covariates
from aam.study.joint_target import JointTarget, together
from aam.study.problem import Problem, pose
from aam.study.splits import Split
from aam.study.study import Study

log = logging.getLogger(__name__)

# What names a folder on every system, and a file when more is put before and behind it.
_FOLDER = re.compile(r"""[^\s./\\:*?"<>|\x00-\x1f\x7f-]([^/\\:*?"<>|\x00-\x1f\x7f]*[^\s./\\:*?"<>|\x00-\x1f\x7f])?""")
_LONGEST = 150
# What files beside predictions end in.
_BESIDE = ("", "_probabilities", "_intervals", "_scores")


def pose_several(study: Study, options: TargetOptions, group_column: str | None = None) -> dict[str, Problem]:
    """The problems of one column or several (`metadata_column=age,delivery`) of a study, by column.

    Of several, samples without a value are those that `Problem.known` leaves out. InputError for what `pose` refuses, for names
    that cannot be folders, and for options that are of one column where several could be meant.
    """
    metadata = study.full_metadata
    columns = options.columns(() if metadata is None else metadata.typed.columns)
    if len(columns) == 1:
        return {columns[0]: pose(study, options, group_column)}
    _require_folders(columns)
    problems = {}
    for column in columns:
        if metadata is not None and column in metadata.typed.columns and not metadata.typed[column].notna().any():
            raise InputError(f"column {shown(column)}: no sample has a value; leave it out")
        problems[column] = pose(study, options.of(column), group_column, partly=True)
        lacking = int((~problems[column].known).sum())
        if lacking:
            log.info("%s: masked in its loss", some_of(lacking, len(study), f"have no value in column {shown(column)}"))
    return problems


def _require_folders(columns: tuple[str, ...]) -> None:
    """InputError for columns whose results could not lie in folders and files of their names."""
    for column in columns:
        if not _FOLDER.fullmatch(column) or len(column.encode()) > _LONGEST:
            raise InputError(f"column {shown(column)}: its results go into a folder of its name, which this cannot be; rename it")
    files = [f"{column}{end}".casefold() for column in columns for end in _BESIDE]
    if twice := sorted({name for name in files if files.count(name) > 1}):
        raise InputError(f"columns {first_few(columns)}: files of two of them would be called {shown(twice[0])}; rename one")


def own_rows(problem: Problem, rows: np.ndarray) -> np.ndarray:
    """Those of some rows that have a value."""
    return rows[problem.known[rows]]


def require_learnable(problems: Sequence[Problem], split: Split) -> None:
    """InputError for a column whose training samples tell nothing apart, and for one of several without values in a part of the
    split.
    """
    for problem in problems:
        column = problem.column
        for part in ("train", "val", "test"):
            rows = getattr(split, part)
            if len(rows) and not len(own_rows(problem, rows)):
                raise InputError(
                    f"column {shown(column)}: no sample of the {part} part of the split has a value; take another `seed`"
                )
        try:
            problem.target.fit(problem.truth[own_rows(problem, split.train)])
        except InputError as error:
            if len(problems) == 1:
                raise
            raise InputError(f"column {shown(column)}: {error}") from error


@dataclass(frozen=True, eq=False)
class JointProblem:
    """Problems on one study that one model learns at once; weights: how much each counts in the loss."""

    parts: tuple[Problem, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, problems: Mapping[str, Problem], weights: Mapping[str, float]) -> JointProblem:
        """InputError for none, for problems on several studies, and for weights of others or that are not above 0."""
        if not problems:
            raise InputError("`problems`: there is none to fit")
        if unknown := [name for name in weights if name not in problems]:
            raise InputError(f"`weights`: {first_few(unknown)} is not among the problems: {first_few(problems)}")
        if not all(weight > 0 for weight in weights.values()):
            raise InputError("`weights`: must be above 0")
        parts = tuple(problems.values())
        if any(part.study is not parts[0].study for part in parts):
            raise InputError("`problems`: must be posed on one study (`pose_several`)")
        return cls(parts, tuple(float(weights.get(name, 1.0)) for name in problems))

    @property
    def study(self) -> Study:
        """Theirs."""
        return self.parts[0].study

    @property
    def groups(self) -> np.ndarray | None:
        """Labels [N] of samples that stay together."""
        return self.parts[0].groups

    @property
    def labels(self) -> np.ndarray | None:
        """What splits spread evenly: the classes [N] of the first column that has some, None for a missing value."""
        return next((labels for part in self.parts if (labels := part.labels) is not None), None)

    @property
    def covariates(self) -> Covariates:
        """Metadata given to the model, one for all."""
        return self.parts[0].covariates

    @property
    def design(self) -> np.ndarray | None:
        """What models read of the covariates, float32 [N, K]."""
        return self.parts[0].design

    @property
    def target(self) -> JointTarget:
        """All targets."""
        return JointTarget(tuple(part.column for part in self.parts), tuple(part.target for part in self.parts), self.weights)

    @cached_property
    def learned(self) -> np.ndarray:
        """What models learn, float32 [N, T], NaN where a sample has no value."""
        return together([part.learned for part in self.parts], [part.known for part in self.parts])

    def on(self, study: Study) -> JointProblem:
        """The same of another view of the study: the same samples in the same order."""
        return replace(self, parts=tuple(part.on(study) for part in self.parts))

    def fitted_to(self, rows: np.ndarray) -> JointProblem:
        """The same, each target fitted to those of the training samples `rows` that have a value, covariates to all of them."""
        whole = self.parts[0].fitted_covariates(rows)
        fitted = [part.fitted_to(own_rows(part, rows), covariates=whole) for part in self.parts]
        return replace(self, parts=tuple(fitted))


def pose_columns(study: Study, options: TargetOptions, group_column: str | None = None) -> Problem | JointProblem:
    """The problem of one column, or those of several at once, whose losses weigh what `target_weights` says."""
    problems = pose_several(study, options, group_column)
    if len(problems) == 1:
        return next(iter(problems.values()))
    return JointProblem.of(problems, {} if options.target_weights is None else weights_in(options.target_weights, "target_weights"))
