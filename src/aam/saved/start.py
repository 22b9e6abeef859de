"""Weights of an earlier run that a new one starts from: of a model folder, or of a checkpoint."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from aam.disk.schema import parse
from aam.errors import InputError, one_line, path_of
from aam.models import Encoder, SequencePredictor
from aam.options import ModelOptions
from aam.saved.folder import WEIGHTS, open_folder
from aam.saved.info import TargetInfo, parse_info
from aam.saved.named import place_of
from aam.study.joint_target import JointTarget
from aam.study.targets import Target

log = logging.getLogger(__name__)

# Of an encoder, what it tells beside distances between its embeddings.
_TOLD = "heads."
_BASE, _HEAD, _OF_MODULE = "base_model.", "head.", "model."
# Of the shape, what changes no weight.
_FREE = ("dropout",)
_BROKEN = (OSError, EOFError, LookupError, RuntimeError, TypeError, ValueError, AttributeError, pickle.UnpicklingError)


@dataclass(frozen=True, eq=False)
class StartingWeights:
    """Weights of an encoder and, of a run that trained on a target, of a head, by name; options: the shape, where it is known;
    target: what the head predicts, where it is known; learned_from: IDs of the samples that the weights have seen, as far as is
    known.
    """

    path: Path
    encoder: Mapping[str, Tensor]
    head: Mapping[str, Tensor]
    options: ModelOptions | None = None
    target: TargetInfo | None = None
    learned_from: tuple[str, ...] = ()
    unifrac_metric: str | None = None

    def require_shape(self, wanted: ModelOptions) -> None:
        """InputError where an encoder of the shape `wanted` cannot take the weights, as far as the options say it."""
        if self.options is None:
            return
        names = [field.name for field in fields(ModelOptions) if field.name not in _FREE]
        there = [f"`{name}={value}`" for name in names if (value := getattr(self.options, name)) != getattr(wanted, name)]
        if there:
            here = ", ".join(str(getattr(wanted, entry[1:].split("=")[0])) for entry in there)
            raise InputError(f"`init_from={self.path}`: its model has {', '.join(there)}, this run {here}; give what it has")

    def into_encoder(self, encoder: Encoder) -> None:
        """Replace the weights of an encoder, and of what it tells that which has the same name and size. InputError where sizes
        differ.
        """
        heads = {name: value for name, value in encoder.state_dict().items() if name.startswith(_TOLD)}
        told = {name: value for name, value in self.encoder.items() if name.startswith(_TOLD)}
        fitting = {name: told[name] if name in told and told[name].shape == own.shape else own for name, own in heads.items()}
        weights = {**{name: value for name, value in self.encoder.items() if name not in told}, **fitting}
        if misfits := _misfits(encoder, weights):
            raise InputError(f"`init_from={self.path}`: its weights have other sizes than this run's model: {misfits[0]}")
        encoder.load_state_dict(weights)

    def into(self, model: SequencePredictor, target: Target | JointTarget) -> None:
        """Replace the weights of an encoder, and of its head where that is of the same target's kind, classes and sizes."""
        self.into_encoder(model.base_model)
        if not self.head:
            return
        known = self.target
        same = known is None or (known.target.kind, known.target.classes) == (target.kind, target.classes)
        if same and not _misfits(model.head, self.head):
            model.head.load_state_dict(dict(self.head))
            log.info("the head starts from the weights in %s, too", self.path)
        else:
            log.info("the head starts afresh: that in %s is of another target or other inputs", self.path)


def load_start(path: str | Path, wanted: ModelOptions) -> StartingWeights:
    """Weights of a model folder, of the output folder of a run, or of a checkpoint (*.ckpt) in its `checkpoints`, for a model of
    the shape `wanted`.

    InputError, which names the argument `init_from`, for what holds none, for an ensemble, for a checkpoint in parts, and for
    another shape.
    """
    weights = _load(place_of(path_of("init_from", path)))
    weights.require_shape(wanted)
    return weights


def _load(path: Path) -> StartingWeights:
    checkpoint = path / "checkpoints" / "best.ckpt"
    if path.suffix == ".ckpt":
        return _of_checkpoint(path)
    has_model = any((folder / "config.json").is_file() for folder in (path, path / "model"))
    if not has_model and checkpoint.exists():
        # Of a run that was not finished.
        return _of_checkpoint(checkpoint)
    return _of_folder(path)


def _of_folder(path: Path) -> StartingWeights:
    folder = open_folder(path, "init_from")
    if folder.config.get("ensemble") is not None:
        raise InputError(f"`init_from={path}`: an ensemble, whose weights no transformer can take; give a run of a transformer")
    try:
        info = parse_info(folder.config, folder.samples())
        weights = load_file(folder.path / WEIGHTS)
    except (*_BROKEN, SafetensorError) as error:
        raise folder.incomplete(f"{type(error).__name__}: {one_line(error)}") from error
    about = {"target": info.target, "learned_from": info.learned_from, "unifrac_metric": info.unifrac_metric}
    return _parted(path, weights, info.options, **about)


def _of_checkpoint(path: Path) -> StartingWeights:
    if path.is_dir():
        raise InputError(f"`init_from={path}`: a checkpoint in parts, of a model that was shared out; give the run's model folder")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state: dict[str, Any] = content["state_dict"]
        weights = {name.removeprefix(_OF_MODULE): value for name, value in state.items() if name.startswith(_OF_MODULE)}
        # Checkpoints of version 0.1.0 do not say it.
        options = parse(ModelOptions, content["shape"], "shape") if "shape" in content else None
        if not weights:
            raise ValueError("no weights of a model")
    except _BROKEN as error:
        what = f"{type(error).__name__}: {one_line(error):.200}"
        raise InputError(f"`init_from={path}`: no checkpoint of AAM that can be read ({what})") from error
    run = path.absolute().parent.parent
    files = [file for part in ("train", "val") if (file := run / f"{part}_samples.txt").is_file()]
    seen = tuple(line for file in files for line in file.read_text(encoding="utf-8").splitlines())
    return _parted(path, weights, options, learned_from=seen)


def _parted(path: Path, weights: Mapping[str, Tensor], options: ModelOptions | None, **about: Any) -> StartingWeights:
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise InputError(f"`init_from={path}`: a weight is not finite")
    head = {name.removeprefix(_HEAD): value for name, value in weights.items() if name.startswith(_HEAD)}
    based = {name.removeprefix(_BASE): value for name, value in weights.items() if name.startswith(_BASE)}
    return StartingWeights(path, based or weights, head if based else {}, options, **about)


def _misfits(module: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """What of a module's weights is not among some, or is of another size."""
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    names = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    return [f"{name} is {found.get(name, 'missing')} there, {wanted.get(name, 'missing')} here" for name in names]
