"""Checks of an option's value, made when the options are."""

from __future__ import annotations

from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from aam.errors import InputError, path_of

_WANTED = {int: "a whole number", float: "a number", bool: "True or False", str: "text", Path: "a Path", NoneType: "None"}


class Options:
    """What all dataclasses of options share: a value of another type than its field declares is an InputError that names it; a path
    may be text, and one path may stand where several may.
    """

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, hint in _hints(kind).items():
            value = getattr(self, name)
            if Path in (hint, *get_args(hint)):
                value = _as_paths(name, value, several=get_origin(hint) is tuple)
                object.__setattr__(self, name, value)
            if not _fits(value, hint):
                raise InputError(f"`{name}={value!r:.80}`: must be {_wanted(hint)}")


def _as_paths(name: str, value: object, *, several: bool) -> object:
    if several and isinstance(value, tuple | list):
        return tuple(_as_paths(name, part, several=False) for part in value)
    path = path_of(name, value) if isinstance(value, str) else value
    return (path,) if several and isinstance(path, Path) else path


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: object, hint: Any) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return isinstance(value, str) and value in parts
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(part, parts[0]) for part in value)
    if hint in (int, float):
        # NumPy's numbers too, but no bool.
        return isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
    return isinstance(value, hint)


def _wanted(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(parts)}"
    if origin is tuple:
        return f"a tuple, each part {_wanted(parts[0])}"
    return " or ".join(map(_wanted, parts)) if parts else _WANTED[hint]


def check(condition: bool, option: str, value: object, need: str) -> None:
    """Raise the one-line error about an option's value unless the condition holds."""
    if not condition:
        raise InputError(f"`{option}={value}`: must be {need}")


def check_counts(options: object, *names: str) -> None:
    """The same for options that count something, where they are given."""
    for name in names:
        value = getattr(options, name)
        check(value is None or value >= 1, name, value, "at least 1")


def check_seed(seed: int) -> None:
    """The same for a seed, of which NumPy and PyTorch take 32 bits."""
    check(0 <= seed < 2**32, "seed", seed, "from 0 to 4294967295")
