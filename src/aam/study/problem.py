"""A problem: a study and what to predict in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from aam.data.metadata import Metadata, categorical_column, column_of, numeric_column
from aam.errors import InputError, first_few
from aam.options import OneTargetOptions, check_covariates, order_in, quantiles_in, range_in, weights_in
from aam.study.covariates import Covariates, numbers_of
from aam.study.labels import hint_at_classes, say_categoricals, say_classes, say_missing
from aam.study.levels import Levels
from aam.study.study import Study
from aam.study.targets import ClassTarget, RegressionTarget, Target


@dataclass(frozen=True, eq=False)
class Problem:
    """A study of N samples and what to predict in it.

    column: what is predicted, by name; truth: float64 numbers in original units, or int64 class ids [N]; target: how truth becomes
    what models learn, fitted to training samples once `fitted_to` has named them; groups: labels [N] of samples that stay together,
    or None; confounder: labels [N] of what may explain the target by itself, or None; covariates: metadata given to the model;
    levels: labels [N] within which a number is scaled, or None.

    Examples
    --------
    >>> import aam
    >>> from aam.options import TargetOptions
    >>> from aam.study.problem import pose
    >>> study = aam.read_study("community/table.biom", metadata="community/metadata.tsv")
    >>> problem = pose(study, TargetOptions(metadata_column="age"), group_column="subject")
    >>> len(problem), len(set(problem.groups))
    (60, 15)

    """

    study: Study
    column: str
    truth: np.ndarray
    target: Target
    groups: np.ndarray | None = None
    confounder: np.ndarray | None = None
    covariates: Covariates = field(default_factory=Covariates)
    levels: np.ndarray | None = None

    def __len__(self) -> int:
        """Samples."""
        return len(self.truth)

    @cached_property
    def learned(self) -> np.ndarray:
        """What models learn [N]: float32 training units, or int64 class ids."""
        target, truth = self.target, self.truth
        if self.levels is not None and isinstance(target, RegressionTarget) and target.levels:
            truth = target.levels.to_common(truth, self.levels)
        return target.learned(truth)

    def placed(self, decoded: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Decoded predictions of some rows in the unit of their truth, where that differs by level."""
        if self.levels is None or not isinstance(self.target, RegressionTarget):
            return decoded
        return self.target.placed(decoded, self.levels[rows])

    @property
    def parts(self) -> tuple[Problem, ...]:
        """Itself, where several problems are posed at once (`aam.study.several`)."""
        return (self,)

    @property
    def classes(self) -> int | None:
        """Number of classes; None for a number."""
        return len(self.target.classes) or None

    @cached_property
    def known(self) -> np.ndarray:
        """Which samples have a value, bool [N]: all of them, but where several problems are posed on one study."""
        return self.target.known(self.truth)

    @property
    def labels(self) -> np.ndarray | None:
        """Names of the classes [N], None for a number: what splits and folds spread evenly."""
        return self.target.labels(self.truth)

    @cached_property
    def design(self) -> np.ndarray | None:
        """What models read of the covariates, float32 [N, K]; None for no columns."""
        metadata = self.study.full_metadata
        return self.covariates.matrix(metadata) if self.covariates.columns and metadata is not None else None

    def groups_of(self, rows: np.ndarray) -> np.ndarray | None:
        """Groups of some rows."""
        return None if self.groups is None else self.groups[rows]

    def units(self, rows: np.ndarray) -> np.ndarray:
        """What counts once: the groups of some rows, or the samples themselves."""
        return rows if self.groups is None else self.groups[rows]

    def on(self, study: Study) -> Problem:
        """The same of another view of the study: the same samples in the same order."""
        return replace(self, study=study)

    def learnable_by(self, rows: np.ndarray) -> Problem:
        """The same, whose truth is learned as it is, with covariates fitted to the training samples `rows`.

        InputError for a class that none of these has.
        """
        covariates, _ = self._covariates_of(rows)
        return replace(self, target=self.target.unscaled(self.truth[rows]), covariates=covariates)

    def fitted_covariates(self, rows: np.ndarray) -> Covariates:
        """Covariates fitted to the training samples `rows`. One that is the same in all of them is a warning."""
        covariates, known = self._covariates_of(rows)
        if known is not None:
            covariates.warn_of_constant(known)
        return covariates

    def fitted_to(self, rows: np.ndarray, covariates: Covariates | None = None) -> Problem:
        """The same with target and covariates fitted to the training samples `rows`. InputError for nothing to learn.

        covariates: those of a model of several problems, which are fitted already.
        """
        if covariates is None:
            covariates = self.fitted_covariates(rows)
        target = self.target.fit(self.truth[rows])
        if self.levels is not None and isinstance(target, RegressionTarget):
            target = target.in_levels(self.truth[rows], self.levels[rows])
        return replace(self, target=target, covariates=covariates)

    def _covariates_of(self, rows: np.ndarray) -> tuple[Covariates, Metadata | None]:
        """Covariates as the samples `rows` have them, and the metadata of these; None for no columns."""
        metadata = self.study.full_metadata
        if not self.covariates.columns or metadata is None:
            return self.covariates, None
        known = replace(metadata, typed=metadata.typed.iloc[rows])
        return self.covariates.fit(known), known


