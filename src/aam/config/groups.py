"""Sections of the help, and checks of values."""

from __future__ import annotations

from cyclopts import Group

from aam.errors import InputError

# Sections of the help, in this order.
INPUT = Group("Input", sort_key=1)
DISTANCES = Group("Tree and distances", sort_key=2)
METADATA = Group("Metadata", sort_key=3)
MODEL = Group("Model", sort_key=4)
OBJECTIVES = Group("Objectives", sort_key=5)
TRAINING = Group("Training", sort_key=6)
COMPUTE = Group("Memory and speed", sort_key=7)
OUTPUT = Group("Output", sort_key=8)


def check(condition: bool, option: str, value: object, need: str) -> None:
    """Raise the one-line error about an option's value unless the condition holds."""
    if not condition:
        raise InputError(f"--{option.replace('_', '-')} {value}: must be {need}")


def check_counts(options: object, *names: str) -> None:
    """The same for options that count something, where they are given."""
    for name in names:
        value = getattr(options, name)
        check(value is None or value >= 1, name, value, "at least 1")
