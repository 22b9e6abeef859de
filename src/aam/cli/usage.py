"""Usage errors in one line."""

from __future__ import annotations

from cyclopts import CycloptsError, MissingArgumentError, Token, UnknownOptionError
from cyclopts.argument import Argument

from aam.config import FitOptions, TableOptions, TrainComputeOptions
from aam.errors import InputError


def describe(error: Exception) -> str:
    """Return the error's message on one line, naming the missing option where cyclopts names the group that it is in."""
    if isinstance(error, MissingArgumentError) and error.argument is not None and error.argument.children:
        error = _unknown_option(error) or _missing_option(error, error.argument)
    return " ".join(str(error).split())


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


def check_together(data: TableOptions, compute: TrainComputeOptions, fit: FitOptions) -> None:
    """InputError for options that exclude each other."""
    if data.stream and (compute.max_memory_gb or compute.auto_batch_size):
        raise InputError("--stream with --max-memory-gb or --auto-batch-size: these look at all samples first; leave one out")
    if fit.find_lr and compute.strategy == "fsdp":
        raise InputError("--find-lr with --strategy fsdp: find it with ddp or on one device, and give --lr")
