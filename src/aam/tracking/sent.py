"""What may be told of a run: its options without values of metadata, and its model without ids of samples and names of classes."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Collection
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from aam.disk.json_files import write_json
from aam.tracking.tracker import Told

# Texts that hold names of columns, of methods, or levels, and no value of metadata.
_SAFE = ("encoder_type", "augment", "quantiles")
_OF_COLUMNS = ("_column", "_columns")
# What says where a run lies and what to do with that, not what it is.
_NOT_TOLD = ("config", "output_dir", "overwrite", "resume", "cache_dir", "track")
GIVEN = "given"
# Of a model folder. What else it has, such as samples.txt, is not sent.
_MODEL_FILES = ("model.safetensors", "novelty.safetensors", "asvs.txt", "README.md")


def told(options: Any, unused: Collection[str] = ()) -> dict[str, Told]:
    """Options by name, without those that are `unused` or None. A file is told by its name without its folder; of a text that may
    hold values of metadata (`where`, `class_order`) only that it is `given`.
    """
    found: dict[str, Told] = {}
    hints = get_type_hints(type(options))
    for option in fields(options):
        value = getattr(options, option.name)
        if is_dataclass(value):
            found |= told(value, unused)
        elif value is not None and value != () and option.name not in (*_NOT_TOLD, *unused):
            found[option.name] = _told(option, hints[option.name], value)
    return found


def _told(option: Field[Any], hint: Any, value: Any) -> Told:
    if isinstance(value, bool | int | float):
        return value
    parts = value if isinstance(value, tuple) else (value,)
    if all(isinstance(part, Path) for part in parts):
        return ", ".join(part.name for part in parts)
    literal = any(get_origin(one) is Literal for one in (hint, *get_args(hint)))
    default = option.default is not MISSING and value == option.default
    if literal or default or option.name in _SAFE or option.name.endswith(_OF_COLUMNS):
        return ", ".join(map(str, parts))
    return GIVEN


def copy_model(model: Path, to: Path) -> None:
    """A model folder that loads and predicts as `model` does, without ids of samples; classes, levels of covariates and of
    `within_column` are numbered (`class 1`), and intervals are rounded up: each is the error of one sample, of two classes a
    prediction. Statistics of the training samples' numbers (mean, deviation, median, range) stay.
    """
    to.mkdir(parents=True)
    for name in _MODEL_FILES:
        if (model / name).is_file():
            shutil.copyfile(model / name, to / name)
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    if (target := config.get("target")) is not None:
        _number_values(target)
        if "intervals" in target:
            target["intervals"] = {coverage: _rounded_up(value) for coverage, value in target["intervals"].items()}
    write_json(to / "config.json", config)
    (to / "samples.txt").write_text("", encoding="utf-8")


def _number_values(config: dict[str, Any]) -> None:
    target, covariates = config["target"], config.get("covariates") or config.get("categoricals") or {}
    if "classes" in target:
        target["classes"] = _numbered("class", target["classes"])
    if target.get("levels"):
        target["levels"]["names"] = _numbered("level", target["levels"]["names"])
    words = covariates.get("vocabularies", {})
    covariates["vocabularies"] = {column: _numbered("level", values) for column, values in words.items()}


def _rounded_up(error: float | None) -> float | None:
    """To two digits: what was promised holds."""
    if not error:
        return error
    unit = 10.0 ** (math.floor(math.log10(abs(error))) - 1)
    return float(f"{math.ceil(error / unit) * unit:.2g}")


def _numbered(what: str, values: Collection[str]) -> list[str]:
    # They are sorted, and stay so.
    width = len(str(len(values)))
    return [f"{what} {place:0{width}}" for place in range(1, len(values) + 1)]
