"""The members: each learns from some samples of a table and predicts others, in training units or as class probabilities."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

import numpy as np
import torch
from scipy.special import softmax

from aam.ensemble.catalogue import SeenTable
from aam.ensemble.kernels import KernelInputs, KernelModel, Shares, Uses, fit_kernels, shares_of
from aam.ensemble.set_network import run_network
from aam.ensemble.training import Training
from aam.ensemble.trees import Trees, boosting_leaf, of_boosting, of_forest
from aam.models import SampleNetwork
from aam.models.weightless import weightless
from aam.options import ModelOptions
from aam.study.targets import Kind

MemberName = Literal["network", "identity", "sequence", "wide", "forest", "boosting"]
# What each kernel model looks at: which ASVs are there; which sequences; both, with abundances.
KERNELS: dict[MemberName, Uses] = {"identity": (True, False, False), "sequence": (False, False, True), "wide": (True, True, True)}
WITHOUT_TREES: tuple[MemberName, ...] = ("network", *KERNELS)
# Those that need no ASV to be known.
NEED_NO_IDENTITY: tuple[MemberName, ...] = ("network", "sequence")
# Those that need no sequences.
NEED_NO_SEQUENCE: tuple[MemberName, ...] = ("identity", "forest", "boosting")
MEMBERS: tuple[MemberName, ...] = (*WITHOUT_TREES, "forest", "boosting")
TreesName = Literal["forest", "boosting"]
Arrays = dict[str, np.ndarray]
Link = Literal["none", "softmax", "sigmoid"]
# By the number that stands for each in a model folder.
_LINKS: tuple[Link, ...] = ("none", "softmax", "sigmoid")


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
    """The sample level of the transformer on fixed ASV vectors. weights: of a `SampleNetwork` of these options, by name."""

    weights: Arrays
    options: ModelOptions

    @classmethod
    def fit(cls, training: Training, rows: np.ndarray) -> NetworkMember:
        # With Lightning, which prediction has no need of.
        from aam.ensemble.network_training import train_network

        network = train_network(training, rows)
        return cls({name: tensor.numpy() for name, tensor in network.state_dict().items()}, training.options.network)

    @classmethod
    def of(cls, arrays: Arrays, options: ModelOptions) -> NetworkMember:
        return cls(arrays, options)

    def _empty(self) -> SampleNetwork:
        known, outputs = self.weights["identity.weight"].shape[0] - 1, self.weights["head.4.bias"].shape[0]
        return SampleNetwork(self.options, self.weights["project.weight"].shape[1], known, outputs)

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
        with weightless():
            network = self._empty()
        if {name: value.shape for name, value in network.state_dict().items()} != {
            name: value.shape for name, value in self.weights.items()
        }:
            raise ValueError("weights that are not those of a network")
        last = network.head[-1]
        if (network.project.in_features, network.identity.num_embeddings, last.out_features) != (width, known + 1, outputs):
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
        return cls(KernelModel(**arrays))

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

    def require_fit(self, width: int, known: int, outputs: int) -> None:
        model = self.model
        per_asv, per_width = (
            (model.by_presence.shape, model.by_abundance.shape),
            (model.landmarks.shape[1:], model.place_mean.shape),
        )
        places = model.by_place.shape == (len(model.landmarks), outputs)
        fits = per_asv == ((known, outputs),) * 2 and per_width == ((width,),) * 2 and model.shift.shape == (outputs,) and places
        if not fits or model.reach <= 0:
            raise ValueError("a kernel model is of other ASVs or outputs")


@dataclass(frozen=True, eq=False)
class TreesMember:
    """Trees on the shares of the ASVs `kept`, places among the known; `link`: what makes predictions of their sums; `outputs`: of
    all, `learned` the places of those that the training samples have.
    """

    trees: Trees
    kept: np.ndarray
    link: Link
    outputs: int
    learned: np.ndarray

    @classmethod
    def fit(cls, training: Training, rows: np.ndarray, kind: TreesName) -> TreesMember:
        problem, shares = training.problem, training.table.known_shares[rows]
        present = np.bincount(shares.indices, minlength=shares.shape[1])
        kept = np.flatnonzero(present >= min(present.max(initial=0), max(2.0, training.options.tree_prevalence * len(rows))))
        x, model = shares[:, kept].astype(np.float32).toarray(), unfitted_trees(kind, training, len(rows))
        model.fit(x, problem.learned[rows])
        learned = getattr(model, "classes_", np.zeros(1, dtype=np.int64))
        about = (problem.target.outputs, learned)
        if kind == "forest":
            return cls(of_forest(model), kept, "none", *about)
        trees = of_boosting(model)
        link: Link = "none" if problem.classes is None else "softmax"
        return cls(trees, kept, "sigmoid" if len(learned) > trees.value.shape[1] else link, *about)

    @classmethod
    def of(cls, arrays: Arrays, options: ModelOptions) -> TreesMember:
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


# Models are judged by the absolute error, and by classes that count alike.
_UNFITTED: dict[tuple[TreesName, Kind], tuple[str, dict[str, Any]]] = {
    ("forest", "regression"): ("RandomForestRegressor", {"max_features": 1 / 3}),
    ("forest", "classification"): ("RandomForestClassifier", {"max_features": "sqrt", "class_weight": "balanced"}),
    ("boosting", "regression"): ("HistGradientBoostingRegressor", {"loss": "absolute_error"}),
    ("boosting", "classification"): ("HistGradientBoostingClassifier", {"class_weight": "balanced"}),
}


def unfitted_trees(kind: TreesName, training: Training, n: int) -> Any:
    """A model of scikit-learn for n training samples."""
    from sklearn import ensemble

    name, settings = _UNFITTED[kind, training.problem.target.kind]
    make = getattr(ensemble, name)
    options = training.options
    if kind == "boosting":
        rounds = {"max_iter": options.boosting_rounds, "learning_rate": options.boosting_lr, "early_stopping": False}
        return make(random_state=training.seed, min_samples_leaf=boosting_leaf(n), **rounds, **settings)
    most = {"max_samples": options.forest_max_samples} if n > options.forest_max_samples else {}
    return make(n_estimators=options.forest_trees, random_state=training.seed, min_samples_leaf=2, **most, **settings)


KINDS: dict[str, type[NetworkMember] | type[KernelMember] | type[TreesMember]] = {
    "network": NetworkMember,
    **dict.fromkeys(KERNELS, KernelMember),
    "forest": TreesMember,
    "boosting": TreesMember,
}
