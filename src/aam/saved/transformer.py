"""Fitted transformers: an encoder, and one with a head that predicts a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from aam.augment.choice import AugmentChoice
from aam.compute import default_device
from aam.data.dataset import SampleDataset
from aam.disk.cache import key_of
from aam.ensemble.novelty import Novelty
from aam.errors import InputError
from aam.models import Encoder, SequencePredictor, make_encoder
from aam.models.heads import Head, first_space
from aam.models.inference import TableSamples, embed_asvs, embed_samples, predict_embedded, told_of, vectors_of
from aam.models.sequence_predictor import CovariateShape
from aam.models.weightless import weightless
from aam.options import DEFAULT_COMPUTE, ComputeOptions, ModelOptions, ReadOptions
from aam.saved.fitted import Fitted
from aam.saved.folder import WEIGHTS, ModelFolder, place_for_model, write_folder
from aam.saved.info import ModelInfo, parse_info
from aam.saved.readers import TransformerReader
from aam.saved.shuffled import shuffled_state
from aam.study.covariates import Covariates
from aam.study.joint_target import JointTarget
from aam.study.study import Study
from aam.study.targets import RegressionTarget, Target

# At least, of the weights of a transformer.
_TENSORS_PER_LAYER = 8


def build_predictor(
    encoder: Encoder,
    options: ModelOptions,
    target: Target | JointTarget,
    covariates: Covariates,
    freeze_base: bool = False,
) -> SequencePredictor:
    """A predictor on top of `encoder`, with a fresh head for the target."""
    shape = shape_of(covariates)
    return SequencePredictor(encoder, options, target.head_outputs, shape, freeze_base, target.head_steps)


def predictors_of(
    model: SequencePredictor, options: ModelOptions, joint: JointTarget, covariates: Covariates
) -> list[SequencePredictor]:
    """Of a model of several targets, one for each: the same encoder, and of the head what says that target."""
    alone = []
    for target, places in zip(joint.targets, joint.places, strict=True):
        one = build_predictor(model.base_model, options, target, covariates, model.freeze_base)
        one.head.load_state_dict(model.head.part(*places))
        alone.append(one.eval())
    return alone


def shape_of(covariates: Covariates) -> CovariateShape:
    """What a head must know of covariates."""
    return CovariateShape(covariates.sizes, covariates.width - sum(covariates.sizes), covariates.fusion)


@dataclass(eq=False, kw_only=True)
class FittedEncoder(Fitted):
    """An encoder that was pretrained without labels; batch_size: samples at a time, for memory and speed."""

    encoder: Encoder
    info: ModelInfo
    batch_size: int = 64
    _novelty: Novelty | Callable[[], Novelty] | None = field(default=None, repr=False)

    @property
    def model(self) -> Encoder | SequencePredictor:
        """The network whose weights are saved."""
        return self.encoder

    def predict(self, study: Study, rows: np.ndarray | None = None) -> np.ndarray:
        raise InputError("an encoder, which predicts nothing: train on it (`pretrained_encoder`), or use embed")

    def embed(self, study: Study, rows: np.ndarray | None = None, space: str | None = None) -> np.ndarray:
        """Sample embeddings float32 [n, D]; space: one of `spaces`, whose distances (or quantity, [n, 1]) are given instead, in
        units of its own.
        """
        head = self.head_of(space)
        embeddings = self.embed_as_learned(study, rows)
        return embeddings if head is None else self.told(head, embeddings)

    def embed_as_learned(self, study: Study, rows: np.ndarray | None = None) -> np.ndarray:
        """Sample embeddings float32 [n, D] as heads take them: distances between them are in the unit of training."""
        study = study.read_as(self.info.reads)
        self.look_at(study)
        dataset = SampleDataset(study.table, self.info.reads, self.info.seed)
        samples = TableSamples(dataset, study.asv_tokens, study.rows if rows is None else rows)
        return embed_samples(self.encoder.to(default_device()), samples, self.batch_size)

    def told(self, head: Head, embeddings: np.ndarray) -> np.ndarray:
        """What a head tells of embeddings as learned, float32 [n, outputs], in its own units."""
        return told_of(self.encoder, head, embeddings)

    @property
    def spaces(self) -> tuple[str, ...]:
        """What the encoder tells of samples: metrics, whose distances are those in a space, and quantities."""
        return tuple(head.name for head in self.info.heads if head.of_samples)

    def head_of(self, name: str | None) -> Head | None:
        """The head of a space; without a name the first of distances, where there is one. InputError for a space that it lacks."""
        if name is None:
            return first_space(self.info.heads)
        if name not in self.spaces:
            there = f"this encoder has {', '.join(self.spaces)}" if self.spaces else "this encoder was taught none"
            raise InputError(f"`space={name}`: {there}")
        return next(head for head in self.info.heads if head.name == name)

    def embed_asvs(self, study: Study) -> np.ndarray:
        # ASVs are embedded whatever the depth of the samples they are in.
        study = study.read_as(replace(self.info.reads, sampling_depth=None, rarefy_each_epoch=False))
        self.look_at(study)
        return embed_asvs(self.encoder.to(default_device()).asv_encoder, study.asv_tokens).cpu().numpy()

    def save(self, folder: str | Path, *, half: bool = False) -> None:
        """As `Fitted.save`; half: weights in half precision, which are half as large and say nearly the same."""
        weights = {name: _halved(value) if half else value for name, value in self.model.state_dict().items()}
        write_folder(place_for_model(folder), weights, self.info, lambda: self.known)


@dataclass(eq=False, kw_only=True)
class FittedTransformer(FittedEncoder):
    """A transformer that predicts a target.

    embedded: a study and the embeddings of its samples float32 [N, D], which a frozen base has given already; augmentation: what
    was used in training, where one was.
    """

    predictor: SequencePredictor
    augmentation: AugmentChoice | None = None
    embedded: tuple[Study, np.ndarray] | None = None
    _said: tuple[Study, bytes | None, np.ndarray] | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        # The samples that it was fitted to are nobody's who only predicts.
        return {**super().__getstate__(), "embedded": None, "_said": None}

    @property
    def model(self) -> SequencePredictor:
        return self.predictor

    def predict(self, study: Study, rows: np.ndarray | None = None) -> np.ndarray:
        return self.placed(study, rows, self.target.target.decode_outputs(self._outputs(study, rows)))

    def banded(self, study: Study, predicted: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray | None:
        target, band = self.target.target, self.target.band
        if not (isinstance(target, RegressionTarget) and target.learns_quantiles):
            return super().banded(study, predicted, rows)
        found = self.placed(study, rows, target.decode_quantiles(self._outputs(study, rows)))
        # Predictions may be the mean of several draws: quantiles of the first are as far from it.
        found = target.within(found + (predicted - found[:, target.quantiles.index(0.5)])[:, None])
        return found if band is None else target.within(band.apply(found))

    def _outputs(self, study: Study, rows: np.ndarray | None) -> np.ndarray:
        """What the head says of the samples `rows`, float32 [n, O]; the last answer is kept, as quantiles are of the same."""
        asked = rows if rows is None else rows.tobytes()
        if self._said is None or self._said[0] is not study or self._said[1] != asked:
            self._said = (study, asked, self._run(study, study.rows if rows is None else rows))
        return self._said[2]

    def _run(self, study: Study, rows: np.ndarray) -> np.ndarray:
        self.predictor.to(default_device())
        design = self.target.covariates.of_samples(study.full_metadata)
        known = self.embedded is not None and self.embedded[0] is study
        embeddings = self.embedded[1][rows] if known and self.embedded else self.embed_as_learned(study, rows)
        return predict_embedded(self.predictor, embeddings, None if design is None else design[rows])

    def reseeded(self, seed: int) -> FittedTransformer:
        return replace(self, info=replace(self.info, seed=seed), embedded=None, _said=None)

    def reader(self, study: Study) -> TransformerReader:
        encoder = self.predictor.to(default_device()).base_model
        seen = study.read_as(self.info.reads).drawn(self.info.seed)
        samples = TableSamples(SampleDataset(seen.table, ReadOptions(), 0), seen.asv_tokens, seen.rows)
        design = self.target.covariates.of_samples(study.full_metadata)
        return TransformerReader(seen.counts, self.target, self.predictor, vectors_of(encoder, samples), design, self.batch_size)

    def shuffled(self, seed: int = 0) -> FittedTransformer:
        predictor = deepcopy(self.predictor)
        predictor.load_state_dict(shuffled_state(self.predictor.state_dict(), seed))
        return replace(self, predictor=predictor, encoder=predictor.base_model, embedded=None, _said=None, _novelty=None)

    def fingerprint(self) -> str:
        weights = self.predictor.state_dict().items()
        return key_of(part for name, value in weights for part in (name, value.detach().cpu().numpy()))


def read_transformer(folder: ModelFolder, compute: ComputeOptions = DEFAULT_COMPUTE, batch_size: int = 64) -> FittedEncoder:
    """Read an encoder or a transformer on the CPU, in inference mode.

    InputError for a folder that is not complete, or whose weights do not fit its config.
    """
    try:
        info, path = parse_info(folder.config, folder.samples(), folder.said()), folder.path / WEIGHTS
        # What was saved in half precision is computed with in single precision, as all else.
        weights = {name: value.float() if value.dtype == torch.float16 else value for name, value in load_file(path).items()}
        _require_fit(info, weights)
        novelty = folder.novelty()
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        raise folder.incomplete(f"{type(error).__name__}: {error}") from error
    encoder, predictor = _build(info, compute)
    (predictor or encoder).load_state_dict(weights)
    (predictor or encoder).eval()
    if predictor is None:
        return FittedEncoder(encoder=encoder, info=info, batch_size=batch_size, _novelty=novelty)
    return FittedTransformer(encoder=encoder, info=info, batch_size=batch_size, _novelty=novelty, predictor=predictor)


def _build(info: ModelInfo, compute: ComputeOptions) -> tuple[Encoder, SequencePredictor | None]:
    encoder = make_encoder(info.options, info.reads.max_bp, compute, info.heads)
    return encoder, build_predictor(encoder, info.options, info.target.target, info.target.covariates) if info.target else None


def _halved(value: Tensor) -> Tensor:
    """In half precision, where that has numbers as large."""
    half = value.half() if value.is_floating_point() else value
    return half if half.isfinite().all() else value


def _require_fit(info: ModelInfo, weights: Mapping[str, Tensor]) -> None:
    """ValueError for weights that are not those of the model in config.json, before memory is taken for one."""
    misfit = f"{WEIGHTS} does not fit config.json"
    if info.options.attention_layers * _TENSORS_PER_LAYER > len(weights):
        raise ValueError(misfit)
    if not all(value.numel() for value in weights.values()):
        raise ValueError("a weight is empty")
    try:
        with weightless():
            encoder, predictor = _build(info, DEFAULT_COMPUTE)
    except (RuntimeError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(misfit) from error
    wanted = {name: (value.shape, value.dtype) for name, value in (predictor or encoder).state_dict().items()}
    if wanted != {name: (value.shape, value.dtype) for name, value in weights.items()}:
        raise ValueError(misfit)
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise ValueError("a weight is not finite")
