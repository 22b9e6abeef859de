"""The models that people in the field use: trivial ones, linear models, trees, nearest neighbours.

They are fitted and chosen inside the training samples, and are there to be compared with: they are not saved.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_absolute_error
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from aam.ensemble.linear import centred_log_ratio, covariate_scale
from aam.ensemble.trees import boosting_leaf
from aam.errors import InputError
from aam.options import ModelOptions
from aam.saved.fitted import Fitted
from aam.saved.info import ModelInfo, TargetInfo
from aam.study.folds import INNER_FOLDS, inner_folds
from aam.study.problem import Problem
from aam.study.study import Study
from aam.study.targets import Kind, RegressionTarget, Target

log = logging.getLogger(__name__)

# An ASV in fewer of the training samples than this share, or than two of them, is left out.
_PREVALENCE = 0.01
_TREES, _TREES_TO_CHOOSE = 300, 100
_BOOSTS = 200
_DOUBT = 0.02
_NEIGHBOURS = (3, 5, 10, 20)
_PENALTIES = tuple(10.0**power for power in range(-3, 4))

# Predicts some rows of a study.
Predict = Callable[[Study, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class FittedBaseline(Fitted):
    """A fitted baseline."""

    info: ModelInfo
    said: Predict

    def predict(self, study: Study, rows: np.ndarray | None = None) -> np.ndarray:
        return self.said(study, study.rows if rows is None else rows)

    def save(self, folder: str | Path) -> None:
        raise InputError(
            "a baseline is there to be compared with, and is not saved: a model of scikit-learn would be saved as code"
        )


@dataclass(frozen=True)
class Baseline:
    """A learner by what it fits to the samples `rows` of a problem; jobs: threads."""

    fitting: Callable[[Problem, np.ndarray, Baseline], Predict]
    seed: int = 0
    jobs: int = 1

    def fit(self, problem: Problem, rows: np.ndarray) -> FittedBaseline:
        """Fit to the samples `rows`."""
        posed = problem.learnable_by(rows)
        info = ModelInfo(ModelOptions(), problem.study.reads, target=TargetInfo(posed.column, posed.target, posed.covariates))
        # Matrices this small take two threads longer than one.
        with threadpool_limits(1, user_api="blas"):
            return FittedBaseline(info, self.fitting(posed, rows, self))


class Prevalent(TransformerMixin, BaseEstimator):
    """Keep the ASVs that enough of the training samples have: sparse [n, M] -> dense float32 [n, kept]."""

    def fit(self, x: sparse.csr_array, y: object = None) -> Prevalent:
        present = np.bincount(x.indices, minlength=x.shape[1])
        self.kept_ = np.flatnonzero(present >= min(present.max(), max(2.0, _PREVALENCE * x.shape[0])))
        return self

    def transform(self, x: sparse.csr_array) -> np.ndarray:
        return x[:, self.kept_].toarray().astype(np.float32)


class Beside(TransformerMixin, BaseEstimator):
    """Columns of ASVs through `features` (None: left out), and the last `covariates` columns behind them, scaled so that together
    they weigh in a penalty as much as all others: sparse [n, M + K] -> dense [n, kept + K].
    """

    def __init__(self, features: Pipeline | None, covariates: int) -> None:
        self.features, self.covariates = features, covariates

    def fit(self, x: sparse.csr_array, y: object = None) -> Beside:
        asvs, design = self._parts(x)
        self.features_ = None if self.features is None else clone(self.features).fit(asvs)
        self.scale_ = 1.0 if self.features_ is None else covariate_scale(self.features_.transform(asvs), design)
        return self

    def transform(self, x: sparse.csr_array) -> np.ndarray:
        asvs, design = self._parts(x)
        return design if self.features_ is None else np.hstack([self.features_.transform(asvs), self.scale_ * design])

    def _parts(self, x: sparse.csr_array) -> tuple[sparse.csr_array, np.ndarray]:
        end = x.shape[1] - self.covariates
        return x[:, :end], x[:, end:].toarray()


def beside(model: Pipeline, covariates: int, *, alone: bool = False) -> Pipeline:
    """The same model, which also reads the last `covariates` columns as they are; alone: these and nothing else."""
    return make_pipeline(Beside(None if alone else model[:-1], covariates), model[-1]) if covariates else model


_PRESENCE = (Prevalent(), FunctionTransformer(np.sign))
_CLR = (Prevalent(), FunctionTransformer(centred_log_ratio), StandardScaler(with_std=False))
_HELLINGER = (Prevalent(), FunctionTransformer(np.sqrt))
# What a model reads of the ASVs, by name.
FEATURES: Mapping[str, tuple[Any, ...]] = {
    "shares": (Prevalent(),),
    "presence": _PRESENCE,
    "clr": _CLR,
    "hellinger": _HELLINGER,
}
# For a kind of target, and a number of training samples.
_CANDIDATES = Callable[[Kind, Baseline, int], list[Any]]


def _linear(features: tuple[Any, ...]) -> _CANDIDATES:
    def candidates(kind: Kind, settings: Baseline, n: int) -> list[Any]:
        make: dict[Kind, Callable[[float], Any]] = {
            "regression": lambda penalty: Ridge(alpha=penalty * 100),
            "classification": lambda penalty: LogisticRegression(C=1 / penalty, max_iter=1000, class_weight="balanced"),
        }
        return [piped(features, make[kind](penalty)) for penalty in _PENALTIES]

    return candidates


def piped(features: tuple[Any, ...], model: Any) -> Pipeline:
    """A model behind what it reads."""
    return make_pipeline(*(clone(step) for step in features), model)


_TREE_MODELS: dict[tuple[str, Kind], Any] = {
    ("forest", "regression"): RandomForestRegressor,
    ("forest", "classification"): RandomForestClassifier,
    ("extra", "regression"): ExtraTreesRegressor,
    ("extra", "classification"): ExtraTreesClassifier,
}
# Classes count alike; a number is judged by its absolute error, as models are compared.
_BALANCED: dict[Kind, dict[str, Any]] = {"regression": {}, "classification": {"class_weight": "balanced"}}


def _forests(name: str, features: tuple[Any, ...], number: Callable[[], int]) -> _CANDIDATES:
    """`max_features` the square root or a third of the features."""

    def candidates(kind: Kind, settings: Baseline, n: int) -> list[Any]:
        about = {"n_estimators": number(), "random_state": settings.seed, "n_jobs": settings.jobs, **_BALANCED[kind]}
        return [piped(features, _TREE_MODELS[name, kind](max_features=most, **about)) for most in ("sqrt", 1 / 3)]

    return candidates


def _boosting(kind: Kind, settings: Baseline, n: int) -> list[Any]:
    rounds = {"max_iter": _BOOSTS, "learning_rate": 0.06, "early_stopping": False}
    about: dict[str, Any] = {**rounds, "min_samples_leaf": boosting_leaf(n), "random_state": settings.seed}
    models: dict[Kind, Callable[[], Any]] = {
        "regression": lambda: HistGradientBoostingRegressor(loss="absolute_error", **about),
        "classification": lambda: HistGradientBoostingClassifier(class_weight="balanced", **about),
    }
    return [piped((Prevalent(),), models[kind]())]


def _probabilities(model: Any, target: Target, x: Any) -> np.ndarray:
    """Of all classes, those that the model did not see being 0."""
    probabilities = np.zeros((x.shape[0], target.outputs))
    probabilities[:, model.classes_] = model.predict_proba(x)
    # In single precision they do not quite add up.
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def predict_with(model: Any, target: Target, x: Any) -> np.ndarray:
    """What a fitted scikit-learn model says of x: numbers, which leave the range as little as AAM's do, or class probabilities."""
    if isinstance(target, RegressionTarget):
        return target.within(np.asarray(model.predict(x), dtype=np.float64))
    return _probabilities(model, target, x)


