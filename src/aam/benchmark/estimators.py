"""Models of others in a benchmark: any scikit-learn estimator, by where Python finds it."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args

import numpy as np

from aam.errors import InputError, first_few, one_line
from aam.learners.baselines import FEATURES, Baseline, Predict, beside, fit_model, piped, predict_with, read_of
from aam.study.problem import Problem
from aam.study.study import Study
from aam.study.targets import Kind

# Packages offer estimators under names of their own in this group of entry points.
ENTRY_POINTS = "aam.baselines"
_KEYS = ("make", "features", "options")
_KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Estimator:
    """What makes an estimator: a class or function, by its import path (`sklearn.svm.SVC`) or the name of an entry point, for each
    kind of target or for both; features: what it reads of the ASVs that 1 % of the training samples have; options: its arguments.

    A function that has an argument `kind` is told "regression" or "classification". Where `random_state` is None, it is the seed.
    """

    make: Mapping[Kind, str]
    features: str = "shares"
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, given: object, where: str) -> Estimator:
        """Of what YAML gives: a text, or make, features and options. InputError for what cannot be imported or made."""
        about = {"make": given} if isinstance(given, str) else given
        if not isinstance(about, dict) or not set(about) <= set(_KEYS) or "make" not in about:
            raise InputError(f"{where}: must be an import path, or have `make` and may have `features` and `options`")
        make = about["make"]
        if isinstance(make, str):
            make = dict.fromkeys(_KINDS, make)
        if not isinstance(make, dict) or not make or not set(make) <= set(_KINDS) or not all(map(_is_text, make.values())):
            raise InputError(f"{where}: make: must be an import path, or one for each of {' and '.join(_KINDS)}")
        features, options = about.get("features", "shares"), about.get("options", {})
        if features not in FEATURES:
            raise InputError(f"{where}: features: must be one of {', '.join(FEATURES)}, not {features!r:.60}")
        if not isinstance(options, dict):
            raise InputError(f"{where}: options: must hold `name: value` lines, not {options!r:.60}")
        kinds = {kind: found for kind, found in cls(make, features, options)._kinds(where).items() if found}
        if not kinds:
            raise InputError(f"{where}: make: {first_few(sorted(set(make.values())))}: is no regressor and no classifier")
        return cls({kind: make[kind] for kind in kinds}, features, options)

    def _kinds(self, where: str) -> dict[Kind, bool]:
        """Whether it is an estimator of each kind. InputError for one that cannot be compared."""
        found: dict[Kind, bool] = {}
        for kind in self.make:
            try:
                estimator = self.made(kind, 0)
            except InputError as error:
                raise InputError(f"{where}: {error}") from error
            if not all(callable(getattr(estimator, name, None)) for name in ("fit", "predict", "get_params")):
                raise InputError(f"{where}: make: {self.make[kind]}: makes a {type(estimator).__name__}, which is no estimator")
            found[kind] = _is_of(estimator, kind)
            if found[kind] and kind == "classification" and not hasattr(estimator, "predict_proba"):
                raise InputError(
                    f"{where}: make: {self.make[kind]}: has no predict_proba, and models are compared by probabilities"
                )
        return found

    def made(self, kind: Kind, seed: int) -> Any:
        """The estimator, unfitted. InputError where it is not to be had."""
        make = _found(self.make[kind])
        options = dict(self.options)
        try:
            if "kind" in inspect.signature(make).parameters:
                options["kind"] = kind
            estimator = make(**options)
            # A seed that is given stays.
            if hasattr(estimator, "get_params") and estimator.get_params().get("random_state", seed) is None:
                estimator.set_params(random_state=seed)
        except Exception as error:
            raise InputError(f"make: {self.make[kind]}: {type(error).__name__}: {one_line(error)}") from error
        return estimator

    def source(self, kind: Kind) -> str:
        """Hash of the file that makes it, so that a model that was changed is another one; empty for what has no source."""
        path = inspect.getsourcefile(inspect.unwrap(_found(self.make[kind])))
        return "" if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()

    def learner(self, seed: int) -> Baseline:
        """As a model of a benchmark."""
        return Baseline(self._fit, seed)

    def _fit(self, problem: Problem, rows: np.ndarray, settings: Baseline) -> Predict:
        target = problem.target
        estimator = self.made(target.kind, settings.seed)
        model = beside(piped(FEATURES[self.features], estimator), problem.covariates.width)
        try:
            fit_model(model, read_of(problem, problem.study)[rows], problem.truth[rows], final=True)
        except Exception as error:
            raise InputError(f"{type(error).__name__}: {one_line(error)}") from error

        def predict(study: Study, asked: np.ndarray) -> np.ndarray:
            try:
                return predict_with(model, target, read_of(problem, study)[asked])
            except Exception as error:
                raise InputError(f"{type(error).__name__}: {one_line(error)}") from error

        return predict


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_of(estimator: Any, kind: Kind) -> bool:
    from sklearn.base import is_classifier, is_regressor

    return bool(is_classifier(estimator) if kind == "classification" else is_regressor(estimator))


def _found(path: str) -> Callable[..., Any]:
    """What an import path or the name of an entry point stands for."""
    if "." not in path and ":" not in path:
        offered = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        if path not in offered:
            names = f"installed are {first_few(sorted(offered))}" if offered else "none is installed"
            raise InputError(f"make: {path}: is no import path, and no entry point of the group {ENTRY_POINTS} ({names})")
        path = offered[path].value
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise InputError(f"make: {path}: cannot be imported: {one_line(error)}") from error
    if not callable(found):
        raise InputError(f"make: {path}: makes nothing: name a class or a function")
    return found
