"""Checks of an option's value, made when the options are."""

from __future__ import annotations

from aam.errors import InputError


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