def loss_of(target: Target, true: np.ndarray, predicted: np.ndarray) -> float:
    """What models are chosen by inside a training part: mean absolute error, or the log loss of balanced classes."""
    if target.kind == "regression":
        return float(mean_absolute_error(true, predicted))
    members = np.bincount(true, minlength=target.outputs).clip(min=1)
    # A probability of exactly 0, as of a few neighbours, would outweigh everything else.
    doubted = (1 - _DOUBT) * predicted + _DOUBT / target.outputs
    return float(log_loss(true, doubted, labels=range(target.outputs), sample_weight=1 / members[true]))


def fit_model(model: Any, x: Any, truth: np.ndarray, *, final: bool) -> Any:
    """Fit a scikit-learn model. One that stops before its optimum is judged by what it predicts, as all are: it is said of a
    `final` one only.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = model.fit(x, truth)
    early = [warning for warning in caught if issubclass(warning.category, ConvergenceWarning)]
    for warning in caught:
        if warning not in early:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if early and final:
        log.warning("%s stopped before its optimum: its score may be too low", type(model[-1]).__name__)
    return fitted


def read_of(problem: Problem, study: Study) -> sparse.csr_array:
    """What models read of the samples of a study: shares of the ASVs, and the covariates behind them, CSR [N, M + K]."""
    design = problem.design if study is problem.study else problem.covariates.of_samples(study.full_metadata)
    return study.shares if design is None else sparse.csr_array(sparse.hstack([study.shares, sparse.csr_array(design)]))


def choose(candidates: list[Any], problem: Problem, rows: np.ndarray, seed: int) -> int:
    """Number of the candidate with the least loss on inner folds of the samples `rows`."""
    if len(candidates) == 1:
        return 0
    losses, x = np.zeros(len(candidates)), read_of(problem, problem.study)
    for learn, judge in inner_folds(rows, INNER_FOLDS, seed, groups=problem.groups, labels=problem.labels):
        learned, judged = rows[learn], rows[judge]
        for number, candidate in enumerate(candidates):
            model = fit_model(clone(candidate), x[learned], problem.truth[learned], final=False)
            predicted = predict_with(model, problem.target, x[judged])
            losses[number] += loss_of(problem.target, problem.truth[judged], predicted) * len(judged)
    return int(losses.argmin())


def tuned(
    make: _CANDIDATES, finally_: _CANDIDATES | None = None, *, alone: bool = False
) -> Callable[[Problem, np.ndarray, Baseline], Predict]:
    """The best of some candidates, by inner folds; what is fitted then comes from `finally_` where that is given: larger models.
    They read the covariates, too; alone: these and no microbes.
    """

    def fitting(problem: Problem, rows: np.ndarray, settings: Baseline) -> Predict:
        target, width = problem.target, problem.covariates.width

        def candidates(source: _CANDIDATES) -> list[Any]:
            return [beside(model, width, alone=alone) for model in source(target.kind, settings, len(rows))]

        chosen = choose(candidates(make), problem, rows, settings.seed)
        model = candidates(finally_ or make)[chosen]
        fit_model(model, read_of(problem, problem.study)[rows], problem.truth[rows], final=True)
        return lambda study, asked: predict_with(model, target, read_of(problem, study)[asked])

    return fitting


def _of_covariates(kind: Kind, settings: Baseline, n: int) -> list[Any]:
    """Linear models and a forest."""
    few = {"min_samples_leaf": 5, "n_estimators": _TREES_TO_CHOOSE, "random_state": settings.seed, "n_jobs": settings.jobs}
    forest = _TREE_MODELS["forest", kind](**few, **_BALANCED[kind])
    return [*_linear((Prevalent(),))(kind, settings, n), piped((Prevalent(),), forest)]


def trees(name: str, features: tuple[Any, ...]) -> Callable[[Problem, np.ndarray, Baseline], Predict]:
    """Random forest or extra trees."""
    return tuned(_forests(name, features, lambda: _TREES_TO_CHOOSE), _forests(name, features, lambda: _TREES))


def trivial(problem: Problem, rows: np.ndarray, settings: Baseline) -> Predict:
    """The training samples' median, or their shares of the classes."""
    return lambda study, asked: problem.target.trivial(problem.truth[rows], len(asked))


