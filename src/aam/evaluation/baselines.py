"""The models that people in the field use, fitted inside the training samples of a fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
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
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_absolute_error
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from aam.evaluation.folds import INNER_FOLDS, inner_folds

# An ASV in fewer of the training samples than this share, or than two of them, is left out.
_PREVALENCE = 0.01
_TREES, _TREES_TO_CHOOSE = 300, 100
_BOOSTS = 200
_DOUBT = 0.02
_NEIGHBOURS = (3, 5, 10, 20)
_PENALTIES = tuple(10.0**power for power in range(-3, 4))


@dataclass(frozen=True, eq=False)
class Task:
    """What is predicted, from what. Arrays are of all N samples.

    counts: CSR int64 [N, M]; truth: numbers, or class ids below `classes`; groups and confounder: labels or None; unifrac: computes
    the distances [N, N].
    """

    counts: sparse.csr_array
    truth: np.ndarray
    classes: int | None
    groups: np.ndarray | None
    confounder: np.ndarray | None
    unifrac: Callable[[], np.ndarray] | None
    seed: int
    jobs: int

    @property
    def labels(self) -> np.ndarray | None:
        """Class ids, None for a number."""
        return None if self.classes is None else self.truth

    @cached_property
    def shares(self) -> sparse.csr_array:
        """Reads of each ASV over all reads of its sample, CSR float64 [N, M]."""
        depths = np.asarray(self.counts.sum(axis=1)).ravel()
        return sparse.csr_array(sparse.diags_array(1 / depths) @ self.counts)

    @cached_property
    def distances(self) -> np.ndarray:
        """UniFrac of all pairs [N, N]."""
        assert self.unifrac is not None
        return self.unifrac()

    def one_hot(self, labels: np.ndarray) -> np.ndarray:
        """Class ids [n] as probabilities [n, K]."""
        assert self.classes is not None
        return np.eye(self.classes)[labels]


# Learns from the rows `train` and predicts the rows `test`: numbers [test], or class probabilities [test, K].
Learner = Callable[[Task, np.ndarray, np.ndarray], np.ndarray]


class Prevalent(TransformerMixin, BaseEstimator):
    """Keep the ASVs that enough of the training samples have: sparse [n, M] -> dense float32 [n, kept]."""

    def fit(self, x: sparse.csr_array, y: object = None) -> Prevalent:
        present = np.bincount(x.indices, minlength=x.shape[1])
        self.kept_ = np.flatnonzero(present >= min(present.max(), max(2.0, _PREVALENCE * x.shape[0])))
        return self

    def transform(self, x: sparse.csr_array) -> np.ndarray:
        return x[:, self.kept_].toarray().astype(np.float32)


def centred_log_ratio(shares: np.ndarray) -> np.ndarray:
    """CLR (Aitchison 1982) of shares [n, M], where 0 counts as half of the sample's smallest share."""
    smallest = np.where(shares > 0, shares, np.inf).min(axis=1, keepdims=True)
    logs = np.log(np.where(shares > 0, shares, np.where(np.isfinite(smallest), smallest, 1.0) / 2))
    return logs - logs.mean(axis=1, keepdims=True)


_PRESENCE = (Prevalent(), FunctionTransformer(np.sign))
_CLR = (Prevalent(), FunctionTransformer(centred_log_ratio), StandardScaler(with_std=False))
_HELLINGER = (Prevalent(), FunctionTransformer(np.sqrt))


def _linear(features: tuple[Any, ...], task: Task) -> list[Pipeline]:
    if task.classes is None:
        models: list[Any] = [Ridge(alpha=penalty * 100) for penalty in _PENALTIES]
    else:
        models = [LogisticRegression(C=1 / penalty, max_iter=1000, class_weight="balanced") for penalty in _PENALTIES]
    return [make_pipeline(*clone_all(features), model) for model in models]


def clone_all(steps: tuple[Any, ...]) -> list[Any]:
    """Unfitted copies."""
    return [clone(step) for step in steps]


def _trees(kind: str, features: tuple[Any, ...], task: Task, trees: int) -> list[Pipeline]:
    kinds = {
        "forest": (RandomForestRegressor, RandomForestClassifier),
        "extra": (ExtraTreesRegressor, ExtraTreesClassifier),
    }
    make = kinds[kind][task.classes is not None]
    settings: dict[str, Any] = {"n_estimators": trees, "random_state": task.seed, "n_jobs": task.jobs}
    if task.classes is not None:
        settings["class_weight"] = "balanced"
    return [make_pipeline(*clone_all(features), make(max_features=most, **settings)) for most in ("sqrt", 1 / 3)]


def _boosting(task: Task) -> list[Pipeline]:
    settings: dict[str, Any] = {"max_iter": _BOOSTS, "learning_rate": 0.06, "random_state": task.seed, "early_stopping": False}
    model: Any
    if task.classes is None:
        # What models are compared by.
        model = HistGradientBoostingRegressor(loss="absolute_error", **settings)
    else:
        model = HistGradientBoostingClassifier(class_weight="balanced", **settings)
    return [make_pipeline(Prevalent(), model)]


