"""The options that are searched, and the values that they may have."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aam.disk.yaml_files import read_yaml
from aam.errors import InputError, first_few
from aam.tuning.tunable import Tunable

# By recipe and option: what is tried beside the value that is given. Each costs about as much time as the default.
DEFAULT_SPACE: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "ensemble": {
        "trees": (True, False),
        "known_asv_samples": (2, 3, 5, 10),
        "tree_prevalence": (0.003, 0.01, 0.03, 0.1),
        "boosting_lr": (0.03, 0.06, 0.1),
        "network_dim": (32, 64, 96),
        "network_lr": (0.001, 0.002, 0.004),
        "network_weight_decay": (0.01, 0.05, 0.2),
        "identity_weight_decay": (0.3, 1.0, 3.0),
        "asv_dropout": (0.2, 0.5, 0.8),
    },
    "transformer": {
        "lr": (2e-4, 5e-4, 1e-3, 2e-3),
        "weight_decay": (0.001, 0.01, 0.1),
        "batch_size": (16, 32, 64),
        "dropout": (0.0, 0.1, 0.3),
        "embedding_dim": (32, 64),
        "attention_layers": (1, 2),
    },
}
_RANGE = ("low", "high", "log")


@dataclass(frozen=True)
class Knob:
    """An option that is searched: among `values`, or from `low` to `high` (whole numbers where `whole`; even in the logarithm where
    `log`).
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    whole: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value may be tried."""
        return value in self.values if self.values else isinstance(value, int | float) and self.low <= value <= self.high

    def draw(self, trial: Any) -> Any:
        """A value, as a trial of Optuna suggests it."""
        if self.values:
            return trial.suggest_categorical(self.name, list(self.values))
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def text(self) -> str:
        """As a page shows it."""
        if self.values:
            return ", ".join(map(str, self.values))
        return f"{self.low} to {self.high}{' (log)' if self.log else ''}"


def default_space(tunable: Tunable) -> tuple[Knob, ...]:
    """A few values of the options that matter most. An option that is given another value than its default is kept as it is given,
    and so is what the recipe does not use as it is fitted.
    """
    found = DEFAULT_SPACE[tunable.recipe]
    base = tunable.base
    return tuple(Knob(name, tuple(values)) for name, values in found.items() if name in base and base[name] == tunable.usual[name])


def read_space(path: Path, tunable: Tunable) -> tuple[Knob, ...]:
    """The options that a YAML file names, with the values to try. InputError, which names the file and the option, for one that
    cannot be searched, and for values that it cannot have.
    """
    content = read_yaml(path, "space")
    if not isinstance(content, dict) or not content:
        raise InputError(f"`space={path}`: must name options, with a list of values or a range for each: lr: [0.001, 0.002]")
    for name in content:
        if name not in tunable.base:
            raise InputError(f"`space={path}`: {name}: {_unknown(str(name), tunable)}")
    return tuple(_knob(path, name, given, tunable) for name, given in content.items())


def _unknown(name: str, tunable: Tunable) -> str:
    if reason := tunable.untuned(name):
        return reason
    near = difflib.get_close_matches(name.replace("-", "_"), tunable.base, n=3)
    known = f"near it are {', '.join(near)}" if near else f"these can: {first_few(sorted(tunable.base), 40)}"
    return f"is no option that can be searched with `recipe={tunable.recipe}`; {known}"


def _knob(path: Path, name: str, given: Any, tunable: Tunable) -> Knob:
    where = f"`space={path}`: {name}"
    if isinstance(given, list) and given:
        values = [_value(where, name, value, tunable) for value in given]
        if len(set(map(repr, values))) < len(values):
            raise InputError(f"{where}: has a value twice")
        base = tunable.base[name]
        return Knob(name, tuple(values) if base in values else (base, *values))
    if isinstance(given, dict) and set(given) <= set(_RANGE) and {"low", "high"} <= set(given):
        return _range(where, name, given, tunable)
    raise InputError(
        f"{where}: must be a list of values, or a range {{low: 1, high: 10}} (log: true for even steps in the logarithm)"
    )


def _range(where: str, name: str, given: Mapping[str, Any], tunable: Tunable) -> Knob:
    if not isinstance(tunable.usual[name], int | float) or isinstance(tunable.usual[name], bool):
        raise InputError(f"{where}: has no range, as it is no number; give a list of values")
    log = given.get("log", False)
    if not isinstance(log, bool):
        raise InputError(f"{where}: log: must be true or false, not {log!r:.80}")
    low, high = (_value(f"{where}: {end}", name, given[end], tunable) for end in ("low", "high"))
    if not low < high:
        raise InputError(f"{where}: low must be below high")
    if log and low <= 0:
        raise InputError(f"{where}: low must be above 0 with log: true")
    return Knob(name, (), low, high, log, isinstance(tunable.usual[name], int))


def _value(where: str, name: str, value: Any, tunable: Tunable) -> Any:
    """A value as the option takes it. InputError for one that it does not take."""
    if isinstance(tunable.usual[name], float):
        with suppress(ValueError):
            # YAML reads 1e-3 as text, for want of a dot.
            value = float(value) if isinstance(value, str | int) and not isinstance(value, bool) else value
    if value is not None and not isinstance(value, bool | int | float | str):
        raise InputError(f"{where}: {value!r:.80}: must be one value")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: {value}: must be a finite number")
    try:
        tunable.with_values({name: value})
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return value
