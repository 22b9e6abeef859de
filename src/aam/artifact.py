"""The model folder: config.json + model.safetensors + README.md + samples.txt. It alone is enough to predict on a new table.

Nothing in it is executed when it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from aam import __version__
from aam.config import DEFAULT_COMPUTE, ComputeOptions, ModelOptions, ReadOptions, UniFracMetric
from aam.data.targets import Categoricals, ClassTarget, RegressionTarget
from aam.errors import InputError
from aam.finite import finite_or_null
from aam.models import SequenceEncoder, SequencePredictor
from aam.ranks import by_first
from aam.schema import fits, parse
from aam.writing import whole

FORMAT_VERSION = 1
# At least, of the weights of a transformer.
_TENSORS_PER_LAYER = 8


@dataclass(frozen=True)
class TargetInfo:
    """What a `SequencePredictor` predicts and takes beside the microbes.

    interval: how wrong (`evaluation.intervals.scores_of`) a prediction of a sample of a new group is at most, 9 times in 10; None
    where it is not known.
    """

    metadata_column: str
    target: RegressionTarget | ClassTarget
    categoricals: Categoricals
    interval: float | None = None

    @property
    def outputs(self) -> int:
        return 1 if isinstance(self.target, RegressionTarget) else len(self.target.classes)


@dataclass(frozen=True)
class ModelInfo:
    """Everything about a model but its weights.

    `target` is None for an encoder. `learned_from` are the ids of every sample that the weights or the choice of the best epoch
    have seen, pretraining included. `scores` are its held-out scores, for the model card.
    """

    options: ModelOptions
    reads: ReadOptions
    unifrac_metric: str | None
    target: TargetInfo | None
    learned_from: tuple[str, ...]
    scores: dict[str, Any]


@dataclass(frozen=True)
class LoadedModel:
    """A model in inference mode and what is known about it; `predictor` is None when only an encoder was saved."""

    encoder: SequenceEncoder
    predictor: SequencePredictor | None
    info: ModelInfo


def build_predictor(
    encoder: SequenceEncoder, options: ModelOptions, target: TargetInfo, freeze_base: bool = False
) -> SequencePredictor:
    """A predictor on top of `encoder`, with a fresh head for the target."""
    return SequencePredictor(encoder, options, target.outputs, target.categoricals.sizes, freeze_base)


def save_model(folder: Path, model: SequenceEncoder | SequencePredictor, info: ModelInfo) -> None:
    """Write the model folder of a network."""
    write_folder(folder, {name: tensor.contiguous() for name, tensor in model.state_dict().items()}, info)


@by_first
def write_folder(
    folder: Path,
    tensors: Mapping[str, Tensor],
    info: ModelInfo,
    ensemble: Mapping[str, Any] | None = None,
    more: Mapping[str, str] | None = None,
) -> None:
    """Write weights and what is known about them; `ensemble`: what makes members of the weights; `more`: text files by name."""
    config = {"format_version": FORMAT_VERSION, "aam_version": __version__, **asdict(info), "ensemble": ensemble}
    config.pop("learned_from")
    if info.target is not None:
        config["target"]["kind"] = "regression" if isinstance(info.target.target, RegressionTarget) else "classification"
    texts = {
        "config.json": json.dumps(finite_or_null(config), indent=2, allow_nan=False) + "\n",
        "samples.txt": "".join(f"{sample_id}\n" for sample_id in info.learned_from),
        "README.md": _model_card(info, ensemble),
        **(more or {}),
    }
    with whole(folder) as new:
        new.mkdir()
        save_file(dict(tensors), new / "model.safetensors")
        for name, text in texts.items():
            (new / name).write_text(text, encoding="utf-8")


def load_model(folder: Path, option: str = "--model", compute: ComputeOptions = DEFAULT_COMPUTE) -> LoadedModel:
    """Read a model folder, or the one in a run's output folder, on the CPU in inference mode.

    InputError, which names the `option` that gave the folder, for one that is no model, or whose weights do not fit its config.
    """
    folder, config = read_config(folder, option)
    if config.get("ensemble") is not None:
        raise InputError(f"{option} {folder}: several models in one (train --auto), which only predict; give one network")
    try:
        info = parse_info(config, (folder / "samples.txt").read_text(encoding="utf-8").splitlines())
        weights = load_file(folder / "model.safetensors")
        _require_fit(info, weights)
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        raise InputError(f"{option} {folder}: not a complete model folder of AAM ({type(error).__name__}: {error})") from error
    encoder, predictor = _build(info, compute)
    model = predictor or encoder
    model.load_state_dict(weights)
    model.eval()
    return LoadedModel(encoder, predictor, info)


def _build(info: ModelInfo, compute: ComputeOptions) -> tuple[SequenceEncoder, SequencePredictor | None]:
    encoder = SequenceEncoder(info.options, info.reads.max_bp, compute)
    return encoder, build_predictor(encoder, info.options, info.target) if info.target else None


def _require_fit(info: ModelInfo, weights: Mapping[str, Tensor]) -> None:
    """ValueError for weights that are not those of the model in config.json, before memory is taken for one."""
    misfit = "model.safetensors does not fit config.json"
    if info.options.attention_layers * _TENSORS_PER_LAYER > len(weights):
        raise ValueError(misfit)
    if not all(value.numel() for value in weights.values()):
        raise ValueError("a weight is empty")
    try:
        with torch.device("meta"):
            encoder, predictor = _build(info, DEFAULT_COMPUTE)
    except (RuntimeError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(misfit) from error
    wanted = {name: (value.shape, value.dtype) for name, value in (predictor or encoder).state_dict().items()}
    if wanted != {name: (value.shape, value.dtype) for name, value in weights.items()}:
        raise ValueError(misfit)
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise ValueError("a weight is not finite")


def read_config(folder: Path, option: str) -> tuple[Path, dict[str, Any]]:
    """The model folder, or the one in a run's output folder, and its config.json."""
    if (folder / "model" / "config.json").is_file():
        folder = folder / "model"
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{option} {folder}: no model here, config.json is missing; give the output folder of pretrain or train")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{option} {path}: not JSON ({error})") from error
    found = config.get("format_version") if isinstance(config, dict) else None
    if type(found) is not int or found != FORMAT_VERSION:
        raise InputError(
            f"{option} {folder}: format version {found}, this AAM {__version__} reads {FORMAT_VERSION}; use the AAM that wrote it"
        )
    return folder, config


