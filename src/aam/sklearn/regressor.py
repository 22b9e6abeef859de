"""The estimator that predicts a number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import assert_all_finite

from aam.errors import InputError
from aam.options import EnsembleOptions, Fusion, LossType, ModelOptions, ReadOptions, TrainFitOptions, TransformName, check
from aam.options.target import check_asymmetry
from aam.scoring.intervals import COVERAGE
from aam.sklearn.predictors import Predictor, Recipe
from aam.study.matrices import GivenSequences
from aam.study.targets import RegressionTarget, Target

_LOSSES = ("mae", "mse", "huber", "quantile", "asymmetric", "poisson")


class AAMRegressor(RegressorMixin, Predictor):
    """Predict a number from microbiome samples.

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
    target_transform : {"none", "minmax", "zscore", "log-zscore", "log-minmax"}
        Scale of the target during training. Predictions are in original units.
    loss_type : {"mae", "mse", "huber", "quantile", "asymmetric", "poisson"}
        Transformer: its loss; "quantile" learns `quantiles`, "asymmetric" the one of level `asymmetry`, "poisson" counts (with
        `target_transform="none"`).
    asymmetry : float
        Of the asymmetric loss: with 0.9 a prediction that is too low costs nine times as much as one that is too high.
    quantiles : sequence of float, optional
        Levels of quantiles to predict beside the number, rising, with 0.5 among them: see `predict_quantiles`.
    output_range : tuple of float or None, optional
        Lower and upper end that no prediction, interval or quantile leaves; None for an open end.

    Attributes
    ----------
    fitted_ : Fitted
        The fitted model, as `aam.load` gives it.
    n_features_in_, feature_names_in_
        Number and names (where there are any) of the features that were fitted to.

    Examples
    --------
    >>> import aam
    >>> study = aam.read_study("community/table.biom", metadata="community/metadata.tsv")
    >>> quick = aam.EnsembleOptions(network_steps=2, network_min_epochs=1)  # seconds; leave it out for a model that is to be used
    >>> model = aam.AAMRegressor(trees=False, ensemble_options=quick).fit(study, "age", groups="subject")
    >>> model.predict(study).shape, model.predict_interval(study, coverage=0.8).shape
    ((60,), (60, 2))

    """

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
        target_transform: TransformName = "zscore",
        loss_type: LossType = "mae",
        asymmetry: float = 0.5,
        quantiles: Sequence[float] | None = None,
        output_range: tuple[float | None, float | None] | None = None,
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
        self.target_transform = target_transform
        self.loss_type = loss_type
        self.asymmetry = asymmetry
        self.quantiles = quantiles
        self.output_range = output_range

    def fit(self, X: Any, y: Any, groups: Any = None) -> AAMRegressor:
        """Fit to samples X [N, M] and numbers y [N]; groups [N]: subjects or studies, whose samples stay together where members are
        weighed and intervals calibrated. With a study, y and groups may name columns of its metadata.
        """
        study = self._read(X, fitting=True)
        transforms = [name for name in get_args(TransformName) if name != "zscore-within"]
        check(self.target_transform in transforms, "target_transform", self.target_transform, f"one of {', '.join(transforms)}")
        truth = column_or_1d(self._truth(study, y), dtype=np.float64, input_name="y", warn=True)
        assert_all_finite(truth, input_name="y")
        check_consistent_length(study.rows, truth)
        return self._fit(study, y, truth, self._target(), groups)

    def _target(self) -> RegressionTarget:
        """What is predicted, unfitted. InputError for parameters that do not fit each other."""
        check(self.loss_type in _LOSSES, "loss_type", self.loss_type, f"one of {', '.join(_LOSSES)}")
        check_asymmetry(self.loss_type, self.asymmetry)
        levels = () if self.quantiles is None else tuple(map(float, self.quantiles))
        if self.recipe == "transformer" and levels and self.loss_type != "quantile":
            raise InputError("`quantiles` of a transformer are learned: give `loss_type=quantile`, too")
        ends = (None, None) if self.output_range is None else tuple(self.output_range)
        check(len(ends) == 2, "output_range", self.output_range, "a lower and an upper end, None for an open one")
        low, high = (None if end is None else float(end) for end in ends)
        learned = {"loss_type": self.loss_type, "asymmetry": float(self.asymmetry), "quantiles": levels}
        return RegressionTarget(self.target_transform, low=low, high=high, **learned)

    def predict(self, X: Any) -> np.ndarray:
        """Predicted numbers [n], in the unit of y."""
        study = self._read(X)
        return self.fitted_.predict(study)

    def predict_interval(self, X: Any, coverage: float = COVERAGE) -> np.ndarray:
        """Lower and upper bounds [n, 2] that hold the truth of a sample of a new group with probability `coverage`, 0.5 to 0.99.

        InputError where too few groups were fitted to, and for a transformer, none of whose samples are held out for this.
        """
        limit, predicted = self._limit(coverage), self.predict(X)
        target = self.fitted_.target.target
        return np.column_stack([*target.interval_table(predicted, limit).values()])

    def predict_quantiles(self, X: Any) -> np.ndarray:
        """Quantiles [n, Q] at the levels `quantiles`: they rise, and the median is the prediction.

        An ensemble takes them from its errors on groups that its members did not learn from; a transformer learns them. InputError
        for an estimator without `quantiles`, and where too few groups were fitted to.
        """
        return self.fitted_.quantiles(self._read(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Coefficient of determination R2 of the predictions; with a study, y may name a column of its metadata."""
        study = self._read(X)
        return super().score(study, self._truth(study, y), sample_weight)

    def _take(self, target: Target, folder: str | Path) -> None:
        if not isinstance(target, RegressionTarget):
            raise InputError(f"`folder={folder}`: this model predicts classes; use AAMClassifier")
        self.target_transform = target.transform
        self.asymmetry = target.asymmetry
        self.loss_type, self.quantiles = target.loss_type, target.quantiles or None
        self.output_range = None if (target.low, target.high) == (None, None) else (target.low, target.high)
