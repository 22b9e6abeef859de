"""What the members of an ensemble are fitted to."""

from __future__ import annotations

from dataclasses import dataclass

from aam.ensemble.catalogue import Catalogue, SeenTable
from aam.options import EnsembleOptions, Step
from aam.study.problem import Problem


@dataclass(frozen=True, eq=False)
class Training:
    """What members are fitted to: the problem, whose target is fitted to its training samples, and the table as they see it, by the
    catalogue; augment: how copies of training samples are changed, none without steps.
    """

    problem: Problem
    catalogue: Catalogue
    table: SeenTable
    options: EnsembleOptions
    seed: int
    augment: tuple[Step, ...] = ()
