"""JSON into frozen dataclasses, checked by the types that they declare."""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def parse(kind: type[Record], found: object, where: str) -> Record:
    """One of `kind`, of what JSON gave as `found`.

    ValueError, which names the field below `where`, for what is missing, unknown or of another type, and what `kind` refuses.
    """
    if not isinstance(found, dict):
        raise ValueError(f"{where} is no object")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(found.keys() - known.keys()):
        raise ValueError(f"{where} has an unknown {unknown[0]!r}")
    for name, field in known.items():
        if name not in found:
            if field.default is MISSING and field.default_factory is MISSING:
                raise ValueError(f"{where} has no {name!r}")
        elif not fits(found[name], hints[name]):
            raise ValueError(f"{where}.{name} is {str(found[name])[:100]!r}")
    return kind(**found)


def fits(value: object, hint: Any) -> bool:
    """Whether a value from JSON is of a type: a number, text, None, a Literal, a tuple (in JSON a list), a dict, or a union."""
    kind, parts = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if kind is Literal:
        return isinstance(value, str) and value in parts
    if kind is tuple:
        return isinstance(value, list) and all(fits(item, parts[0]) for item in value)
    if kind is dict:
        return isinstance(value, dict) and all(fits(item, parts[1]) for item in value.values())
    return _is_plain(value, hint)


def _is_plain(value: object, hint: Any) -> bool:
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < sys.float_info.max
    if hint is int:
        # As many as a tensor may have of anything.
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, hint)
