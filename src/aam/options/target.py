"""What a target can be: losses, transforms, and options that hold several values as one text."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any, Literal, Protocol

from aam.errors import InputError, first_few
from aam.options.checks import check

TransformName = Literal["none", "minmax", "zscore", "log-zscore", "log-minmax", "zscore-within"]
LossType = Literal["mse", "mae", "huber", "quantile", "asymmetric", "poisson", "ordinal"]
# What `loss_type=quantile` predicts where no quantiles are named.
DEFAULT_QUANTILES = (0.1, 0.5, 0.9)
# Too low costs as much as too high.
SYMMETRIC = 0.5
# Losses of classes; `mae`, the default, stands for cross-entropy there.
_OF_CLASSES = ("mae", "ordinal")
_OF_NUMBERS = ("mse", "mae", "huber", "quantile", "asymmetric", "poisson")


class TargetChoices(Protocol):
    """The options that are checked together."""

    @property
    def classifier(self) -> bool: ...
    @property
    def loss_type(self) -> LossType: ...
    @property
    def target_transform(self) -> TransformName: ...
    @property
    def quantiles(self) -> str | None: ...
    @property
    def within_column(self) -> str | None: ...
    @property
    def asymmetry(self) -> float: ...
    @property
    def output_range(self) -> str | None: ...
    @property
    def class_weights(self) -> str: ...
    @property
    def class_order(self) -> str | None: ...


class SeveralChoices(TargetChoices, Protocol):
    """Those of several columns."""

    @property
    def class_columns(self) -> tuple[str, ...]: ...
    @property
    def target_weights(self) -> str | None: ...


def check_target(options: TargetChoices) -> None:
    """InputError for options that do not fit each other, or the kind of target."""
    transform = None if options.target_transform == "zscore" else options.target_transform
    ends, levels = options.output_range, options.within_column
    numbers = {"quantiles": options.quantiles, "output_range": ends, "within_column": levels, "target_transform": transform}
    classes = {"class_weights": None if options.class_weights == "balanced" else "", "class_order": options.class_order}
    advice = "which is not what is predicted (`classifier`): leave it out"
    other, losses = ("a number", _OF_CLASSES) if options.classifier else ("classes", _OF_NUMBERS)
    for name, value in (numbers if options.classifier else classes).items():
        if value is not None:
            raise InputError(f"`{name}` is for {other}, {advice}")
    if options.loss_type not in losses:
        raise InputError(
            f"`loss_type={options.loss_type}` is for {other}, which is not what is predicted (`classifier`): leave it out"
        )
    check_asymmetry(options.loss_type, options.asymmetry)
    check_loss(options.loss_type, options.target_transform)
    if (options.target_transform == "zscore-within") != (options.within_column is not None):
        raise InputError("`within_column` and `target_transform=zscore-within` belong together: give both, or neither")
    if options.class_order is not None and options.loss_type != "ordinal":
        raise InputError("`class_order` belongs to `loss_type=ordinal`: give both, or leave it out")
    quantiles_in(options.quantiles)
    range_in(options.output_range)
    weights_in(options.class_weights)


def columns_in(text: str, there: Collection[str] = ()) -> tuple[str, ...]:
    """Columns of ``age,delivery``; a text that is itself one of the columns `there` names that one. InputError for an empty name,
    and for one that is there twice.
    """
    if "," not in text or text in there:
        return (text,)
    names = tuple(name.strip() for name in text.split(","))
    check(all(names) and len(set(names)) == len(names), "metadata_column", text, "columns with commas between them, each once")
    return names


def options_of_kind(options: TargetChoices, classes: bool) -> dict[str, Any]:
    """Of options for numbers and classes mixed, those that one kind has; the others as they are where nothing is asked for."""
    if classes:
        others = {"target_transform": "zscore", "quantiles": None, "output_range": None, "within_column": None}
        return {**others, "asymmetry": SYMMETRIC, "loss_type": "ordinal" if options.loss_type == "ordinal" else "mae"}
    others = {"class_weights": "balanced", "class_order": None}
    return {**others, "loss_type": "mae" if options.loss_type == "ordinal" else options.loss_type}


def check_class_columns(text: str, classes: Sequence[str], classifier: bool) -> None:
    """InputError for columns of classes that are not among several columns to predict, or are all of them."""
    named = first_few(classes)
    if classifier:
        raise InputError(f"`class_columns` ({named}) with `classifier`, which says that all columns are classes: choose one")
    if "," not in text:
        raise InputError(f"`class_columns` ({named}) is for several columns (`metadata_column=age,delivery`): pass `classifier`")
    columns = columns_in(text)
    if unknown := [name for name in classes if name not in columns]:
        raise InputError(f"`class_columns`: {first_few(unknown)} is not in `metadata_column={text}`")
    if set(classes) == set(columns):
        raise InputError("`class_columns` names every column to predict: pass `classifier` in its place")


def check_several(options: SeveralChoices, columns: Sequence[str]) -> None:
    """InputError for options that could be of one of several columns or another, and for weights where they have no meaning."""
    if len(columns) == 1:
        if options.target_weights:
            raise InputError("`target_weights` is for several columns (`metadata_column=age,delivery`): leave it out")
        return
    weights = {} if options.target_weights is None else weights_in(options.target_weights, "target_weights")
    if unknown := [name for name in weights if name not in columns]:
        raise InputError(f"`target_weights`: {first_few(unknown)} is not predicted; columns: {first_few(columns)}")
    classes = columns if options.classifier else [column for column in columns if column in options.class_columns]
    by_hand = {"class_order": options.class_order, "class_weights": weights_in(options.class_weights)}
    for name, value in by_hand.items():
        if value and len(classes) > 1:
            raise InputError(f"`{name}` names classes of one column, and {first_few(classes)} have classes; leave it out")
    if options.output_range and len(columns) - len(classes) > 1:
        raise InputError("`output_range` is of one number, and several are predicted; leave it out")


def check_loss(loss: LossType, transform: TransformName) -> None:
    """InputError for a transform that a loss does not go with."""
    if loss == "poisson" and transform != "none":
        raise InputError(f"`loss_type=poisson` with `target_transform={transform}`: counts are learned as they are; take none")


def check_asymmetry(loss: LossType, level: float) -> None:
    """InputError for a level that is none, or that the loss would not use."""
    check(0.0 < level < 1.0, "asymmetry", level, "between 0 and 1")
    if level != SYMMETRIC and loss != "asymmetric":
        raise InputError("`asymmetry` belongs to `loss_type=asymmetric`: give both, or leave it out")


def quantiles_in(text: str | None) -> tuple[float, ...]:
    """Levels of ``0.1,0.5,0.9``; none of None. InputError for what `check_quantiles` refuses."""
    return () if text is None else check_quantiles(tuple(_number("quantiles", text, part) for part in text.split(",")), text)


def check_quantiles(levels: Sequence[float], text: str | None = None) -> tuple[float, ...]:
    """The levels; text: as they were given. InputError for what is not between 0 and 1, does not rise, or has no median."""
    shown = text or ",".join(f"{level:g}" for level in levels)
    check(all(0.0 < level < 1.0 for level in levels), "quantiles", shown, "between 0 and 1")
    check(all(low < high for low, high in pairwise(levels)), "quantiles", shown, "in rising order")
    check(0.5 in levels, "quantiles", shown, "with the median, 0.5, which is the prediction")
    return tuple(levels)


def range_in(text: str | None) -> tuple[float | None, float | None]:
    """Ends of ``0,100``, ``0,`` or ``,5``; None for an open one. InputError for another text."""
    if text is None:
        return None, None
    parts = text.split(",")
    need = "LOW,HIGH where one of them may be left out: 0,100 or 0, or ,5"
    check(len(parts) == 2 and any(part.strip() for part in parts), "output_range", text, need)
    low, high = (_number("output_range", text, part) if part.strip() else None for part in parts)
    return check_range(low, high, text)


def check_range(low: float | None, high: float | None, text: str | None = None) -> tuple[float | None, float | None]:
    """The ends; text: as they were given. InputError where the lower one is not below the upper one."""
    if low is not None and high is not None:
        check(low < high, "output_range", text or f"{low:g},{high:g}", "a lower end below the upper end")
    return low, high


def weights_in(text: str, option: str = "class_weights") -> dict[str, float]:
    """Weights by name of ``healthy=1,ibd=3``; empty for balanced and none. InputError for another text."""
    if option == "class_weights" and text in ("balanced", "none"):
        return {}
    names = "balanced, none, or CLASS=WEIGHT,CLASS=WEIGHT" if option == "class_weights" else "COLUMN=WEIGHT,COLUMN=WEIGHT"
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.rpartition("=")
        check(bool(name.strip()) and name.strip() not in found, option, text, names)
        found[name.strip()] = _number(option, text, weight)
        check(found[name.strip()] > 0, option, text, "weights above 0")
    return found


def order_in(text: str | None) -> tuple[str, ...]:
    """Classes of ``none,mild,severe`` in that order; empty for None."""
    return () if text is None else tuple(name.strip() for name in text.split(","))


def _number(option: str, text: str, part: str) -> float:
    try:
        value = float(part)
    except ValueError:
        value = math.nan
    check(math.isfinite(value), option, text, f"numbers with commas between them; {part.strip() or 'nothing'} is none")
    return value
