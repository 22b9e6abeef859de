"""What the estimators share: how X becomes a study, and model folders."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from biom import Table
from pandas.api.types import is_list_like
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from aam.errors import InputError, counted, some_of
from aam.options import ReadOptions, check
from aam.saved.fitted import Fitted
from aam.saved.load import load
from aam.study.labels import warn_of_groups
from aam.study.matrices import GivenSequences, study_of
from aam.study.study import Study


class Estimator(BaseEstimator):
    """X becomes a study; what was fitted becomes a model folder."""

    # With metadata routing, groups reach `fit` unasked.
    __metadata_request__fit = {"groups": True}  # noqa: RUF012 - read by scikit-learn, never changed

    sequences: GivenSequences | None
    max_bp: int
    sampling_depth: int | None
    random_state: Any
    fitted_: Fitted

    def save(self, folder: str | Path) -> None:
        """Write the model folder, which `load`, `aam.load` and the command line read. It holds no code."""
        check_is_fitted(self)
        self.fitted_.save(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Any:
        """Read a fitted estimator from a model folder, or from the output folder of a run of the command line.

        Parameters that the folder does not tell have their defaults. InputError for a model of another kind.
        """
        fitted = load(folder)
        estimator = cls()
        estimator._restore(fitted, folder)
        reads = fitted.info.reads
        estimator.set_params(max_bp=reads.max_bp, sampling_depth=reads.sampling_depth, random_state=fitted.info.seed)
        estimator.fitted_ = fitted
        return estimator

    def _restore(self, fitted: Fitted, folder: str | Path) -> None:
        """Take from a fitted model what is of this estimator. InputError for one of another kind."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.positive_only = True
        return tags

    @property
    def _seed(self) -> int:
        if not isinstance(self.random_state, Integral):
            return int(check_random_state(self.random_state).randint(2**31))
        seed = int(self.random_state)
        check(0 <= seed < 2**32, "random_state", seed, "from 0 to 4294967295")
        return seed

    def _read(self, X: Any, *, fitting: bool = False) -> Study:
        """X as a study."""
        if not fitting:
            check_is_fitted(self)
        study = self._as_read(X, fitting) if isinstance(X, Study) else self._made_of(X, fitting)
        if fitting and len(study) < 2:
            raise InputError(f"`X`: {counted(len(study), 'sample')}: at least 2 are needed to fit")
        return study

    def _made_of(self, X: Any, fitting: bool) -> Study:
        """The study of a table in memory."""
        if isinstance(X, Table):
            values, names, samples = X.matrix_data.T, X.ids("observation"), X.ids()
            if fitting:
                self._remember(names)
        elif not fitting and self._finds_columns(X):
            values, names, samples = check_array(X, accept_sparse="csr"), X.columns, _ids(X)
        else:
            values = validate_data(self, X, accept_sparse="csr", reset=fitting, ensure_min_samples=2 if fitting else 1)
            names, samples = self._names(X, values.shape[1]), _ids(X)
        reads = self._reads() if fitting else self.fitted_.info.reads
        return study_of(values, names, samples, sequences=self.sequences, reads=reads)

    def _as_read(self, study: Study, fitting: bool) -> Study:
        """A study as it was read. InputError where this estimator is to read it otherwise."""
        if fitting:
            if self.sequences is not None:
                raise InputError("`sequences`: a study has its own; leave them out, or give them to `read_study` (`rep_seqs`)")
            asked, default = self._reads(), ReadOptions()
            for option in ("max_bp", "sampling_depth"):
                value, there = getattr(asked, option), getattr(study.reads, option)
                if value not in (getattr(default, option), there):
                    raise InputError(f"`{option}={value}`: the study was read with {option}={there}; give it to `read_study`")
            self._remember(study.table.feature_ids)
        return study

    def _reads(self) -> ReadOptions:
        return ReadOptions(max_bp=self.max_bp, sampling_depth=self.sampling_depth)

    def _remember(self, names: Any) -> None:
        self.n_features_in_ = len(names)
        self.feature_names_in_ = np.array(names, dtype=object)

    def _finds_columns(self, X: Any) -> bool:
        """Whether a table may have other columns than the one fitted to, in another order: a sample is a set of ASVs.

        A model of features without sequences that was read from a folder finds them by name. InputError for a table without names.
        """
        named = self.sequences is None or isinstance(self.sequences, (Mapping, pd.Series))
        if not self._knows_names_only:
            return isinstance(X, pd.DataFrame) and named
        if hasattr(self, "n_features_in_"):
            return False
        if not isinstance(X, pd.DataFrame):
            raise InputError(
                "`X`: a loaded model of features without sequences knows them by name: give a DataFrame with the names"
            )
        return True

    @property
    def _knows_names_only(self) -> bool:
        """Whether the features that were fitted to have no sequences."""
        ensemble = getattr(self.fitted_, "ensemble", None)
        return ensemble is not None and ensemble.catalogue.by_id

    def _names(self, X: Any, n: int) -> Any:
        """IDs of n features; a table without names has those that were fitted to."""
        if hasattr(self, "feature_names_in_"):
            return self.feature_names_in_
        unnamed = hasattr(self, "n_features_in_") or not isinstance(X, pd.DataFrame)
        return range(n) if unnamed else X.columns

    def _groups(self, study: Study, groups: Any) -> np.ndarray | None:
        """Labels [N] of the samples that stay together, or None."""
        if groups is None:
            return None
        if isinstance(groups, str):
            labels = study.labels(groups)
            if labels is not None:
                warn_of_groups(groups, list(labels), study.table.sample_ids)
            return labels
        values = column_or_1d(groups)
        check_consistent_length(study.rows, values)
        if missing := int(pd.isna(values).sum()):
            raise InputError(f"`groups`: {some_of(missing, len(values), 'have none')}")
        return np.array([str(value) for value in values], dtype=object)


def _ids(X: Any) -> Any:
    """IDs of samples: the index of a frame, unless samples are there twice, as in a bootstrap."""
    return X.index if isinstance(X, pd.DataFrame) and X.index.is_unique else None


def require_sequences(study: Study) -> None:
    """InputError for features without."""
    if study.sequences is None:
        raise InputError("a transformer reads sequences, and these features have none: give `sequences`, or name them by theirs")


def flag(name: str, value: Any) -> bool:
    """A parameter that is True or False. InputError, which names it, for anything else."""
    check(isinstance(value, (bool, np.bool_)), name, value, "True or False")
    return bool(value)


def given_or_default(name: str, value: Any, kind: type) -> Any:
    """An object of options. InputError, which names the parameter, for anything else."""
    if value is not None and not isinstance(value, kind):
        raise InputError(f"`{name}`: must be {kind.__name__}, not {type(value).__name__}")
    return kind() if value is None else value


def column_names(option: str, value: Any) -> tuple[str, ...]:
    """Names of columns. InputError for anything else."""
    if not is_list_like(value) or not all(isinstance(column, str) for column in value):
        raise InputError(f"`{option}={value}`: must be a list of names of columns")
    return tuple(value)
