"""Which classes a model confuses, and how well it finds each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aam import page
from aam.evaluation.compare import Outcome


@dataclass(frozen=True)
class ClassScores:
    """Of one class: held-out samples that have it; the shares of right ones among those predicted to have it (precision; NaN where
    none is) and among those that have it (recall); and their harmonic mean (F1).
    """

    name: str
    samples: int
    precision: float
    recall: float
    f1: float


def confusion_of(outcome: Outcome, model: str) -> np.ndarray:
    """Held-out samples of the first repeat by true class (rows) and likeliest class (columns), int64 [K, K]."""
    _, true, said = outcome.together(model)
    counts = np.zeros((said.shape[1], said.shape[1]), dtype=np.int64)
    np.add.at(counts, (true, said.argmax(axis=1)), 1)
    return counts


def class_scores_of(outcome: Outcome, model: str) -> list[ClassScores]:
    """The scores of each class, from the confusion matrix."""
    counts = confusion_of(outcome, model)
    found = []
    for k, name in enumerate(outcome.problem.target.classes):
        right, true, predicted = int(counts[k, k]), int(counts[k].sum()), int(counts[:, k].sum())
        found.append(ClassScores(name, true, _share(right, predicted), _share(right, true), _share(2 * right, true + predicted)))
    return found


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def class_tables(outcome: Outcome, model: str) -> str:
    """Both as HTML."""
    classes, counts = outcome.problem.target.classes, confusion_of(outcome, model)
    scores = [
        [row.name, str(row.samples), *(_text(value) for value in (row.precision, row.recall, row.f1))]
        for row in class_scores_of(outcome, model)
    ]
    confused = [[name, *(str(number) for number in row)] for name, row in zip(classes, counts, strict=True)]
    nobody = [False] * len(classes)
    tables = [
        page.table(["class", "samples", "precision", "recall", "F1"], scores, nobody),
        page.table(["true class", *(f"predicted {name}" for name in classes)], confused, nobody),
    ]
    return f"{page.heading(model)}{page.side_by_side(tables)}"


def _text(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"
