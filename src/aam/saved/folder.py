"""The model folder: config.json + model.safetensors + README.md + samples.txt. It alone is enough to predict on a new table. What
people said of the model for its card is in card.json.

Nothing in it is executed when it is loaded.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from torch import Tensor

from aam import __version__
from aam.disk.json_files import json_text
from aam.disk.schema import parse
from aam.disk.writing import whole, write_text
from aam.ensemble.novelty import Novelty
from aam.errors import InputError, first_few, one_line, path_of
from aam.options import CardOptions
from aam.parallel.ranks import by_first
from aam.saved.card import card_text
from aam.saved.info import NOTHING_SAID, ModelInfo
from aam.saved.novelty import NOVELTY, novelty_arrays, read_novelty

log = logging.getLogger(__name__)

# In the output folder of a run of several targets: a folder for each, as that of a run of one.
TARGETS = "targets"
# Beside that folder: which targets there are, one a line, written before any of them is learned.
TARGET_LIST = "targets.txt"
FORMAT_VERSION = 1
WEIGHTS = "model.safetensors"
CARD, SAID = "README.md", "card.json"
# All that a model folder can hold; of an ensemble also the ASVs that it knows.
FILES = ("config.json", WEIGHTS, NOVELTY, "samples.txt", "asvs.txt", CARD, SAID)
# In config.json: that there is a file of what novelty is measured from. Version 0.1.0 had none.
_KNOWS = "knows_novelty"


@dataclass(frozen=True)
class ModelFolder:
    """A model folder whose config.json was read; argument: how the one who named it calls it, for messages."""

    path: Path
    config: dict[str, Any]
    argument: str

    def samples(self) -> list[str]:
        """IDs of the samples that the model has seen."""
        return self.lines("samples.txt")

    def said(self) -> CardOptions:
        """What people said of the model. ValueError for a file that is not sound."""
        return said_in(self.path)

    def lines(self, name: str) -> list[str]:
        """The lines of a text file in it."""
        return (self.path / name).read_text(encoding="utf-8").splitlines()

    def novelty(self) -> Novelty | None:
        """What novelty is measured from; None for a model that does not know. ValueError for a file that is not sound."""
        return read_novelty(self.path / NOVELTY) if self.config.get(_KNOWS) else None

    def incomplete(self, what: str) -> InputError:
        """The error for one that is no complete model."""
        return InputError(f"`{self.argument}={self.path}`: not a complete model folder of AAM ({what})")


def open_folder(folder: Path, argument: str = "folder") -> ModelFolder:
    """The model folder, or the one in a run's output folder. InputError where there is none, or one of another format."""
    if (folder / "model" / "config.json").is_file():
        folder = folder / "model"
    path = folder / "config.json"
    if several := folders_of(folder, argument):
        named = first_few(several.values())
        raise InputError(f"`{argument}={folder}`: holds a model for each of several targets; give one of them: {named}")
    if not path.is_file():
        raise InputError(
            f"`{argument}={folder}`: no model here, config.json is missing; give the output folder of pretrain or train"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"`{argument}={path}`: not JSON ({error})") from error
    found = config.get("format_version") if isinstance(config, dict) else None
    if type(found) is not int or found != FORMAT_VERSION:
        raise InputError(
            f"`{argument}={folder}`: format version {found}, AAM {__version__} reads {FORMAT_VERSION}; use the AAM that wrote it"
        )
    return ModelFolder(folder, config, argument)


def write_targets(folder: Path, names: Sequence[str]) -> None:
    """Write which targets a run of several has, so that one whose model is missing is missed (`folders_of`)."""
    write_text(folder / TARGET_LIST, "".join(f"{name}\n" for name in names))


def folders_of(folder: Path, argument: str) -> dict[str, Path]:
    """By target, the folders in the output folder of a run of several; none of any other folder. InputError where the run has not
    come to its end, or the model of a target was removed.
    """
    listed, within = folder / TARGET_LIST, folder / TARGETS
    if listed.is_file():
        names = sorted(listed.read_text(encoding="utf-8", errors="replace").splitlines())
    else:
        # As runs were before there was a list.
        names = sorted(place.name for place in within.iterdir()) if within.is_dir() else []
    places = {name: within / name for name in names}
    there = [place for place in places.values() if (place / "model" / "config.json").is_file()]
    if missing := [name for name, place in places.items() if place not in there]:
        other = f", or give the folder of one target: {first_few(there)}" if there else ""
        raise InputError(
            f"`{argument}={folder}`: the model of target {first_few(missing)} is missing (the run was stopped, or files were "
            f"removed); go on with that run (`resume`){other}"
        )
    return places


def place_for_model(folder: str | Path) -> Path:
    """The folder to save a model in. InputError for one that holds anything but a model: it would be replaced."""
    place = path_of("folder", folder).absolute()
    if not place.name or place.name == ".." or place == Path.cwd():
        raise InputError(f"`folder={folder}`: name a folder of its own for the model; it is replaced as a whole")
    if place.exists() and not place.is_dir():
        raise InputError(f"`folder={folder}`: is a file, not a folder")
    if place.is_dir() and (held := sorted(entry.name for entry in place.iterdir())) and not _is_model(place):
        raise InputError(
            f"`folder={folder}`: holds {first_few(held, 3)} and no model; choose another, which is replaced as a whole"
        )
    return place


def _is_model(folder: Path) -> bool:
    try:
        return "format_version" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def said_in(folder: Path) -> CardOptions:
    """What people said of the model in a folder, if anything. ValueError for a file that is not sound."""
    path = folder / SAID
    if not path.is_file():
        return NOTHING_SAID
    try:
        return parse(CardOptions, json.loads(path.read_text(encoding="utf-8")), SAID)
    except RecursionError as error:
        raise ValueError(f"{SAID}: {error}") from error


def kept_said(folder: Path) -> CardOptions:
    """The same of a model that is about to be replaced by one that goes on from it."""
    try:
        return said_in(folder)
    except (OSError, ValueError) as error:
        log.warning("what was said of the model in %s is lost: %s", folder, one_line(error))
        return NOTHING_SAID


def said_texts(said: CardOptions) -> dict[str, str]:
    """The file of what people said, where they said anything."""
    told = {name: value for name, value in vars(said).items() if value is not None}
    return {SAID: json_text(told)} if told else {}


@by_first
def write_folder(
    folder: Path,
    tensors: Mapping[str, Tensor],
    info: ModelInfo,
    known: Callable[[], Novelty | None],
    ensemble: Mapping[str, Any] | None = None,
    more: Mapping[str, str] | None = None,
) -> None:
    """Write weights and what is known about them; `known`: gives what novelty is measured from, on the rank that writes;
    `ensemble`: what makes members of the weights; `more`: text files by name.
    """
    novelty = known()
    versions = {"format_version": FORMAT_VERSION, "aam_version": __version__, _KNOWS: novelty is not None}
    texts = {
        "config.json": json_text({**versions, **info.config(), "ensemble": ensemble}),
        "samples.txt": "".join(f"{sample_id}\n" for sample_id in info.learned_from),
        CARD: card_text(info, novelty, ensemble),
        **said_texts(info.said),
        **(more or {}),
    }
    with whole(folder) as new:
        new.mkdir()
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, new / WEIGHTS)
        if novelty is not None:
            arrays = novelty_arrays(novelty)
            save_arrays({name: np.array(value, order="C") for name, value in arrays.items()}, new / NOVELTY)
        for name, text in texts.items():
            (new / name).write_text(text, encoding="utf-8")