def pose(
    study: Study,
    options: OneTargetOptions,
    group_column: str | None = None,
    confounder_column: str | None = None,
    *,
    partly: bool = False,
) -> Problem:
    """Read what is to be predicted from the metadata of a study, and say what classes there are.

    partly: samples may lack a value (`Problem.known`). InputError for several columns (`aam.study.several`), for missing values,
    for one class only, for a number where the file declares the column categorical, and for covariates that cannot be read.
    """
    if (metadata := study.full_metadata) is None:
        raise InputError(f"`metadata` is missing: the table that holds the column {options.metadata_column}")
    column, ids = options.metadata_column, study.table.sample_ids
    # Also of options that may name several.
    OneTargetOptions.columns(options, metadata.typed.columns)
    there = column_of(metadata.typed, column)[list(ids)].notna().to_numpy() if partly else np.ones(len(ids), dtype=bool)
    ids = tuple(np.array(ids, dtype=object)[there])
    target: Target
    if options.classifier:
        labels = categorical_column(metadata, column, ids)
        say_classes(column, labels, ids)
        target = _as_chosen(ClassTarget.of(labels), options)
        truth = target.index(labels)
    else:
        as_classes = f"pass `class_columns={column}`" if partly else "pass `classifier`"
        _refuse_categorical(metadata, column, as_classes)
        truth = numeric_column(metadata, column, ids, as_classes)
        if column not in metadata.types:
            hint_at_classes(column, truth, as_classes)
        low, high = range_in(options.output_range)
        target = RegressionTarget(
            options.target_transform,
            loss_type=options.loss_type,
            quantiles=quantiles_in(options.quantiles),
            asymmetry=options.asymmetry,
            low=low,
            high=high,
            levels=None if options.within_column is None else Levels(options.within_column),
        )
        target.require(truth)
    if partly:
        known, truth = truth, np.full(len(there), target.missing, dtype=truth.dtype)
        truth[there] = known
    covariates = posed_covariates(metadata, options.categorical_columns, options.numeric_columns, group_column)
    groups, confounder = study.labels(group_column), study.labels(confounder_column)
    covariates = replace(covariates, fusion=options.fusion)
    return Problem(study, column, truth, target, groups, confounder, covariates, study.labels(options.within_column))


def _as_chosen(target: ClassTarget, options: OneTargetOptions) -> ClassTarget:
    """Classes in the order and with the weights that are asked for."""
    if options.loss_type == "ordinal":
        target = target.ordered(order_in(options.class_order))
    if options.class_weights == "none":
        return replace(target, weighting="none")
    given = weights_in(options.class_weights)
    return target.weighted(given) if given else target


def posed_covariates(
    metadata: Metadata | None, categorical: Sequence[str], numeric: Sequence[str], group_column: str | None = None
) -> Covariates:
    """Covariates of these columns, of which nothing is known yet: that comes from training samples (`Problem.fitted_to`).

    InputError for the group column among them, for absent columns, and for text in a column of numbers.
    """
    check_covariates(categorical, numeric, {"the group column": group_column})
    covariates = Covariates.named(categorical, numeric)
    for option, columns in (("categorical_columns", categorical), ("numeric_columns", numeric)):
        if columns and metadata is None:
            raise InputError(f"`{option}`: there are no metadata that hold {first_few(columns)}")
        if metadata is not None and (absent := [column for column in columns if column not in metadata.typed.columns]):
            has = first_few(metadata.typed.columns, 30)
            raise InputError(f"`{option}`: the metadata has no column {first_few(absent)}; columns: {has}")
    if metadata is not None:
        say_categoricals(metadata, categorical)
        for column in numeric:
            if metadata.types.get(column) == "categorical":
                advice = "give it as `categorical_columns`, or declare it numeric"
                raise InputError(f"`numeric_columns={column}`: #q2:types in the metadata declares it categorical; {advice}")
            say_missing(column, numbers_of(metadata, column, chosen=True))
    return covariates


def _refuse_categorical(metadata: Metadata, column: str, as_classes: str) -> None:
    if metadata.types.get(column) == "categorical":
        advice = f"{as_classes}, or declare it numeric if a number is to be predicted"
        raise InputError(f"column {column}: #q2:types in the metadata declares it categorical; {advice}")
