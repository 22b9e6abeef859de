"""The estimator that predicts classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from aam.errors import InputError
from aam.options import EnsembleOptions, Fusion, ModelOptions, ReadOptions, TrainFitOptions, check
from aam.scoring.intervals import COVERAGE, likely
from aam.sklearn.predictors import Predictor, Recipe
from aam.study.losses import ClassLossType
from aam.study.matrices import GivenSequences
from aam.study.targets import ClassTarget, Target


class AAMClassifier(ClassifierMixin, Predictor):
    """Predict classes from microbiome samples.

    Parameters
    ----------
    recipe : {"ensemble", "transformer"}
        The mean of set networks, linear and kernel models and trees, or one transformer.
    sequences : sequence of str, or mapping of feature name to sequence, optional
        Sequences of the features of X. Default: the feature names where they are sequences. A study has its own.
    max_bp : int
        Number of nucleotides of each ASV to read. With `pretrained_encoder`, as many as that reads.
    sampling_depth : int, optional
        Rarefy every sample to this many reads.
    trees : bool
        Ensemble: include a random forest, extra trees and boosted trees.
    ensemble_options : EnsembleOptions, optional
        Ensemble: its further hyper-parameters.
    pretrained_encoder : str or Path, optional
        Transformer: folder of an encoder to start from, of `AAMEncoder` or ``aam pretrain``; or the name
        of one that comes with AAM.
    freeze_base : bool
        Transformer: train only the head that predicts the target; the pretrained encoder stays as it is.
    model_options : ModelOptions, optional
        Transformer: its shape, where there is no `pretrained_encoder`.
    fit_options : TrainFitOptions, optional
        Transformer: how it is trained.
    categorical_columns, numeric_columns : sequence of str
        Covariates: columns of the metadata that the model reads beside the microbes. X is then a study with metadata
        (`aam.read_study`), in `fit` and in `predict`.
    fusion : {"concat", "gated"}
        Transformer: how covariates join the sample embedding.
    augment : str, optional
        Change training samples at random: ``"rarefy"``, ``"mixup=0.2,contaminate"``, or ``"auto"`` for what inner folds say helps,
        if anything.
    random_state : int, RandomState or None
        Seed: the same seed gives the same result.
    n_jobs : int, optional
        Ensemble: models to fit at a time. Default: one for each core.
    verbose : bool
        Show a progress bar of fitting.
    loss_type : {"cross_entropy", "ordinal"}
        Transformer: its loss; "ordinal" learns that the classes are in order, that of numbers or of `class_order`.
    class_order : sequence of classes, optional
        Of the ordinal loss: the classes from the lowest to the highest.
    class_weights : {"balanced", "none"} or dict of class to weight
        How much classes count in training: alike, by their samples, or by hand (1 for a class that is not named). Probabilities of
        an ensemble are calibrated afterwards: they say how likely a class is, whatever its weight.

    Attributes
    ----------
    classes_ : array [K]
        The classes, sorted or in `class_order`; as text where the model was loaded from a folder.
    fitted_, n_features_in_, feature_names_in_
        As those of `AAMRegressor`.

    Examples
    --------
    >>> import aam
    >>> study = aam.read_study("community/table.biom", metadata="community/metadata.tsv")
    >>> quick = aam.EnsembleOptions(network_steps=2, network_min_epochs=1)  # seconds; leave it out for a model that is to be used
    >>> model = aam.AAMClassifier(trees=False, ensemble_options=quick).fit(study, "disease", groups="subject")
    >>> model.classes_, model.predict_proba(study).shape
    (array(['case', 'control'], dtype=object), (60, 2))

    """

    classes_: np.ndarray
    _default_loss = "cross_entropy"

    def __init__(  # noqa: PLR0913 - see the base
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
        loss_type: ClassLossType = "cross_entropy",
        class_order: Sequence[Any] | None = None,
        class_weights: str | Mapping[Any, float] = "balanced",
    ) -> None:
        super().__init__(
            recipe=recipe,
            sequences=sequences,
            max_bp=max_bp,
            sampling_depth=sampling_depth,
            trees=trees,
            ensemble_options=ensemble_options,
            pretrained_encoder=pretrained_encoder,
            freeze_base=freeze_base,
            model_options=model_options,
            fit_options=fit_options,
            categorical_columns=categorical_columns,
            numeric_columns=numeric_columns,
            fusion=fusion,
            augment=augment,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        self.loss_type = loss_type
        self.class_order = class_order
        self.class_weights = class_weights

    def fit(self, X: Any, y: Any, groups: Any = None) -> AAMClassifier:
        """Fit to samples X [N, M] and classes y [N], numbers or text; groups as in `AAMRegressor.fit`."""
        study = self._read(X, fitting=True)
        labels = column_or_1d(self._truth(study, y), input_name="y", warn=True)
        check_consistent_length(study.rows, labels)
        check_classification_targets(labels)
        classes, truth = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise InputError(f"`y`: there is one class only, {classes[0]}: nothing to learn")
        target = self._target(tuple(map(str, classes)))
        place = np.array([target.classes.index(str(name)) for name in classes])
        self._fit(study, y, place[truth], target, groups)
        self.classes_ = classes[np.argsort(place)]
        return self

    def _target(self, classes: tuple[str, ...]) -> ClassTarget:
        """What is predicted, unfitted. InputError for parameters that do not fit."""
        losses = get_args(ClassLossType)
        check(self.loss_type in losses, "loss_type", self.loss_type, f"one of {', '.join(losses)}")
        target = ClassTarget(classes, as_written=True)
        if self.loss_type == "ordinal":
            target = target.ordered(() if self.class_order is None else tuple(map(str, self.class_order)))
        elif self.class_order is not None:
            raise InputError("`class_order` belongs to `loss_type=ordinal`: give both, or leave it out")
        if isinstance(self.class_weights, Mapping):
            return target.weighted({str(name): float(weight) for name, weight in self.class_weights.items()})
        known = ("balanced", "none")
        check(self.class_weights in known, "class_weights", self.class_weights, "balanced, none, or a weight by class")
        return replace(target, weighting="none") if self.class_weights == "none" else target

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities [n, K] of the classes, in the order of `classes_`."""
        study = self._read(X)
        return self.fitted_.predict(study)

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each sample [n]."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]

    def predict_interval(self, X: Any, coverage: float = COVERAGE) -> np.ndarray:
        """Which classes are in the prediction set of each sample, bool [n, K], in the order of `classes_`: never none.

        A set holds the true class of a sample of a new group with probability `coverage`, 0.5 to 0.99. InputError as for numbers.
        """
        limit, probabilities = self._limit(coverage), self.predict_proba(X)
        found = np.zeros(probabilities.shape, dtype=bool)
        for row, said in enumerate(probabilities):
            found[row, likely(said, limit)] = True
        return found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Share of the samples whose class is predicted; with a study, y may name a column of its metadata."""
        study = self._read(X)
        return super().score(study, self._truth(study, y), sample_weight)

    def _take(self, target: Target, folder: str | Path) -> None:
        if not isinstance(target, ClassTarget):
            raise InputError(f"`folder={folder}`: this model predicts a number; use AAMRegressor")
        self.classes_ = np.array(target.classes, dtype=object)
        self.loss_type = target.loss_type
        self.class_order = target.classes if target.loss_type == "ordinal" else None
        given = dict(zip(target.classes, target.given, strict=True)) if target.weighting == "given" else target.weighting
        self.class_weights = given
