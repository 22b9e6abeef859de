"""What members learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aam.ensemble.catalogue import SeenTable


@dataclass(frozen=True, eq=False)
class Lesson:
    """A table and what is known of its samples.

    target: [N], float64 in training units or int64 class ids; classes: their number, None for a number; groups: labels [N] or None.
    """

    table: SeenTable
    target: np.ndarray
    classes: int | None
    groups: np.ndarray | None
    seed: int

    @property
    def outputs(self) -> int:
        return self.classes or 1

    @property
    def labels(self) -> np.ndarray | None:
        """Class ids, None for a number."""
        return None if self.classes is None else self.target

    def groups_of(self, rows: np.ndarray) -> np.ndarray | None:
        return None if self.groups is None else self.groups[rows]
