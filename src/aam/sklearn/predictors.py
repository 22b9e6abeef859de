"""What the estimators that predict share."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from joblib import effective_n_jobs
from lightning.pytorch.utilities.seed import isolate_rng
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from aam.data.metadata import numeric_column
from aam.ensemble.members import MEMBERS, NEED_NO_SEQUENCE
from aam.errors import InputError, path_of
from aam.learners.ensemble import EnsembleLearner
from aam.learners.transformer import GivenEncoder, TransformerLearner
from aam.options import (
    MEMBER_LABELS,
    AugmentOptions,
    EnsembleOptions,
    Fusion,
    ModelOptions,
    ReadOptions,
    TrainFitOptions,
    check,
    check_covariates,
)
from aam.saved.fitted import Fitted
from aam.saved.load import load_encoder
from aam.saved.transformer import FittedEncoder, FittedTransformer
from aam.sklearn.estimator import Estimator, column_names, flag, given_or_default, require_sequences
from aam.study.covariates import Covariates
from aam.study.matrices import GivenSequences
from aam.study.problem import Problem, posed_covariates
from aam.study.study import Study
from aam.study.targets import Target

Recipe = Literal["ensemble", "transformer"]

_FLAGS = ("trees", "freeze_base", "verbose")


class Predictor(Estimator):
    """What regressor and classifier share."""

    loss_type: Any
    # What an ensemble has, which takes no other.
    _default_loss: ClassVar[str] = "mae"

    def __init__(  # noqa: PLR0913 - scikit-learn finds parameters by name, and a search varies them one by one
        self,
        *,
        recipe: Recipe = "ensemble",
        sequences: GivenSequences | None = None,
        max_bp: int = ReadOptions.max_bp,
        sampling_depth: int | None = None,
        trees: bool = True,
        ensemble_options: EnsembleOptions | None = None,
        pretrained_encoder: str | Path | None = None,
        freeze_base: bool = False,
        model_options: ModelOptions | None = None,
        fit_options: TrainFitOptions | None = None,
        categorical_columns: Sequence[str] = (),
        numeric_columns: Sequence[str] = (),
        fusion: Fusion = "concat",
        augment: str | None = None,
        random_state: Any = 0,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.recipe = recipe
        self.sequences = sequences
        self.max_bp = max_bp
        self.sampling_depth = sampling_depth
        self.trees = trees
        self.ensemble_options = ensemble_options
        self.pretrained_encoder = pretrained_encoder
        self.freeze_base = freeze_base
        self.model_options = model_options
        self.fit_options = fit_options
        self.categorical_columns = categorical_columns
        self.numeric_columns = numeric_columns
        self.fusion = fusion
        self.augment = augment
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def novelty(self, X: Any) -> np.ndarray:
        """How far the ASVs of each sample are from those of the training samples [n], or by how much it has too few reads or ASVs:
        above 1 a sample is out of distribution, and its prediction is worth little. InputError for features without sequences.
        """
        study = self._read(X)
        found = self.fitted_.novelty(study)
        if found is None:
            raise InputError("novelty is not known: it is a distance between sequences, which these features lack")
        return found

    def _truth(self, study: Study, y: Any) -> Any:
        """What is to be predicted: y, or the column of the study's metadata that it names."""
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if not isinstance(y, str):
            return y
        if (metadata := study.full_metadata) is None:
            raise InputError(f"`y={y}`: names a column, and X has no metadata; give a study with metadata, or y as an array")
        return study.labels(y) if is_classifier(self) else numeric_column(metadata, y, study.table.sample_ids)

    def _fit(self, study: Study, y: Any, truth: np.ndarray, target: Target, groups: Any) -> Any:
        name = y if isinstance(y, str) else getattr(y, "name", None)
        column, apart = name if isinstance(name, str) and name else "y", self._groups(study, groups)
        problem = Problem(study, column, truth, target, apart, covariates=self._covariates(study, y, groups))
        # What learners seed is theirs.
        with isolate_rng():
            self.fitted_ = self._fit_ensemble(problem) if self._is_ensemble() else self._fit_transformer(problem)
        return self

    def _covariates(self, study: Study, y: Any, groups: Any) -> Covariates:
        """Covariates that the parameters name. InputError for those that are not there, and for y or groups among them."""
        categorical = column_names("categorical_columns", self.categorical_columns)
        numeric = column_names("numeric_columns", self.numeric_columns)
        check_covariates(categorical, numeric, {"y": y if isinstance(y, str) else None})
        check(self.fusion in get_args(Fusion), "fusion", self.fusion, " or ".join(get_args(Fusion)))
        if self.fusion != "concat" and not (categorical or numeric):
            raise InputError(f"`fusion={self.fusion}` needs `categorical_columns` or `numeric_columns`: what to join")
        covariates = posed_covariates(study.full_metadata, categorical, numeric, groups if isinstance(groups, str) else None)
        return replace(covariates, fusion=self.fusion)

    def _is_ensemble(self) -> bool:
        """Which recipe. InputError for an unknown one, and where options of the other are given."""
        others: dict[Any, dict[str, Any]] = {
            "ensemble": {
                "pretrained_encoder": None,
                "freeze_base": False,
                "model_options": None,
                "fit_options": None,
                "fusion": "concat",
            },
            "transformer": {"trees": True, "ensemble_options": None, "n_jobs": None},
        }
        check(self.recipe in get_args(Recipe), "recipe", self.recipe, " or ".join(get_args(Recipe)))
        if self.recipe == "ensemble" and self.loss_type != self._default_loss:
            raise InputError("`recipe=ensemble`: takes no `loss_type`; leave out what is of the other recipe")
        values = self.get_params(deep=False) | {name: flag(name, getattr(self, name)) for name in _FLAGS}
        # Not `!=`, which arrays answer for each number.
        if given := [option for option, default in others[self.recipe].items() if values[option] is not default]:
            raise InputError(f"`recipe={self.recipe}`: takes no `{'`, no `'.join(given)}`; leave out what is of the other recipe")
        return self.recipe == "ensemble"

    def _fit_ensemble(self, problem: Problem) -> Fitted:
        options = given_or_default("ensemble_options", self.ensemble_options, EnsembleOptions)
        if self.trees and not options.trees:
            raise InputError("`ensemble_options`: has trees=False; give `trees=False` to the estimator instead")
        if problem.study.sequences is None:
            left_out = ", ".join(MEMBER_LABELS[name] for name in MEMBERS if name not in NEED_NO_SEQUENCE)
            warnings.warn(f"the features have no sequences: left out are the members that read them ({left_out})", stacklevel=4)
        options, shown = replace(options, trees=bool(self.trees)), bool(self.verbose)
        learner = EnsembleLearner(options, self._seed, self._jobs, shown, self._augment)
        return learner.fit(problem, problem.study.rows)

    def _fit_transformer(self, problem: Problem) -> Fitted:
        require_sequences(problem.study)
        options = given_or_default("fit_options", self.fit_options, TrainFitOptions)
        start = None
        if self.pretrained_encoder is not None:
            encoder = self._start(self.pretrained_encoder)
            start, study, max_bp = GivenEncoder(encoder), problem.study, encoder.info.reads.max_bp
            if study.reads.max_bp not in (ReadOptions.max_bp, max_bp):
                raise InputError(f"`max_bp={study.reads.max_bp}`: the pretrained encoder reads {max_bp} nucleotides; leave it out")
            problem = problem.on(study.read_as(replace(study.reads, max_bp=max_bp)))
        learner = TransformerLearner(
            model=given_or_default("model_options", self.model_options, ModelOptions),
            options=replace(options, seed=self._seed),
            start=start,
            freeze_base=bool(self.freeze_base),
            augment=self._augment,
            show=bool(self.verbose),
        )
        return learner.fit(problem, problem.study.rows)

    def _start(self, folder: str | Path) -> FittedEncoder:
        """The pretrained encoder. InputError where another shape is asked for."""
        if self.model_options is not None:
            raise InputError("`model_options`: the transformer has the shape of `pretrained_encoder`; leave one out")
        return load_encoder(path_of("pretrained_encoder", folder), "pretrained_encoder")

    @property
    def _augment(self) -> AugmentOptions:
        return AugmentOptions(augment=self.augment)

    @property
    def _jobs(self) -> int | None:
        """Models to fit at a time; None for one for each core."""
        if self.n_jobs is None:
            return None
        whole = isinstance(self.n_jobs, Integral) and not isinstance(self.n_jobs, bool)
        check(whole and self.n_jobs != 0, "n_jobs", self.n_jobs, "a whole number other than 0, or None")
        return effective_n_jobs(self.n_jobs)

    def _limit(self, coverage: float) -> float:
        """Half the width of prediction intervals, or its like for classes. InputError where it is not known."""
        check_is_fitted(self)
        if isinstance(self.fitted_, FittedTransformer) and not self.fitted_.target.intervals:
            raise InputError(
                "a transformer fitted here holds out no samples to calibrate prediction intervals: see "
                "`aam.learners.transformer.calibrated`"
            )
        return self.fitted_.limit(coverage)

    def _restore(self, fitted: Fitted, folder: str | Path) -> None:
        self._take(fitted.target.target, folder)
        covariates = fitted.target.covariates
        columns = {"categorical_columns": tuple(covariates.vocabularies), "numeric_columns": tuple(covariates.numbers)}
        recipe = "transformer" if isinstance(fitted, FittedEncoder) else "ensemble"
        self.set_params(recipe=recipe, fusion=covariates.fusion, **columns)

    def _take(self, target: Target, folder: str | Path) -> None:
        """Take what is of this estimator from the target of a fitted model. InputError for another kind."""
        raise NotImplementedError
