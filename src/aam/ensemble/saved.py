"""An ensemble in a model folder: arrays, JSON and a list of sequences. Nothing is executed when it is loaded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from aam.artifact import ModelInfo, parse_info, read_config, write_folder
from aam.ensemble.catalogue import Catalogue
from aam.ensemble.cross_fit import PARTS
from aam.ensemble.ensemble import Ensemble
from aam.ensemble.familiar import Familiar
from aam.ensemble.members import KINDS, Arrays, Member
from aam.ensemble.weights import Calibration
from aam.ensemble.words import N_WORDS, SequenceWords
from aam.errors import InputError

_SEQUENCES = "asvs.txt"


@dataclass(frozen=True, eq=False)
class LoadedEnsemble:
    """An ensemble and what is known about it."""

    ensemble: Ensemble
    familiar: Familiar
    info: ModelInfo


def save_ensemble(folder: Path, ensemble: Ensemble, familiar: Familiar, info: ModelInfo) -> None:
    """Write the model folder; each file under a temporary name first, then renamed."""
    arrays: Arrays = {f"words.{name}": value for name, value in vars(ensemble.catalogue.words).items()}
    arrays |= {f"familiar.{name}": np.asarray(value) for name, value in vars(familiar).items()}
    for name, fitted in ensemble.members.items():
        for number, member in enumerate(fitted):
            arrays |= {f"{name}.{number}.{part}": value for part, value in member.arrays().items()}
    about = {
        "members": {name: len(fitted) for name, fitted in ensemble.members.items()},
        "weights": dict(ensemble.weights),
        "calibrations": {name: asdict(calibration) for name, calibration in ensemble.calibrations.items()},
        "overall": None if ensemble.overall is None else asdict(ensemble.overall),
        "known_asvs": len(ensemble.catalogue.sequences),
    }
    tensors = {name: torch.from_numpy(np.array(value, order="C")) for name, value in arrays.items()}
    more = {_SEQUENCES: "".join(f"{sequence}\n" for sequence in ensemble.catalogue.sequences)}
    write_folder(folder, tensors, info, ensemble=about, more=more)


def load_ensemble(folder: Path, option: str = "--model") -> LoadedEnsemble | None:
    """Read the ensemble of a model folder, or of the one in a run's output folder; None where the model there is a single network.

    InputError, which names the `option` that gave the folder, for one that is no complete model.
    """
    folder, config = read_config(folder, option)
    about = config.get("ensemble")
    if about is None:
        return None
    try:
        arrays = load_file(folder / "model.safetensors")
        sequences = tuple((folder / _SEQUENCES).read_text(encoding="utf-8").splitlines())
        info = parse_info(config, (folder / "samples.txt").read_text(encoding="utf-8").splitlines())
        _require(info.target is not None, "config.json names no target")
        _require(all(np.isfinite(array).all() for array in arrays.values()), "an array is not finite")
        familiar = Familiar(arrays["familiar.vectors"], float(arrays["familiar.limit"]))
        return LoadedEnsemble(_build(arrays, sequences, about), familiar, info)
    except (AttributeError, KeyError, TypeError, ValueError, OSError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{option} {folder}: not a complete model folder of AAM ({type(error).__name__}: {error})") from error


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _build(arrays: Arrays, sequences: tuple[str, ...], about: dict[str, Any]) -> Ensemble:
    """The ensemble, after a look at what could hang or crash later. ValueError where something does not fit."""
    _require(len(sequences) == about["known_asvs"], f"{len(sequences)} sequences in {_SEQUENCES}, not {about['known_asvs']}")
    words = SequenceWords(**_under(arrays, "words."))
    _require(words.directions.shape == (N_WORDS, len(words.shift)), "words")
    weights = {name: float(weight) for name, weight in about["weights"].items()}
    _require(min(weights.values()) >= 0 and abs(sum(weights.values()) - 1) < 1e-6, "weights do not add up to 1")
    _require(weights.keys() == about["members"].keys() <= KINDS.keys(), "weights are not those of the members")
    members: dict[Any, list[Member]] = {}
    for name, number in about["members"].items():
        _require(isinstance(number, int) and 1 <= number <= PARTS, f"{number} of {name}")
        members[name] = [KINDS[name].of(_under(arrays, f"{name}.{place}.")) for place in range(number)]
        for member in members[name]:
            member.require_fit(len(words.shift), len(sequences))
    calibrations = {name: _calibration(found) for name, found in about["calibrations"].items()}
    _require(not calibrations or calibrations.keys() == members.keys(), "calibrations are not those of the members")
    overall = None if about["overall"] is None else _calibration(about["overall"])
    return Ensemble(Catalogue(words, sequences), members, weights, calibrations, overall)


def _calibration(found: dict[str, Any]) -> Calibration:
    return Calibration(float(found["power"]), tuple(float(bias) for bias in found["biases"]))


def _under(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
