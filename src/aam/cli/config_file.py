"""``--config``: options from a YAML file, and the file that a run writes so that it can be run again."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts.config import Dict

from aam.errors import InputError, one_line
from aam.writing import write_text

if TYPE_CHECKING:
    from cyclopts import App
    from cyclopts.argument import ArgumentCollection

# They say what to do with the folder and where options come from, not what the run is.
NOT_RECORDED = ("config", "overwrite", "resume")
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
)


def read_config(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Take the options that the command line does not give from the file named by --config, if any."""
    given = [token.value for argument in arguments if argument.name == "--config" for token in argument.tokens]
    if not given:
        return
    path = Path(given[-1])
    Dict(_load(path), source=str(path), use_commands_as_keys=False)(app, commands, arguments)


def _load(path: Path) -> dict[str, Any]:
    import yaml

    try:
        options = _parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"--config {path}: cannot be read as YAML: {one_line(error)}") from error
    if not isinstance(options, dict) or not all(_is_option(*pair) for pair in options.items()):
        raise InputError(f"--config {path}: must hold one 'option: value' a line")
    return options


def _is_option(name: object, value: object) -> bool:
    return isinstance(name, str) and (
        isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value))
    )


def _parse(text: str) -> Any:
    import yaml

    # BaseLoader leaves every value the text that it is, for the command line to read as its own: `no` stays a word.
    return yaml.load(text, Loader=yaml.BaseLoader) or {}


def _dump(options: object) -> str:
    import yaml

    return yaml.safe_dump(dict(_flat(options)), sort_keys=False, allow_unicode=True)


def write_config(path: Path, options: object) -> None:
    """Write every option of a command as flat YAML, which ``--config`` reads back to the same run."""
    write_text(path, _dump(options))


def refuse_change(path: Path, options: object) -> None:
    """Refuse to go on with other options than those that the run recorded in `path`; only its length may change."""
    recorded, now = _load(path), _parse(_dump(options))
    changed = {name for name in recorded.keys() | now.keys() if recorded.get(name) != now.get(name)}
    if forbidden := sorted(changed.difference(MAY_CHANGE)):
        name = forbidden[0]
        difference = f"it was {recorded.get(name, 'not given')}, now it is {now.get(name, 'not given')}"
        raise InputError(f"--resume with another --{name.replace('_', '-')}: {difference}; start afresh in another --output-dir")


def _flat(options: Any) -> list[tuple[str, Any]]:
    """List name and value of each option, in the order of the dataclasses; None is left out, as if not given."""
    pairs: list[tuple[str, Any]] = []
    for field in fields(options):
        value = getattr(options, field.name)
        if is_dataclass(value):
            pairs.extend(_flat(value))
        elif value is not None and field.name not in NOT_RECORDED:
            pairs.append((field.name, _plain(value)))
    return pairs


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())  # the file must work from any folder
    return list(value) if isinstance(value, tuple) else value
