"""``--config``: options from a YAML file, and the file that a run writes so that it can be run again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import UNSET
from cyclopts.config import Dict

from aam.cli.options import OutputOptions
from aam.cli.recipes import refuse_unused
from aam.cli.spelling import flag
from aam.cli.usage import at_home, refuse_fractions, write_out_patterns
from aam.disk.places import require_file, require_place
from aam.disk.writing import write_text
from aam.errors import InputError
from aam.parallel.ranks import rank
from aam.saved.named import is_shipped, place_of, require_model

if TYPE_CHECKING:
    from cyclopts import App, Token
    from cyclopts.argument import ArgumentCollection

# They say what to do with the folder and where options come from, not what the run is.
NOT_RECORDED = ("config", "overwrite", "resume")
# The paths that are no input.
_PLACES = ("config", "output", "distances", "ordination", "output_dir", "cache_dir", "storage", "suite", "data_dir")
# The inputs that are folders or names of models; the last may be a checkpoint, too.
_MODELS = ("model", "pretrained_encoder", "init_from")
# What --resume may change: how long the run is, where its folder lies, and what changes no result.
MAY_CHANGE = (
    "epochs",
    "max_steps",
    "output_dir",
    "cache",
    "cache_dir",
    "asv_chunk_size",
    "attn_implementation",
    "gradient_checkpointing",
    "compile_model",
    "checkpoint_minutes",
    "num_workers",
    "track",
    "trials",
    "timeout",
    "jobs",
    # What a benchmark has of earlier runs is known by all that it comes from.
    "suite",
    "data_dir",
    "check",
)


def read_config(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Take the options that the command line does not give from the file named by --config, if any, and refuse those that the run
    would not use.
    """
    if given := _given(arguments).get("config"):
        path = Path(given[-1])
        _refuse_empty({"config": given})
        require_file("config", path)
        # What is empty is not given: an older version may have recorded an option that the command no longer has.
        options = {
            name: at_home(value) if isinstance(value, str) else [*map(at_home, value)]
            for name, value in _load(path).items()
            if value != []
        }
        Dict(options, source=str(path), use_commands_as_keys=False)(app, commands, arguments)
    if commands:
        _refuse_empty(_given(arguments))
        refuse_fractions(arguments)
        write_out_patterns(arguments)
        refuse_unused(commands[0], _given(arguments))


def _refuse_empty(given: dict[str, list[str]]) -> None:
    for name, words in given.items():
        if any(not word.strip() for word in words):
            raise InputError(f"`{name}` is empty: is a shell variable not set? Give a value, or leave the option out")


def check_places(options: object) -> None:
    """InputError for inputs that are not there, and files for folders: before what reads them is imported, which takes seconds."""
    for name, paths in inputs_of(options).items():
        for path in paths:
            is_model = name in _MODELS[:2] or (name == _MODELS[2] and path.is_dir())
            (require_model if is_model else require_file)(name, path)
    places = dict(_flat(options))
    if "cache_dir" in places:
        require_place("cache_dir", places["cache_dir"])
    if rank() == 0 and isinstance(output := getattr(options, "output", None), OutputOptions):
        output.check()


def _given(arguments: ArgumentCollection) -> dict[str, list[str]]:
    """The words that each option was given, by name; of a flag, `yes` or `no`."""
    found: dict[str, list[str]] = {}
    for argument in arguments:
        words = [_word(token) for token in argument.tokens]
        if words:
            found[argument.name.removeprefix("--").replace("-", "_")] = words
    return found


def _word(token: Token) -> str:
    if (token.keyword or "").startswith("--no-") or token.implicit_value is False:
        return "no"
    return token.value if token.implicit_value is UNSET else "yes"


def _load(path: Path) -> dict[str, Any]:
    from aam.disk.yaml_files import read_yaml

    options = read_yaml(path, "config", typed=False) or {}
    if not isinstance(options, dict) or not all(_is_option(*pair) for pair in options.items()):
        raise InputError(f"`config={path}`: must hold one 'option: value' a line")
    return options


def _is_option(name: object, value: object) -> bool:
    return isinstance(name, str) and (
        isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value))
    )


def _parse(text: str) -> Any:
    import yaml

    # BaseLoader leaves every value the text that it is, for the command line to read as its own: `no` stays a word.
    return yaml.load(text, Loader=yaml.BaseLoader) or {}


def _dump(options: object, without: Collection[str] = ()) -> str:
    import yaml

    told = {name: _plain(value, is_model=name in _MODELS) for name, value in _flat(options) if name not in without}
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)


def write_config(path: Path, options: object, without: Collection[str] = ()) -> None:
    """Write every option of a command but some as flat YAML, which ``--config`` reads back to the same run."""
    write_text(path, _dump(options, without))


def deciding(options: object) -> str:
    """The options that decide what a command gives: not where things lie, nor what changes memory and speed only; but which outputs
    are asked for.
    """
    asked = [name for name, _ in _flat(options) if name in _PLACES]
    return _dump(options, {*_PLACES, *MAY_CHANGE, *inputs_of(options), "batch_size"}) + " ".join(asked)


def refuse_change(path: Path, options: object) -> None:
    """Refuse to go on with other options than those that the run recorded in `path`. Its length may change, and where its input
    lies (`aam.disk.contents` says whether it is the same).
    """
    recorded, now = _load(path), _parse(_dump(options))
    # What is empty is not given: an older version may not have known the option.
    changed = {name for name in recorded.keys() | now.keys() if (recorded.get(name) or None) != (now.get(name) or None)}
    if forbidden := sorted(changed.difference(MAY_CHANGE, inputs_of(options))):
        # Another recipe has other options, too.
        name = "recipe" if "recipe" in forbidden else forbidden[0]
        difference = f"it was {recorded.get(name, 'not given')}, now it is {now.get(name, 'not given')}"
        raise InputError(f"`resume` with another {flag(name)}: {difference}; start afresh in another `output_dir`")


def inputs_of(options: object) -> dict[str, tuple[Path, ...]]:
    """Every file or model folder that the options name as input, by option; of a model that comes with AAM its folder."""
    several = {name: value if isinstance(value, tuple) else (value,) for name, value in _flat(options) if name not in _PLACES}
    found = {name: values for name, values in several.items() if values and all(isinstance(value, Path) for value in values)}
    return {name: tuple(map(place_of, values)) if name in _MODELS else values for name, values in found.items()}


def _flat(options: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of each option that the run uses, in the order of the dataclasses; None is left out, as if not given."""
    unused: frozenset[str] = getattr(options, "unused", frozenset())
    for field in fields(options):
        value = getattr(options, field.name)
        if is_dataclass(value):
            yield from ((name, part) for name, part in _flat(value) if name not in unused)
        elif value is not None and field.name not in NOT_RECORDED:
            yield field.name, value


def _plain(value: Any, *, is_model: bool = False) -> Any:
    if isinstance(value, Path):
        return str(value) if is_model and is_shipped(value) else str(value.absolute())  # works from any folder, a name anywhere
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
