"""What fits models to problems: one protocol for transformers, ensembles and baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from aam.saved.fitted import Fitted
from aam.study.problem import Problem

FittedT_co = TypeVar("FittedT_co", bound=Fitted, covariant=True)
FittedT = TypeVar("FittedT", bound=Fitted)


class Learner(Protocol[FittedT_co]):
    """Something that can be fitted."""

    def fit(self, problem: Problem, rows: np.ndarray) -> FittedT_co:
        """Fit to the samples `rows` of a problem; nothing is known of the others' truth. InputError for what cannot be fitted."""


@dataclass(eq=False)
class Shared(Generic[FittedT]):
    """A learner whose last fit is kept, for several that start from it; copies are theirs to make."""

    learner: Learner[FittedT]
    _last: tuple[Problem, bytes, FittedT] | None = None

    def fit(self, problem: Problem, rows: np.ndarray) -> FittedT:
        """The fit to these samples, made once while they stay the same."""
        key = rows.tobytes()
        if self._last is None or self._last[0] is not problem or self._last[1] != key:
            self._last = problem, key, self.learner.fit(problem, rows)
        return self._last[2]
