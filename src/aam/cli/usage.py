"""Arguments as they come, and usage errors in one line."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import get_args

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    Token,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)
from cyclopts.argument import Argument, ArgumentCollection

from aam.cli.spelling import spell
from aam.errors import InputError

_KINDS = {int: "a whole number", float: "a number", bool: "yes or no, or left out: it is on where it is given"}


def clean(arguments: Sequence[str]) -> list[str]:
    """The words of a command line with `~` written out, also where a shell leaves it. InputError for one that is not text."""
    for word in arguments:
        try:
            word.encode("utf-8")
        except UnicodeEncodeError as error:
            # It could not be recorded in config.yaml.
            raise InputError(f"{word!r}: is not UTF-8; rename the file, or set another locale (LC_ALL=C.UTF-8)") from error
        if word == "-":
            raise InputError("- is no file: nothing is read from standard input or written to standard output; name a file")
    pairs = (word.partition("=") if word.startswith("--") else ("", "", word) for word in arguments)
    return [f"{name}{equals}{at_home(value)}" for name, equals, value in pairs]


def at_home(value: str) -> str:
    """A path that begins with `~` written out; anything else as it is."""
    return os.path.expanduser(value) if value == "~" or value.startswith("~/") else value  # noqa: PTH111 - it may be no path


def refuse_fractions(arguments: ArgumentCollection) -> None:
    """InputError for a number with decimals where a whole one is wanted: cyclopts would round it."""
    for argument in arguments:
        if int in (argument.hint, *get_args(argument.hint)):
            for token in argument.tokens:
                if re.fullmatch(r"[-+]?\d*\.\d*|.*\de-\d+", token.value):
                    raise InputError(f"{_given(token, argument)}: must be a whole number")


def write_out_patterns(arguments: ArgumentCollection) -> None:
    """Write out patterns ('runs/*.biom') in options that take several files: between quotes and in a file of options no shell does.

    InputError for one that nothing is like.
    """
    for argument in arguments:
        if argument.hint == tuple[Path, ...]:
            argument.tokens[:] = [one for token in argument.tokens for one in _written_out(token, argument)]


def _written_out(token: Token, argument: Argument) -> list[Token]:
    # What is there by this very name is no pattern.
    if not re.search(r"[*?[]", token.value) or Path(token.value).exists():
        return [token]
    if not (found := sorted(glob(token.value, recursive=True))):  # noqa: PTH207 - Path.glob would take an absolute one apart
        raise InputError(f"{_given(token, argument)}: no file is like that; check the pattern")
    return [token.evolve(value=value) for value in found]


def describe(error: Exception) -> str:
    """Return the error's message on one line, naming the missing option where cyclopts names the group that it is in."""
    if isinstance(error, MissingArgumentError) and error.argument is not None and error.argument.children:
        error = _unknown_option(error) or _missing_option(error, error.argument)
    return spell(_plain(error) or " ".join(str(error).split()))


def _plain(error: Exception) -> str:
    """What a user can meet of cyclopts' messages in plain words; empty for those that are plain."""
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return _left_over(error.unused_tokens[0], list(error.root_input_tokens or ()))
    if isinstance(error, MissingArgumentError) and error.argument is not None and not error.argument.children:
        return f"{error.argument.name} needs a value"
    if isinstance(error, RepeatArgumentError) and error.token is not None:
        return f"{error.token.keyword} is given more than once: it takes one value"
    if isinstance(error, CoercionError) and error.token is not None and error.target_type in _KINDS:
        return f"{_given(error.token, error.argument)}: must be {_KINDS[error.target_type]}"
    if isinstance(error, UnknownCommandError) and error.unused_tokens and error.unused_tokens[0].startswith("-"):
        return f"{error.unused_tokens[0]}: a command comes first ({str(error).partition('Available commands: ')[2].rstrip('.')})"
    return ""


def _given(token: Token, argument: Argument | None) -> str:
    """An option and its value as they were given, and where, if not on the command line."""
    if (token.keyword or "").startswith("--") or argument is None:
        return f"{token.keyword} {token.value}"
    return f"{token.source}: {argument.name} {token.value}"


def _left_over(word: str, words: list[str]) -> str:
    """A word to which no option belongs, with the option that it may have been meant for."""
    before = [part for part in words[: words.index(word)] if part.startswith("--")] if word in words else []
    if not before:
        return f"{word}: stands alone; every value follows its option (--table FILE)"
    option, given = before[-1].partition("=")[0], words.index(word) - words.index(before[-1]) - 1
    one = given or "=" in before[-1]
    takes = "takes one value (put it between quotes where it has blanks)" if one else "takes no value"
    return f"{word}: is one word too many; {option} {takes}"


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
