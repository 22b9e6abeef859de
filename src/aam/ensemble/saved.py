"""An ensemble in a model folder: arrays, JSON and a list of sequences. Nothing is executed when it is loaded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from scipy import sparse

from aam.artifact import ModelInfo, parse_info, read_config, write_folder
from aam.data.sequences import tokenize
from aam.ensemble.catalogue import Catalogue, SeenTable
from aam.ensemble.cross_fit import PARTS
from aam.ensemble.ensemble import Ensemble
from aam.ensemble.familiar import Familiar
from aam.ensemble.members import KINDS, Arrays, Member
from aam.ensemble.weights import Calibration
from aam.ensemble.words import N_WORDS, SequenceWords
from aam.errors import InputError, one_line

_SEQUENCES = "asvs.txt"
# Of an array without columns, as vectors are where all ASVs are alike.
_LONGEST = 2**16
# Known ASVs in a made-up sample.
_TRIED = 3
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)


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
        # What takes no bytes could be of any length.
        _require(all(array.size or max(array.shape) <= _LONGEST for array in arrays.values()), "an array of nothing")
        _require(all(np.isfinite(array).all() for array in arrays.values()), "an array is not finite")
        sequences = tuple((folder / _SEQUENCES).read_text(encoding="utf-8").splitlines())
        info = parse_info(config, (folder / "samples.txt").read_text(encoding="utf-8").splitlines())
        if info.target is None:
            raise ValueError("config.json names no target")
        ensemble = _build(arrays, sequences, about, info.target.outputs)
        _require(arrays["familiar.vectors"].shape[1:] == ensemble.catalogue.words.shift.shape, "the vectors of familiar ASVs")
        loaded = LoadedEnsemble(ensemble, Familiar(arrays["familiar.vectors"], float(arrays["familiar.limit"])), info)
        with np.errstate(all="ignore"):
            _try(loaded, info.target.outputs)
    except _BROKEN as error:
        what = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(f"{option} {folder}: not a complete model folder of AAM ({what})") from error
    return loaded


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _build(arrays: Arrays, sequences: tuple[str, ...], about: dict[str, Any], outputs: int) -> Ensemble:
    """The ensemble, after a look at what could hang or take all memory later. ValueError where something does not fit."""
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
            member.require_fit(len(words.shift), len(sequences), outputs)
    calibrations = {name: _calibration(found) for name, found in about["calibrations"].items()}
    _require(not calibrations or calibrations.keys() == members.keys(), "calibrations are not those of the members")
    overall = None if about["overall"] is None else _calibration(about["overall"])
    return Ensemble(Catalogue(words, sequences), members, weights, calibrations, overall)


def _try(loaded: LoadedEnsemble, outputs: int) -> None:
    """Whatever error comes of predicting two made-up samples, of ASVs that are known and of one that is not."""
    catalogue = loaded.ensemble.catalogue
    identity = np.arange(min(len(catalogue.sequences), _TRIED) + 1)
    tokens = tokenize(["ACGTTGCA"] * len(identity), [str(number) for number in identity], 8)
    counts = sparse.csr_array(np.tile(1 + identity, (2, 1)))
    table = SeenTable(counts, tokens, catalogue.words.vectors(tokens), identity, len(catalogue.sequences))
    rows = np.arange(2)
    every = [member.predict(table, rows) for members in loaded.ensemble.members.values() for member in members]
    for said in (*every, loaded.ensemble.predict(table, rows)):
        _require(said.shape == ((2,) if outputs == 1 else (2, outputs)) and bool(np.isfinite(said).all()), "what a member says")
    _require(bool(np.isfinite(loaded.familiar.distances(table)).all()), "the vectors of familiar ASVs")


def _calibration(found: dict[str, Any]) -> Calibration:
    return Calibration(float(found["power"]), tuple(float(bias) for bias in found["biases"]))


def _under(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
