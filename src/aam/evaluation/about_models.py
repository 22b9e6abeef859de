"""What each model of an evaluation is, in a line."""

from __future__ import annotations

from collections.abc import Sequence

from aam.learners.baselines import COVARIATES

_FEATURES = {
    "presence": "which ASVs are there, whatever their abundance",
    "CLR": "centred log-ratios of the abundances",
    "UniFrac": "UniFrac distances",
}
_LINES = {
    "median": "always predicts the median of the training samples",
    "class shares": "always predicts the shares of the classes among the training samples",
    COVARIATES: "the best of linear models and a random forest on the covariates: it reads no microbes",
    "ridge": "a linear model with a penalty",
    "logistic regression": "a linear model of the classes with a penalty",
    "random forest": "many decision trees on relative abundances, averaged",
    "extra trees": "as a random forest, with splits drawn at random, on square roots of relative abundances",
    "gradient boosting": "decision trees one after another, each on the errors of those before",
    "nearest neighbours": "the mean of the training samples that are nearest",
    "AAM ensemble without trees": "AAM's set networks, linear and kernel models, averaged by what each is worth",
    "AAM ensemble": "the same and trees, averaged by what each is worth: what train fits by default",
    "AAM transformer": "AAM's transformer from nucleotides to samples, from scratch",
    "AAM transformer, pretrained": "the same, started from an encoder that was pretrained without labels",
    "AAM transformer, frozen base": "the pretrained encoder as it is, and a head that learns on top of it",
}


def about_models(names: Sequence[str]) -> list[str]:
    """A line for each name that is known."""
    return [f"{name}: {line}." for name in names if (line := _line(name))]


def _line(name: str) -> str | None:
    if name in _LINES:
        return _LINES[name]
    if name.endswith(" of each level"):
        return f"{_LINES[name.removesuffix(' of each level')]}, for each level of the confounder by itself: it reads no microbes"
    model, _, features = name.partition(", ")
    return f"{_LINES[model]}, by {_FEATURES[features]}" if model in _LINES and features in _FEATURES else None
