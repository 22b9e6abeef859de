"""Options as messages name them (`epochs`, `epochs=0`, arguments in Python), spelled as the flags of the command line."""

from __future__ import annotations

import re

_NAMED = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")


def flag(name: str) -> str:
    """``max_bp`` -> ``--max-bp``."""
    return f"--{name.replace('_', '-')}"


def spell(message: str) -> str:
    """The same with flags: `epochs=0` is ``--epochs 0``, `cache=False` is ``--no-cache``."""
    return _NAMED.sub(_spelled, message)


def _spelled(match: re.Match[str]) -> str:
    name, value = match.groups()
    if value == "False":
        return flag(f"no_{name}")
    if value in (None, "True"):
        return flag(name)
    # Behind a blank it would be taken for an option, which a number is not.
    is_like_option = value.startswith("-") and not value[1:2].isdigit()
    return f"{flag(name)}{'=' if is_like_option else ' '}{value}"
