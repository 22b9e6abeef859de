"""Samples that every model gets wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from aam.evaluation.compare import Outcome
from aam.evaluation.errors.held_out import HeldOut


def missed_by_all(held: Mapping[str, HeldOut], model: str) -> tuple[int, ...]:
    """Places of the held-out samples that all models get wrong: each predicts another class, or has an interval without the truth.
    Those first of which `model` is most wrong; none where a model has no intervals.
    """
    kept = [one.kept for one in held.values()]
    known = [one for one in kept if one is not None]
    if len(known) < len(kept):
        return ()
    missed = np.max(known, axis=0) == 0
    order = np.argsort(-held[model].error, kind="stable")
    return tuple(int(place) for place in order if missed[place])


def said_by_all(outcome: Outcome, models: Sequence[str], row: int) -> str:
    """What models predict of a held-out row, in few words: classes with how many models predict them, or from where to where."""
    classes, found = outcome.problem.target.classes, []
    for model in models:
        rows, _, said = outcome.together(model)
        found.append(said[np.flatnonzero(rows == row)[0]])
    if not classes:
        return f"{min(found):.4g} to {max(found):.4g}"
    counts = Counter(classes[one.argmax()] for one in found).most_common()
    return ", ".join(name if number == len(found) else f"{name} ({number})" for name, number in counts)
