"""The members: each learns from some samples of a table and predicts others, in training units or as class probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

import numpy as np
import torch
from scipy.special import softmax

from aam.ensemble.catalogue import SeenTable
from aam.ensemble.kernels import KernelInputs, KernelModel, Shares, Uses, fit_kernels, shares_of
from aam.ensemble.linear import LinearModel, View, choose_penalty, fit_linear, seen_by
from aam.ensemble.network_of_0_1 import LayeredNetworkMember
from aam.ensemble.set_network import run_networks
from aam.ensemble.training import Training
from aam.ensemble.trees import LeafValues, Trees, boosting_leaf, of_boosting, of_forest
from aam.models.set_networks import SetNetworks
from aam.options import ModelOptions
from aam.study.folds import INNER_FOLDS, inner_folds
from aam.study.problem import Problem
from aam.study.targets import Kind

# Of version 0.1.0 is "identity", a kernel model of presence.
MemberName = Literal["network", "presence", "ratio", "identity", "sequence", "wide", "forest", "extra", "boosting"]
# What each kernel model looks at: which sequences there are; presence, abundance and sequences.
KERNELS: dict[MemberName, Uses] = {"sequence": (False, False, True), "wide": (True, True, True)}
LINEAR: tuple[View, ...] = ("presence", "ratio")
WITHOUT_TREES: tuple[MemberName, ...] = ("network", *LINEAR, *KERNELS)
# Those that need no ASV to be known.
NEED_NO_IDENTITY: tuple[MemberName, ...] = ("network", "sequence")
# Those that need no sequences.
TreesName = Literal["forest", "extra", "boosting"]
TREES: tuple[TreesName, ...] = ("forest", "extra", "boosting")
NEED_NO_SEQUENCE: tuple[MemberName, ...] = (*LINEAR, *TREES)
MEMBERS: tuple[MemberName, ...] = (*WITHOUT_TREES, *TREES)
Arrays = dict[str, np.ndarray]
Link = Literal["none", "softmax", "sigmoid", "median"]
# A weight that set networks of version 0.1.0 have.
_OF_0_1 = "head.4.bias"
# By the number that stands for each in a model folder.
_LINKS: tuple[Link, ...] = ("none", "softmax", "sigmoid", "median")


class Member(Protocol):
    """A fitted one."""

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        """Training units [rows], or class probabilities [rows, K]."""

    def arrays(self) -> Arrays:
        """All that it is, to be saved."""

    def require_fit(self, width: int, known: int, outputs: int, covariates: int) -> None:
        """ValueError or RuntimeError for arrays that are no such member of ASV vectors [width], `known` ASVs, `outputs` and
        columns of covariates.
        """


@dataclass(frozen=True, eq=False)
class NetworkMember:
    """A set network. weights: of one of `SetNetworks`, by name."""

    weights: Arrays

    @classmethod
    def fit(cls, training: Training, parts: Sequence[np.ndarray]) -> list[NetworkMember]:
        """One for each of some parts of the samples."""
        # With an optimiser, which prediction has no need of.
        from aam.ensemble.network_training import train_networks

        apart = train_networks(training, parts).apart()
        return [cls({name: weight.numpy() for name, weight in weights.items()}) for weights in apart]

    @classmethod
    def of(cls, arrays: Arrays, options: ModelOptions) -> Member:
        return LayeredNetworkMember(arrays, options) if _OF_0_1 in arrays else cls(arrays)

    def network(self) -> SetNetworks:
        return SetNetworks.of({name: torch.tensor(weight) for name, weight in self.weights.items()}).eval()

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        said = run_networks(self.network(), table, rows)[0]
        return said if said.shape[1] > 1 else said[:, 0]

    def arrays(self) -> Arrays:
        return self.weights

    def require_fit(self, width: int, known: int, outputs: int, covariates: int) -> None:
        weights = self.network().state_dict()
        sizes = (weights["project.weight"].shape[:2], weights["identity"].shape[1], weights["head.bias"].shape[2])
        beside = weights["covariates"].shape[1] if "covariates" in weights else 0
        if (*sizes, beside) != ((1, width), known + 1, outputs, covariates) or not (weights["typical_size"] > 0).all():
            raise ValueError("a network is of other ASVs or outputs")


@dataclass(frozen=True, eq=False)
class KernelMember:
    """A kernel model, whose scores of classes are taken as logits."""

    model: KernelModel

    @classmethod
    def fit(cls, training: Training, rows: np.ndarray, shares: Shares) -> KernelMember:
        problem, inputs = training.problem, KernelInputs.of(training.table).rows(rows)
        most = training.options.kernel_max_samples
        return cls(fit_kernels(inputs, problem.learned[rows], shares, problem.classes, most, training.seed))

    @classmethod
    def of(cls, arrays: Arrays, options: ModelOptions) -> KernelMember:
        # Those of version 0.1.0 read no covariates.
        by_design = np.zeros((0, *arrays["shift"].shape))
        return cls(KernelModel(**{"by_design": by_design, **arrays}))

    @staticmethod
    def choose(training: Training, rows: np.ndarray, uses: Uses) -> Shares:
        """How much each kernel counts, chosen on the samples `rows`."""
        problem, inputs = training.problem, KernelInputs.of(training.table).rows(rows)
        known = (problem.learned[rows], problem.groups_of(rows), problem.classes)
        return shares_of(inputs, uses, *known, training.options.kernel_tuning_samples, training.seed)

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        scores = self.model.predict(KernelInputs.of(table).rows(rows))
        return softmax(scores, axis=1) if scores.shape[1] > 1 else scores[:, 0]

    def arrays(self) -> Arrays:
        return vars(self.model)

    def require_fit(self, width: int, known: int, outputs: int, covariates: int) -> None:
        model = self.model
        per_asv, per_width = (
            (model.by_presence.shape, model.by_abundance.shape),
            (model.landmarks.shape[1:], model.place_mean.shape),
        )
        places = model.by_place.shape == (len(model.landmarks), outputs) and model.by_design.shape == (covariates, outputs)
        fits = per_asv == ((known, outputs),) * 2 and per_width == ((width,),) * 2 and model.shift.shape == (outputs,) and places
        if not fits or model.reach <= 0:
            raise ValueError("a kernel model is of other ASVs or outputs")


@dataclass(frozen=True, eq=False)
class LinearMember:
    """A linear model of which ASVs are there, or of their log-ratios."""

    model: LinearModel
    view: View

    @classmethod
    def fit(cls, training: Training, rows: np.ndarray, view: View, penalty: float) -> LinearMember:
        problem, kept = training.problem, prevalent(training, rows)
        x = _with_covariates(seen_by(view, training.table.known_shares[rows], kept), training.table, rows)
        return cls(fit_linear(x, kept, problem.learned[rows], problem.classes, penalty, class_weights(problem, rows)), view)

    @classmethod
    def of(cls, arrays: Arrays, options: ModelOptions) -> LinearMember:
        return cls(LinearModel(arrays["kept"], arrays["weights"], arrays["shift"]), LINEAR[int(arrays["view"])])

    @staticmethod
    def choose(training: Training, rows: np.ndarray, view: View) -> float:
        """The penalty, chosen on the samples `rows`."""
        problem = training.problem
        parts = inner_folds(rows, INNER_FOLDS, training.seed, groups=problem.groups, labels=problem.labels)
        table = training.table
        x = _with_covariates(seen_by(view, table.known_shares[rows], prevalent(training, rows)), table, rows)
        weights = class_weights(problem, rows)
        return choose_penalty(x, problem.learned[rows], parts, problem.classes, table.covariates, weights)

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        return self.model.predict(_with_covariates(seen_by(self.view, table.known_shares[rows], self.model.kept), table, rows))

    def arrays(self) -> Arrays:
        return {**vars(self.model), "view": np.array(LINEAR.index(self.view))}

    def require_fit(self, width: int, known: int, outputs: int, covariates: int) -> None:
        kept, weights = self.model.kept, self.model.weights
        if (
            weights.shape != (len(kept) + covariates, outputs)
            or self.model.shift.shape != (outputs,)
            or not _are_places(kept, known)
        ):
            raise ValueError("a linear model is of other ASVs or outputs")


def class_weights(problem: Problem, rows: np.ndarray) -> Any:
    """What scikit-learn is told of the weights of classes; None for a number."""
    return problem.target.weights_for_sklearn(problem.learned[rows])


def prevalent(training: Training, rows: np.ndarray) -> np.ndarray:
    """Places among the known ASVs of those that enough of the samples `rows` have."""
    shares = training.table.known_shares[rows]
    present = np.bincount(shares.indices, minlength=shares.shape[1])
    return np.flatnonzero(present >= min(present.max(initial=0), max(2.0, training.options.tree_prevalence * len(rows))))


def _with_covariates(x: np.ndarray, table: SeenTable, rows: np.ndarray) -> np.ndarray:
    """What a member reads of the ASVs of samples, [rows, kept], with the covariates behind it, [rows, kept + K]."""
    return x if table.design is None else np.hstack([x, table.design_of(rows)])


def _are_places(kept: np.ndarray, known: int) -> bool:
    return kept.dtype.kind in "iu" and bool((kept >= 0).all() and (kept < known).all())


@dataclass(frozen=True, eq=False)
class TreesMember:
    """Trees on a `power` of the shares of the ASVs `kept`, places among the known, and on covariates; `link`: what makes
    predictions of their sums, or of the targets in their `leaves`; `outputs`: of all, `learned` the places of those that the
    training samples have.
    """

    trees: Trees
    kept: np.ndarray
    link: Link
    outputs: int
    learned: np.ndarray
    leaves: LeafValues | None = None
    power: float = 1.0

    @classmethod
    def fit(cls, training: Training, rows: np.ndarray, kind: TreesName) -> TreesMember:
        problem, kept, power = training.problem, prevalent(training, rows), _POWERS[kind]
        x, model = _features(training.table, rows, kept, power), unfitted_trees(kind, training, rows)
        model.fit(x, problem.learned[rows])
        learned = getattr(model, "classes_", np.zeros(1, dtype=np.int64))
        about = (problem.target.outputs, learned)
        if kind == "boosting":
            trees = of_boosting(model)
            link: Link = "none" if problem.classes is None else "softmax"
            return cls(trees, kept, "sigmoid" if len(learned) > trees.value.shape[1] else link, *about)
        trees = of_forest(model)
        if problem.classes is not None:
            return cls(trees, kept, "none", *about, power=power)
        # Of all samples, so that no leaf is empty, whichever of them its tree learned from.
        return cls(trees, kept, "median", *about, LeafValues.of(trees, x, problem.learned[rows]), power)

    @classmethod
    def of(cls, arrays: Arrays, options: ModelOptions) -> TreesMember:
        trees = Trees(**{field.name: arrays[field.name] for field in fields(Trees)})
        about = (arrays["kept"], _LINKS[int(arrays["link"])], int(arrays["outputs"]), arrays["learned"])
        leaves = LeafValues(arrays["levels"], arrays["leaf_start"], arrays["leaf_level"]) if "levels" in arrays else None
        # Trees of version 0.1.0 are on the shares themselves.
        return cls(trees, *about, leaves, float(arrays.get("power", 1.0)))

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        x = _features(table, rows, self.kept, self.power)
        if self.leaves is not None:
            return self.leaves.medians(self.trees, x)
        said = self.trees.predict(x)
        if self.outputs == 1:
            return said[:, 0]
        if self.link == "sigmoid":
            said = np.concatenate([np.zeros_like(said), said], axis=1)
        probabilities = np.zeros((len(rows), self.outputs))
        # Means over trees add up to 1 but for rounding.
        probabilities[:, self.learned] = said / said.sum(axis=1, keepdims=True) if self.link == "none" else softmax(said, axis=1)
        return probabilities

    def arrays(self) -> Arrays:
        about = {"link": np.array(_LINKS.index(self.link)), "outputs": np.array(self.outputs), "power": np.array(self.power)}
        leaves = self.leaves
        values = {} if leaves is None else {"levels": leaves.levels, "leaf_start": leaves.start, "leaf_level": leaves.level}
        return {**vars(self.trees), **values, **about, "kept": self.kept, "learned": self.learned}

    def require_fit(self, width: int, known: int, outputs: int, covariates: int) -> None:
        if self.outputs != outputs:
            raise ValueError("trees are of other outputs")
        trees, here = self.trees, np.arange(len(self.trees.feature))
        inner = trees.feature >= 0
        # Children after their node: no walk goes on for ever.
        below = all((side[inner] > here[inner]).all() and (side[inner] < len(here)).all() for side in (trees.left, trees.right))
        inside = (
            (trees.feature < len(self.kept) + covariates).all() and (trees.roots >= 0).all() and (trees.roots < len(here)).all()
        )
        # Each node below one other, or a root: all walks together pass each once.
        entered = np.concatenate([trees.left[inner], trees.right[inner], trees.roots])
        once = len(np.unique(entered)) == len(entered)
        whole = {len(part) for part in (trees.feature, trees.threshold, trees.left, trees.right, trees.value)} == {len(here)}
        if not (whole and once and below and inside and _are_places(self.kept, known)):
            raise ValueError("trees that lead nowhere")
        if (self.link == "median") != (self.leaves is not None) or self.power not in _POWERS.values():
            raise ValueError("trees without what makes predictions of them")
        if self.leaves is not None:
            self.leaves.require_fit(trees)


# Of the shares that trees are on: splits of extra trees are drawn at random between the smallest and the largest value.
_POWERS: dict[TreesName, float] = {"forest": 1.0, "extra": 0.5, "boosting": 1.0}
# Models are judged by the absolute error, and by classes that count alike.
_UNFITTED: dict[tuple[TreesName, Kind], tuple[str, dict[str, Any]]] = {
    ("forest", "regression"): ("RandomForestRegressor", {"max_features": 0.2, "min_samples_leaf": 2}),
    ("forest", "classification"): ("RandomForestClassifier", {"min_samples_leaf": 2}),
    ("extra", "regression"): ("ExtraTreesRegressor", {"max_features": 0.2, "min_samples_leaf": 2}),
    ("extra", "classification"): ("ExtraTreesClassifier", {}),
    ("boosting", "regression"): ("HistGradientBoostingRegressor", {"loss": "absolute_error"}),
    ("boosting", "classification"): ("HistGradientBoostingClassifier", {}),
}

# Of boosted trees: a third of the ASVs is tried for each split, and few thresholds: as good on most tables or better, and faster.
_SPLITS = {"max_features": 0.3, "max_bins": 63}


def _features(table: SeenTable, rows: np.ndarray, kept: np.ndarray, power: float) -> np.ndarray:
    """Shares of the ASVs `kept` to a power, and covariates behind them, float32 [rows, kept + K]."""
    x = table.known_shares[rows][:, kept].astype(np.float32).toarray()
    return _with_covariates(x if power == 1.0 else x**power, table, rows)


def unfitted_trees(kind: TreesName, training: Training, rows: np.ndarray) -> Any:
    """A model of scikit-learn for the training samples `rows`."""
    from sklearn import ensemble

    (name, settings), n = _UNFITTED[kind, training.problem.target.kind], len(rows)
    if training.problem.classes is not None:
        settings = {**settings, "class_weight": class_weights(training.problem, rows)}
    make = getattr(ensemble, name)
    options = training.options
    if kind == "boosting":
        rounds = {"max_iter": options.boosting_rounds, "learning_rate": options.boosting_lr, "early_stopping": False}
        return make(random_state=training.seed, min_samples_leaf=boosting_leaf(n), **rounds, **_SPLITS, **settings)
    # Extra trees learn from all samples, unless there are too many.
    most = {"max_samples": options.forest_max_samples, "bootstrap": True} if n > options.forest_max_samples else {}
    return make(n_estimators=options.forest_trees, random_state=training.seed, **most, **settings)


KINDS: dict[str, type[NetworkMember] | type[LinearMember] | type[KernelMember] | type[TreesMember]] = {
    "network": NetworkMember,
    **dict.fromkeys(LINEAR, LinearMember),
    **dict.fromkeys(("identity", *KERNELS), KernelMember),
    **dict.fromkeys(TREES, TreesMember),
}