def parse_info(config: dict[str, Any], learned_from: list[str]) -> ModelInfo:
    """What config.json and samples.txt say. KeyError and ValueError for what is missing or of another type."""
    target = config["target"]
    metrics = get_args(UniFracMetric)
    if not (config["unifrac_metric"] in (None, "precomputed", *metrics) and isinstance(config["scores"], dict)):
        raise ValueError(f"unifrac_metric is {config['unifrac_metric']!r}, or scores are no object")
    return ModelInfo(
        options=parse(ModelOptions, config["options"], "options"),
        reads=parse(ReadOptions, config["reads"], "reads"),
        unifrac_metric=config["unifrac_metric"],
        target=None if target is None else _parse_target(target),
        learned_from=tuple(learned_from),
        scores=config["scores"],
    )


def _parse_target(config: dict[str, Any]) -> TargetInfo:
    kind = {"regression": RegressionTarget, "classification": ClassTarget}[config["kind"]]
    column, interval = config["metadata_column"], config["interval"]
    if not isinstance(column, str) or not fits(interval, float | None):
        raise ValueError(f"metadata_column is {column!r}, interval {interval!r}")
    categoricals = parse(Categoricals, config["categoricals"], "categoricals")
    return TargetInfo(column, parse(kind, config["target"], "target"), categoricals, interval)


def _model_card(info: ModelInfo, ensemble: Mapping[str, Any] | None) -> str:
    reads = info.reads
    depth = f"rarefied to {reads.sampling_depth} reads" if reads.sampling_depth else "all reads"
    if info.target is None:
        learned = {None: "with no distances", "precomputed": "whose distances are those of a given matrix"}
        purpose, command = (
            f"Sample embeddings {learned.get(info.unifrac_metric, f'whose distances are {info.unifrac_metric} UniFrac')}.",
            "aam embed --model . --table TABLE --output F.tsv",
        )
    else:
        purpose, command = (
            f"Predicts `{info.target.metadata_column}`.",
            "aam predict --model . --table TABLE --output predictions.tsv",
        )
    scores = "".join(f"| {name} | {_shown(value)} |\n" for name, value in info.scores.items() if not isinstance(value, dict))
    return f"""# An AAM model

{purpose}

- Learned from {len(info.learned_from)} samples (`samples.txt`), {depth}, the first {reads.max_bp} nucleotides of each ASV.
- {_shape(info, ensemble)}
{_promise(info.target)}- Written by AAM {__version__}. Use it with `{command}`.

| held-out score | value |
|---|---|
{scores}"""


def _shape(info: ModelInfo, ensemble: Mapping[str, Any] | None) -> str:
    if ensemble is not None:
        return "Weighted mean of " + ", ".join(f"{name} {weight:.2f}" for name, weight in ensemble["weights"].items()) + "."
    options = info.options
    return f"Width {options.embedding_dim}, {options.attention_heads} heads, {options.attention_layers} layers at each level."


def _promise(target: TargetInfo | None) -> str:
    if target is None:
        return ""
    if target.interval is None:
        return "- How far a prediction may be off is not known: there were too few held-out groups to tell.\n"
    if isinstance(target.target, RegressionTarget):
        return f"- Nine times in ten the truth of a sample of a new group is within {target.interval:.3g} of the prediction.\n"
    return f"- Nine times in ten the class of a sample of a new group has a probability of at least {1 - target.interval:.3g}.\n"


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