def predict_with(model: Any, task: Task, x: Any) -> np.ndarray:
    """What a fitted scikit-learn model says of x: numbers, or probabilities of all classes, those it did not see being 0."""
    if task.classes is None:
        return np.asarray(model.predict(x), dtype=np.float64)
    probabilities = np.zeros((x.shape[0], task.classes))
    probabilities[:, model.classes_] = model.predict_proba(x)
    # In single precision they do not quite add up.
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def loss_of(task: Task, true: np.ndarray, predicted: np.ndarray) -> float:
    """What models are chosen by inside a training part: mean absolute error, or the log loss of balanced classes."""
    if task.classes is None:
        return float(mean_absolute_error(true, predicted))
    members = np.bincount(true, minlength=task.classes).clip(min=1)
    # A probability of exactly 0, as of a few neighbours, would outweigh everything else.
    doubted = (1 - _DOUBT) * predicted + _DOUBT / task.classes
    return float(log_loss(true, doubted, labels=range(task.classes), sample_weight=1 / members[true]))


def choose(candidates: list[Any], task: Task, x: Any, train: np.ndarray) -> int:
    """Number of the candidate with the least loss on inner folds of the rows `train` of x."""
    if len(candidates) == 1:
        return 0
    losses = np.zeros(len(candidates))
    for learn, judge in inner_folds(train, INNER_FOLDS, task.seed, groups=task.groups, labels=task.labels):
        learned, judged = train[learn], train[judge]
        for number, candidate in enumerate(candidates):
            model = clone(candidate).fit(x[learned], task.truth[learned])
            predicted = predict_with(model, task, x[judged])
            losses[number] += loss_of(task, task.truth[judged], predicted) * len(judged)
    return int(losses.argmin())


def tuned(make: Callable[[Task], list[Any]], finally_: Callable[[Task], list[Any]] | None = None) -> Learner:
    """The best of some candidates, by inner folds; what is fitted then comes from `finally_` where that is given: larger models."""

    def learn(task: Task, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        chosen = choose(make(task), task, task.shares, train)
        model = (finally_ or make)(task)[chosen].fit(task.shares[train], task.truth[train])
        return predict_with(model, task, task.shares[test])

    return learn


def trees(kind: str, features: tuple[Any, ...]) -> Learner:
    """Forest or extra trees, `max_features` the square root or a third of the features."""
    return tuned(lambda task: _trees(kind, features, task, _TREES_TO_CHOOSE), lambda task: _trees(kind, features, task, _TREES))


def trivial(task: Task, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The training samples' median, or their shares of the classes."""
    return _constant(task, train, len(test))


def _constant(task: Task, rows: np.ndarray, number: int) -> np.ndarray:
    if task.classes is None:
        return np.full(number, np.median(task.truth[rows]))
    return np.tile(task.one_hot(task.truth[rows]).mean(axis=0), (number, 1))


def by_confounder(task: Task, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The trivial prediction within the confounder's level of each sample; over all where training lacks the level."""
    assert task.confounder is not None
    predicted = trivial(task, train, test)
    for level in set(task.confounder[test]):
        here, there = train[task.confounder[train] == level], task.confounder[test] == level
        if len(here):
            predicted[there] = _constant(task, here, int(there.sum()))
    return predicted


def nearest_neighbours(task: Task, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """k nearest samples by UniFrac, k by inner folds."""
    make = KNeighborsRegressor if task.classes is None else KNeighborsClassifier

    def predict(k: int, learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
        model = make(n_neighbors=min(k, len(learned)), metric="precomputed", weights="distance")
        model.fit(task.distances[np.ix_(learned, learned)], task.truth[learned])
        return predict_with(model, task, task.distances[np.ix_(asked, learned)])

    losses = dict.fromkeys(_NEIGHBOURS, 0.0)
    for learn, judge in inner_folds(train, INNER_FOLDS, task.seed, groups=task.groups, labels=task.labels):
        for k in _NEIGHBOURS:
            predicted = predict(k, train[learn], train[judge])
            losses[k] += loss_of(task, task.truth[train[judge]], predicted) * len(judge)
    return predict(min(losses, key=lambda k: losses[k]), train, test)


def baselines_of(task: Task) -> Mapping[str, Learner]:
    """By the name that tables and plots have; in the order in which they are shown, trivial ones first."""
    number = task.classes is None
    linear = "ridge" if number else "logistic regression"
    found: dict[str, Learner] = {"median" if number else "class shares": trivial}
    if task.confounder is not None:
        found["median of each level" if number else "class shares of each level"] = by_confounder
    found |= {
        f"{linear}, presence": tuned(lambda task: _linear(_PRESENCE, task)),
        f"{linear}, CLR": tuned(lambda task: _linear(_CLR, task)),
        "random forest": trees("forest", (Prevalent(),)),
        "extra trees": trees("extra", _HELLINGER),
        "gradient boosting": tuned(_boosting),
    }
    if task.unifrac is not None:
        found["nearest neighbours, UniFrac"] = nearest_neighbours
    return found


TRIVIAL = ("median", "class shares", "median of each level", "class shares of each level")
