"""An ensemble in a model folder: arrays, JSON and a list of sequences. Nothing is executed when it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from aam.artifact import ModelInfo, parse_info, read_config, write_folder
from aam.ensemble.catalogue import Catalogue
from aam.ensemble.ensemble import Ensemble
from aam.ensemble.familiar import Familiar
from aam.ensemble.members import KINDS, Arrays, Member
from aam.ensemble.words import SequenceWords
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
        "powers": dict(ensemble.powers),
        "power": ensemble.power,
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
        familiar = Familiar(arrays["familiar.vectors"], float(arrays["familiar.limit"]))
        return LoadedEnsemble(_build(arrays, sequences, about), familiar, info)
    except (KeyError, TypeError, ValueError, OSError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{option} {folder}: not a complete model folder of AAM ({type(error).__name__}: {error})") from error


def _build(arrays: Arrays, sequences: tuple[str, ...], about: dict[str, Any]) -> Ensemble:
    if len(sequences) != about["known_asvs"]:
        raise ValueError(f"{len(sequences)} sequences in {_SEQUENCES}, {about['known_asvs']} were learned from")
    members: dict[Any, list[Member]] = {
        name: [KINDS[name].of(_under(arrays, f"{name}.{place}.")) for place in range(number)]
        for name, number in about["members"].items()
    }
    catalogue = Catalogue(SequenceWords(**_under(arrays, "words.")), sequences)
    return Ensemble(catalogue, members, about["weights"], about["powers"], about["power"])


def _under(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
