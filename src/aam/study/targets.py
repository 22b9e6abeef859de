"""What is predicted: a number or a class. A target knows how its values become what models learn, and back, and how it is judged.

It is fitted to training samples only (`fit`), and kept in the model folder as JSON: ``dataclasses.asdict`` gives the JSON of each
class, and ``Class(**json)`` the object back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from aam.study.class_target import ClassTarget
from aam.study.number_target import RegressionTarget

__all__ = ["KINDS", "ClassTarget", "Kind", "RegressionTarget", "Target"]

# Kinds as the model folder names them.
Kind = Literal["regression", "classification"]
Target = RegressionTarget | ClassTarget
KINDS: Mapping[str, type[RegressionTarget] | type[ClassTarget]] = {kind.kind: kind for kind in (RegressionTarget, ClassTarget)}
