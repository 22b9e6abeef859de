"""Checkpoints on the disk: the newest of a run that can be read, without executing anything in it."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from aam.errors import InputError
from aam.training.sharded import part_files, read_part, whole_shape

log = logging.getLogger(__name__)


class CheckpointFiles(TorchCheckpointIO):
    """Checkpoints straight into their files: Lightning's own go through memory and the temporary folder first."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        with Path(path).open("wb") as file:
            torch.save(checkpoint, file)


def before(path: Path) -> Path:
    """Where the checkpoint is kept that was at `path` before."""
    return path.with_name(f"{path.stem}-before{path.suffix}")


def newest(folder: Path, name: str, weights: Mapping[str, Tensor]) -> Path:
    """The checkpoint `last` or `best` of a run, or the one before where it cannot be read or has other `weights` than a module's.

    InputError where neither will do.
    """
    path = folder / f"{name}.ckpt"
    for candidate in (path, before(path)):
        try:
            _look_into(candidate, weights)
        except (
            OSError,
            EOFError,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
            AttributeError,
            pickle.UnpicklingError,
        ) as error:
            if candidate.exists():
                log.warning("%s cannot be read (%s)", candidate, type(error).__name__)
        else:
            return candidate
    raise InputError(f"{path}: no checkpoint there that can be read; start afresh with `overwrite`")


def _look_into(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Whatever error says that it is no whole checkpoint."""
    parts = [read_part(file) for file in (part_files(path) if path.is_dir() else [path])]
    for content in parts:
        for key in ("loops", "running", *(() if path.name.startswith("best") else ("callbacks", "lr_schedulers"))):
            content[key]
        if type(content["epoch"]) is not int or not (path.name.startswith("best") or len(content["optimizer_states"]) == 1):
            raise ValueError("no epoch, or no state of one optimiser")
    states = [content["state_dict"] for content in parts]
    shapes = {name: whole_shape([state[name] for state in states], value.shape) for name, value in weights.items()}
    if states[0].keys() != weights.keys() or shapes != {name: value.shape for name, value in weights.items()}:
        raise ValueError("other weights")
