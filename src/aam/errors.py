"""The one exception that a user is meant to see."""


class InputError(ValueError):
    """Input that cannot be used. The message is one line: what is wrong, where, what to do.

    The command line prints it as ``error: <message>`` without a traceback and exits with code 2.
    """


def first_few(items: object, limit: int = 5) -> str:
    """Join the first items for an error message, with the number left out: ``a, b, c ... (12 more)``."""
    listed = [str(item) for item in items]  # type: ignore[attr-defined]
    shown = ", ".join(listed[:limit])
    return shown if len(listed) <= limit else f"{shown} ... ({len(listed) - limit} more)"
