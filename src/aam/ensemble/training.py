"""What the members of an ensemble are fitted to."""

from __future__ import annotations

from dataclasses import dataclass

from aam.ensemble.catalogue import SeenTable
from aam.options import EnsembleOptions
from aam.study.problem import Problem


@dataclass(frozen=True, eq=False)
class Training:
    """What members are fitted to: the problem, whose target is fitted to its training samples, and the table as they see it."""

    problem: Problem
    table: SeenTable
    options: EnsembleOptions
    seed: int
