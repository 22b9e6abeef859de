"""How a model is exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aam.options.checks import Options

ExportWeights = Literal["float32", "int8"]


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    weights: ExportWeights = "float32"
    """How the matrices of layers are stored. int8: in 8 bits, for a smaller file; predictions differ a little."""
