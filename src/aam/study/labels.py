"""Columns of a study that are read as text: what they hold, said before anything is learned from them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from aam.data.metadata import Metadata
from aam.data.missing import by_text, how_to_leave_out, option_for, suspects, with_samples
from aam.data.numbers import finite_number
from aam.errors import shown, some_of

log = logging.getLogger(__name__)

_LEVELS = ("a level of its own", "levels of their own")
_LISTED, _MANY_LEVELS = 20, 20


def say_classes(column: str, labels: np.ndarray, ids: Sequence[str]) -> None:
    """Log the classes with their sizes, and warn of those that look like words for missing values."""
    found = by_text(labels, ids)
    sizes = [f"{shown(text)} {len(found[text])}" for text in sorted(found)]
    more = f" ... ({len(sizes) - _LISTED} more)" if len(sizes) > _LISTED else ""
    log.info("classes of %s: %s%s", column, ", ".join(sizes[:_LISTED]), more)
    _warn_of_words(column, suspects(found), "a class of its own", "classes of their own")


def warn_of_groups(column: str, labels: Sequence[object], ids: Sequence[str]) -> None:
    """Warn of groups whose name is a word for missing values, where they hold several samples."""
    words = {word: members for word, members in suspects(by_text(labels, ids)).items() if len(members) > 1}
    _warn_of_words(column, words, "one group, as if all of them were one subject", "a group each, as if it were one subject")


def warn_of_levels(column: str, labels: Sequence[object], ids: Sequence[str]) -> None:
    """Warn of levels of a confounder that look like words for missing values."""
    _warn_of_words(column, suspects(by_text(labels, ids)), *_LEVELS)


def _warn_of_words(column: str, words: Mapping[str, Sequence[str]], one: str, several: str, advice: str = "") -> None:
    if words:
        counts, they_do = (f"count as {several}", "they do") if len(words) > 1 else (f"counts as {one}", "it does")
        advice = advice or how_to_leave_out(words)
        log.warning(
            "column %s: %s %s, and may mean missing; if %s, %s", shown(column), with_samples(words), counts, they_do, advice
        )


def say_categoricals(metadata: Metadata, columns: Sequence[str]) -> None:
    """Warn of columns with so many levels that they are numbers or names, or with words for missing values as levels, and say how
    many samples have no value.
    """
    for column in columns:
        texts = metadata.texts(column).dropna()
        levels = texts.nunique()
        is_number = 2 * sum(finite_number(text) is not None for text in texts) > len(texts)
        if levels > _MANY_LEVELS and (is_number or 2 * levels > len(texts)):
            what = "a column of numbers" if is_number else "a column"
            log.warning(
                "`categorical_columns`: %s is %s with %d values in %d samples: each value becomes a level of its own, and one that "
                "no training sample has is read as missing; make a few levels of it in the metadata, or leave it out",
                *(column, what, levels, len(texts)),
            )
        words = suspects(by_text(texts, texts.index))
        advice = (
            f"give {option}, and such samples are of an unknown level"
            if (option := option_for(words))
            else "leave such cells empty"
        )
        _warn_of_words(column, words, *_LEVELS, advice)
        if lacking := len(metadata.typed) - len(texts):
            have = some_of(lacking, len(metadata.typed), f"have no {column}")
            log.info("`categorical_columns`: %s: read as of an unknown level", have)


def say_missing(column: str, numbers: np.ndarray) -> None:
    """Say how many samples have no value of a numeric covariate."""
    if lacking := int(np.isnan(numbers).sum()):
        log.info("`numeric_columns`: %s: read as the mean", some_of(lacking, len(numbers), f"have no {column}"))


def hint_at_classes(column: str, truth: np.ndarray, as_classes: str) -> None:
    """Say so where a number to predict has two whole values, as codes of classes have; as_classes: what to do then."""
    values = np.unique(truth)
    if len(values) == 2 and (values == np.round(values)).all():
        two = f"column {column} has two values, {values[0]:g} and {values[1]:g}, read as numbers"
        log.warning("%s; %s if these are classes", two, as_classes)
