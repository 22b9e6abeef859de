"""Arguments as they come, and usage errors in one line."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cyclopts import CycloptsError, MissingArgumentError, Token, UnknownOptionError
from cyclopts.argument import Argument

from aam.cli.spelling import spell
from aam.errors import InputError


def clean(arguments: Sequence[str]) -> list[str]:
    """The words of a command line with `~` written out, also where a shell leaves it. InputError for one that is not text."""
    for word in arguments:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError as error:
            # It could not be recorded in config.yaml.
            raise InputError(f"{word!r}: is not UTF-8; rename the file, or set another locale (LC_ALL=C.UTF-8)") from error
    pairs = (word.partition("=") if word.startswith("--") else ("", "", word) for word in arguments)
    return [f"{name}{equals}{at_home(value)}" for name, equals, value in pairs]


def at_home(value: str) -> str:
    """A path that begins with `~` written out; anything else as it is."""
    return os.path.expanduser(value) if value == "~" or value.startswith("~/") else value  # noqa: PTH111 - it may be no path


def describe(error: Exception) -> str:
    """Return the error's message on one line, naming the missing option where cyclopts names the group that it is in."""
    if isinstance(error, MissingArgumentError) and error.argument is not None and error.argument.children:
        error = _unknown_option(error) or _missing_option(error, error.argument)
    return spell(" ".join(str(error).split()))


def _unknown_option(error: MissingArgumentError) -> CycloptsError | None:
    """Blame an unknown option before a missing one: it may be the missing one, mistyped."""
    unknown = [token.split("=")[0] for token in error.unused_tokens or () if token.startswith("-")]
    if not unknown or error.app is None:
        return None
    known = error.app.assemble_argument_collection(parse_docstring=False)
    return UnknownOptionError(token=Token(keyword=unknown[0], source="cli"), argument_collection=known, verbose=False)


def _missing_option(error: MissingArgumentError, group: Argument) -> CycloptsError:
    required = [child.name for child in group.children if child.required]
    command = " ".join(["aam", *(error.command_chain or ())])
    return CycloptsError(msg=f"{' and '.join(required)} required; {command} --help shows every option")
