"""The members: each learns from some samples of a table and predicts others, in training units or as class probabilities."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

import numpy as np
import torch
from scipy.special import softmax
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from aam.ensemble.catalogue import SeenTable
from aam.ensemble.lesson import Lesson
from aam.ensemble.network import OPTIONS, run_network, train_network
from aam.ensemble.trees import Trees, of_boosting, of_forest
from aam.ensemble.wide import Shares, Uses, WideInputs, WidePath, fit_wide
from aam.models import SampleNetwork

MemberName = Literal["network", "identity", "sequence", "wide", "forest", "boosting"]
# What each wide path looks at: which ASVs are there; which sequences; both, with abundances.
PATHS: dict[MemberName, Uses] = {"identity": (True, False, False), "sequence": (False, False, True), "wide": (True, True, True)}
NETWORKS: tuple[MemberName, ...] = ("network", *PATHS)
# Those that need no ASV to be known.
OF_SEQUENCES: tuple[MemberName, ...] = ("network", "sequence")
MEMBERS: tuple[MemberName, ...] = (*NETWORKS, "forest", "boosting")
Arrays = dict[str, np.ndarray]
Link = Literal["none", "softmax", "sigmoid"]
# By the number that stands for each in a model folder.
_LINKS: tuple[Link, ...] = ("none", "softmax", "sigmoid")

_TREES, _BOOSTS, _BOOST_RATE = 200, 200, 0.06
# Samples that one tree of a forest learns from, at most.
_MOST_FOR_A_TREE = 10_000
# An ASV in fewer of the training samples than this share, or than two of them, is no feature of trees.
_PREVALENCE = 0.01


class Member(Protocol):
    """A fitted one."""

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        """Training units [rows], or class probabilities [rows, K]."""

    def arrays(self) -> Arrays:
        """All that it is, to be saved."""

    def require_fit(self, width: int, known: int, outputs: int) -> None:
        """ValueError or RuntimeError for arrays that are no such member of ASV vectors [width], `known` ASVs, `outputs`."""


@dataclass(frozen=True, eq=False)
class NetworkMember:
    """The deep path. weights: those of a `SampleNetwork`, by name."""

    weights: Arrays

    @classmethod
    def fit(cls, lesson: Lesson, rows: np.ndarray) -> NetworkMember:
        network = train_network(lesson, rows, lesson.seed)
        return cls({name: tensor.numpy() for name, tensor in network.state_dict().items()})

    @classmethod
    def of(cls, arrays: Arrays) -> NetworkMember:
        return cls(arrays)

    def _empty(self) -> SampleNetwork:
        known, outputs = self.weights["identity.weight"].shape[0] - 1, self.weights["head.4.bias"].shape[0]
        return SampleNetwork(OPTIONS, self.weights["project.weight"].shape[1], known, outputs)

    def network(self) -> SampleNetwork:
        network = self._empty()
        network.load_state_dict({name: torch.tensor(value) for name, value in self.weights.items()})
        return network.eval()

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        said = run_network(self.network(), table, rows)
        return said if said.shape[1] > 1 else said[:, 0]

    def arrays(self) -> Arrays:
        return self.weights

    def require_fit(self, width: int, known: int, outputs: int) -> None:
        # Before memory is taken for one.
        with torch.device("meta"):
            network = self._empty()
        if {name: value.shape for name, value in network.state_dict().items()} != {
            name: value.shape for name, value in self.weights.items()
        }:
            raise ValueError("weights that are not those of a network")
        last = network.head[-1]
        if (network.project.in_features, network.identity.num_embeddings, last.out_features) != (width, known + 1, outputs):
            raise ValueError("a network is of other ASVs or outputs")


@dataclass(frozen=True, eq=False)
class WideMember:
    """A wide path, whose scores of classes are taken as logits."""

    path: WidePath

    @classmethod
    def fit(cls, lesson: Lesson, rows: np.ndarray, shares: Shares) -> WideMember:
        inputs = WideInputs.of(lesson.table).rows(rows)
        return cls(fit_wide(inputs, lesson.target[rows], shares, lesson.classes, lesson.seed))

    @classmethod
    def of(cls, arrays: Arrays) -> WideMember:
        return cls(WidePath(**arrays))

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        scores = self.path.predict(WideInputs.of(table).rows(rows))
        return softmax(scores, axis=1) if scores.shape[1] > 1 else scores[:, 0]

    def arrays(self) -> Arrays:
        return vars(self.path)

    def require_fit(self, width: int, known: int, outputs: int) -> None:
        path = self.path
        per_asv, per_width = (path.by_presence.shape, path.by_abundance.shape), (path.landmarks.shape[1:], path.place_mean.shape)
        places = path.by_place.shape == (len(path.landmarks), outputs)
        fits = per_asv == ((known, outputs),) * 2 and per_width == ((width,),) * 2 and path.shift.shape == (outputs,) and places
        if not fits or path.reach <= 0:
            raise ValueError("a wide path is of other ASVs or outputs")


@dataclass(frozen=True, eq=False)
class TreesMember:
    """Trees on the shares of the ASVs `kept`, places among the known; `link`: what makes predictions of their sums; `outputs`: of
    all, `learned` the places of those that the samples learned from have.
    """

    trees: Trees
    kept: np.ndarray
    link: Link
    outputs: int
    learned: np.ndarray

    @classmethod
    def fit(cls, lesson: Lesson, rows: np.ndarray, kind: Literal["forest", "boosting"]) -> TreesMember:
        shares = lesson.table.known_shares[rows]
        present = np.bincount(shares.indices, minlength=shares.shape[1])
        kept = np.flatnonzero(present >= min(present.max(initial=0), max(2.0, _PREVALENCE * len(rows))))
        x, model = shares[:, kept].astype(np.float32).toarray(), _trees(kind, lesson, len(rows))
        model.fit(x, lesson.target[rows])
        learned = np.zeros(1, dtype=np.int64) if lesson.classes is None else model.classes_
        about = (lesson.outputs, learned)
        if kind == "forest":
            return cls(of_forest(model), kept, "none", *about)
        trees = of_boosting(model)
        link: Link = "none" if lesson.classes is None else "softmax"
        return cls(trees, kept, "sigmoid" if len(learned) > trees.value.shape[1] else link, *about)

    @classmethod
    def of(cls, arrays: Arrays) -> TreesMember:
        trees = Trees(**{field.name: arrays[field.name] for field in fields(Trees)})
        return cls(trees, arrays["kept"], _LINKS[int(arrays["link"])], int(arrays["outputs"]), arrays["learned"])

    def predict(self, table: SeenTable, rows: np.ndarray) -> np.ndarray:
        said = self.trees.predict(table.known_shares[rows][:, self.kept].astype(np.float32).toarray())
        if self.outputs == 1:
            return said[:, 0]
        if self.link == "sigmoid":
            said = np.concatenate([np.zeros_like(said), said], axis=1)
        probabilities = np.zeros((len(rows), self.outputs))
        probabilities[:, self.learned] = said if self.link == "none" else softmax(said, axis=1)
        return probabilities

    def arrays(self) -> Arrays:
        link = np.array(_LINKS.index(self.link))
        return {**vars(self.trees), "kept": self.kept, "link": link, "outputs": np.array(self.outputs), "learned": self.learned}

    def require_fit(self, width: int, known: int, outputs: int) -> None:
        if self.outputs != outputs:
            raise ValueError("trees are of other outputs")
        trees, here = self.trees, np.arange(len(self.trees.feature))
        inner = trees.feature >= 0
        # Children after their node: no walk goes on for ever.
        below = all((side[inner] > here[inner]).all() and (side[inner] < len(here)).all() for side in (trees.left, trees.right))
        inside = (trees.feature < len(self.kept)).all() and (trees.roots >= 0).all() and (trees.roots < len(here)).all()
        # Each node below one other, or a root: all walks together pass each once.
        entered = np.concatenate([trees.left[inner], trees.right[inner], trees.roots])
        once = len(np.unique(entered)) == len(entered)
        whole = {len(part) for part in (trees.feature, trees.threshold, trees.left, trees.right, trees.value)} == {len(here)}
        if not (whole and once and below and inside and (self.kept >= 0).all() and (self.kept < known).all()):
            raise ValueError("trees that lead nowhere")


def _trees(kind: Literal["forest", "boosting"], lesson: Lesson, n: int) -> Any:
    """Unfitted, of scikit-learn."""
    if kind == "forest":
        settings: dict[str, Any] = {"n_estimators": _TREES, "random_state": lesson.seed, "min_samples_leaf": 2}
        if n > _MOST_FOR_A_TREE:
            settings["max_samples"] = _MOST_FOR_A_TREE
        if lesson.classes is None:
            return RandomForestRegressor(max_features=1 / 3, **settings)
        return RandomForestClassifier(max_features="sqrt", class_weight="balanced", **settings)
    settings = {"max_iter": _BOOSTS, "learning_rate": _BOOST_RATE, "random_state": lesson.seed, "early_stopping": False}
    if lesson.classes is None:
        # What models are judged by.
        return HistGradientBoostingRegressor(loss="absolute_error", **settings)
    return HistGradientBoostingClassifier(class_weight="balanced", **settings)


KINDS: dict[str, type[NetworkMember] | type[WideMember] | type[TreesMember]] = {
    "network": NetworkMember,
    **dict.fromkeys(PATHS, WideMember),
    "forest": TreesMember,
    "boosting": TreesMember,
}
