"""The models of a benchmark, by names that hold for every question, whatever its kind."""

from __future__ import annotations

from collections.abc import Sequence

from aam.evaluation.contestants import ENSEMBLE, FROZEN, PRETRAINED, TRANSFORMER, WITHOUT_TREES
from aam.learners.baselines import COVARIATES, level_name
from aam.study.problem import Problem

TRIVIAL, BY_LEVEL = "trivial", "trivial of each level"
FOREST = "random forest"
_LINEAR = ("ridge", "logistic regression")
# Those that a suite has where it names none; of a question without distances, confounder or covariates, those that it can have.
USUAL = (
    TRIVIAL,
    BY_LEVEL,
    COVARIATES,
    "linear model, presence",
    "linear model, CLR",
    FOREST,
    "extra trees",
    "gradient boosting",
    "nearest neighbours, UniFrac",
    ENSEMBLE,
)
TRAINED = (TRANSFORMER, PRETRAINED, FROZEN)
KNOWN = (*USUAL, WITHOUT_TREES, *TRAINED)
# Options of a question that transformers alone use.
OF_TRANSFORMERS = ("val_fraction", "loss_type", "asymmetry", "class_order", "rarefy_each_epoch", "fusion")


def needs_training(models: Sequence[str]) -> bool:
    """Whether a transformer is among them."""
    return any(name in TRAINED for name in models)


def common_name(name: str, problem: Problem) -> str:
    """The name of a simple model, without what depends on the kind of the target."""
    target = problem.target
    if name in (target.trivial_name, level_name(target)):
        return TRIVIAL if name == target.trivial_name else BY_LEVEL
    model, comma, features = name.partition(", ")
    return f"linear model{comma}{features}" if model in _LINEAR else name


def is_trivial(name: str) -> bool:
    """Whether it reads no microbes."""
    return name in (TRIVIAL, BY_LEVEL, COVARIATES)


def is_ours(name: str) -> bool:
    """Whether it is a model of AAM."""
    return name in (ENSEMBLE, WITHOUT_TREES, *TRAINED)


def headline_of(names: Sequence[str]) -> str:
    """The model that is compared with all others, named beforehand: the first of AAM's recipes that is there, else the first model
    that reads microbes.
    """
    ours = [name for name in (ENSEMBLE, WITHOUT_TREES, PRETRAINED, TRANSFORMER, FROZEN) if name in names]
    return (ours or [name for name in names if not is_trivial(name)] or list(names))[0]
