"""What people write as a number: narrower than what Python takes for one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def finite_number(text: str) -> float | None:
    """The number that a text is, or None: in ASCII digits, finite, without underscores; blanks at its ends are allowed."""
    plain = text.strip()
    if "_" in plain or not plain.isascii():
        return None
    try:
        number = float(plain)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def row_of_numbers(cells: Sequence[str]) -> np.ndarray:
    """Float64 [N] by the same rule, but for NaN and infinity, which are read as such. ValueError for what is no number."""
    joined = "".join(cells)
    if "_" in joined or not joined.isascii():
        for cell in cells:
            if "_" in cell or not cell.strip().isascii():
                raise ValueError(f"could not convert string to float: {cell!r}")
    return np.array(cells, dtype=np.float64)
