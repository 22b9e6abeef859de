"""YAML files that people write: what is wrong with one is said in a line, and a key that is there twice is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError

from aam.errors import InputError, one_line

# What a loader raises beside its own errors: of a date that there is not, of a number without digits, of a deep file.
_BROKEN = (OSError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError, RecursionError, yaml.YAMLError)


class _EachOnce(Composer):
    """Of a key that is there twice YAML keeps the last value, and says nothing."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (known := (key.tag, key.value)) in seen:
                    raise ComposerError(None, None, f"{key.value!r:.80} is there twice", key.start_mark)
                seen.add(known)
        return node


class _Typed(_EachOnce, yaml.SafeLoader):
    pass


class _Texts(_EachOnce, yaml.BaseLoader):
    pass


def read_yaml(path: Path, option: str, *, typed: bool = True) -> Any:
    """What a YAML file holds; None for an empty one. Without `typed` every value stays the text that it is.

    InputError, in one line that names the option, for a file that cannot be read, and for a key that is there twice.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Typed if typed else _Texts)
    except _BROKEN as error:
        raise InputError(f"`{option}={path}`: cannot be read as YAML: {one_line(error)}") from error