def by_confounder(problem: Problem, rows: np.ndarray, settings: Baseline) -> Predict:
    """The trivial prediction within the confounder's level of each sample; over all where training lacks the level."""
    levels = problem.confounder

    def predict(study: Study, asked: np.ndarray) -> np.ndarray:
        if levels is None or study is not problem.study:
            raise InputError("the confounder is known of the samples of this study only")
        predicted = problem.target.trivial(problem.truth[rows], len(asked))
        for level in set(levels[asked]):
            here, there = rows[levels[rows] == level], levels[asked] == level
            if len(here):
                predicted[there] = problem.target.trivial(problem.truth[here], int(there.sum()))
        return predicted

    return predict


def nearest_neighbours(problem: Problem, rows: np.ndarray, settings: Baseline) -> Predict:
    """k nearest samples by UniFrac, k by inner folds."""
    kinds: dict[Kind, Any] = {"regression": KNeighborsRegressor, "classification": KNeighborsClassifier}
    # Equal samples are at 0, and not at what sums of other orders, as other samples in the table make them, leave of it.
    target, distances = problem.target, problem.study.distances.round(12)

    def predict(k: int, learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
        model = kinds[target.kind](n_neighbors=min(k, len(learned)), metric="precomputed", weights="distance")
        model.fit(distances[np.ix_(learned, learned)], problem.truth[learned])
        return predict_with(model, target, distances[np.ix_(asked, learned)])

    losses = dict.fromkeys(_NEIGHBOURS, 0.0)
    for learn, judge in inner_folds(rows, INNER_FOLDS, settings.seed, groups=problem.groups, labels=problem.labels):
        for k in _NEIGHBOURS:
            predicted = predict(k, rows[learn], rows[judge])
            losses[k] += loss_of(target, problem.truth[rows[judge]], predicted) * len(judge)
    chosen = min(losses, key=lambda k: losses[k])

    def said(study: Study, asked: np.ndarray) -> np.ndarray:
        if study is not problem.study:
            raise InputError("distances are known between the samples of this study only")
        return predict(chosen, rows, asked)

    return said


COVARIATES = "covariates alone"
_LINEAR: dict[Kind, str] = {"regression": "ridge", "classification": "logistic regression"}


def baselines_of(problem: Problem, seed: int, jobs: int) -> Mapping[str, Baseline]:
    """By the name that tables and plots have; in the order in which they are shown, trivial ones first."""
    linear, constant = _LINEAR[problem.target.kind], problem.target.trivial_name
    found: dict[str, Callable[[Problem, np.ndarray, Baseline], Predict]] = {constant: trivial}
    if problem.confounder is not None:
        found[level_name(problem.target)] = by_confounder
    if problem.covariates.columns:
        found[COVARIATES] = tuned(_of_covariates, alone=True)
    found |= {
        f"{linear}, presence": tuned(_linear(_PRESENCE)),
        f"{linear}, CLR": tuned(_linear(_CLR)),
        "random forest": trees("forest", (Prevalent(),)),
        "extra trees": trees("extra", _HELLINGER),
        "gradient boosting": tuned(_boosting),
    }
    if problem.study.distance is not None:
        found["nearest neighbours, UniFrac"] = nearest_neighbours
    return {name: Baseline(fitting, seed, jobs) for name, fitting in found.items()}


def level_name(target: Target) -> str:
    """Name of the trivial prediction within each level of a confounder."""
    return f"{target.trivial_name} of each level"


def is_trivial(name: str) -> bool:
    """Whether a baseline of this name says the same of all samples, or of all of a level."""
    return name.startswith(("median", "class shares"))
