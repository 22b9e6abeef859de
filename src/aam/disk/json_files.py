"""JSON files, as JSON can hold values."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from aam.disk.writing import write_text


def finite_or_null(value: Any) -> Any:
    """The same with None for NaN and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {name: finite_or_null(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(value: Any) -> str:
    """JSON with a line for each value."""
    return json.dumps(finite_or_null(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file."""
    write_text(path, json_text(value))
