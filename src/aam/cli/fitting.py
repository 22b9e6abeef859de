"""From a study to a fitted model: what pretrain and train do once, and evaluate in every fold."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from aam.artifact import TargetInfo, build_predictor
from aam.cache import Cache
from aam.cli.predict import decode
from aam.cli.study import Study, first_draws
from aam.compute import default_device, describe
from aam.config import TargetOptions
from aam.data.dataset import Collate, SampleDataset, make_loader
from aam.data.metadata import categorical_column, numeric_column
from aam.data.splits import Split
from aam.data.stream import shuffled
from aam.data.targets import Categoricals, ClassTarget, RegressionTarget
from aam.inference import TableSamples, embed_samples, predict_embedded
from aam.models import SequenceEncoder, SequencePredictor
from aam.models.summary import summarise
from aam.training.fit import FitResult, fit
from aam.training.frozen import HeadModule, make_embedded_loader
from aam.training.memory import Plan, TrainingTable, plan_memory
from aam.training.module import PretrainModule, TrainModule

if TYPE_CHECKING:
    import pandas as pd

    from aam.cli.pretrain import PretrainConfig
    from aam.cli.train import TrainConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FittedEncoder:
    """An encoder fitted without labels, what it drew its samples from, and how the fit went."""

    encoder: SequenceEncoder
    dataset: SampleDataset
    result: FitResult
    plan: Plan


def fit_encoder(
    study: Study, split: Split, distance: nn.Module | None, config: PretrainConfig, folder: Path, monitor: str
) -> FittedEncoder:
    """Pretrain a fresh encoder on the training samples; the validation samples choose the epoch."""
    encoder = SequenceEncoder(config.model, config.reads.max_bp, config.compute)
    dataset = SampleDataset(study.table, config.reads, config.fit.seed)
    probe = first_draws(dataset, study, split.train)
    encoder.calibrate(probe.asv_tokens, probe.asv_index, probe.counts)
    training = TrainingTable(dataset, split.train, study.asv_tokens)
    plan = plan_memory(encoder, config.objectives, config.fit, config.compute, training, folder / "memory.json")
    options = replace(config.fit, batch_size=plan.batch_size, accumulate=plan.accumulate)
    log.info("%s\n%s", summarise(encoder), describe(config.compute, encoder.asv_encoder.gradient_checkpointing))
    collate = Collate(study.asv_tokens)
    workers = config.compute.num_workers
    train = make_loader(
        dataset, collate, split.train, options.batch_size, shuffle=True, fits=plan.limit, epochs=options.epochs, workers=workers
    )
    # In a fixed random order: neighbours in a table are alike, and pairs are of samples in one batch.
    val_order = shuffled(study.table.counts, split.val, np.random.default_rng(options.seed))
    val = make_loader(dataset, collate, val_order, options.batch_size, shuffle=False, fits=plan.limit, workers=workers)
    module = PretrainModule(encoder, distance, config.objectives, options, study.majority(split.train), probe)
    result = fit(module, (train, val), config.compute, folder, monitor, config.output.resume)
    return FittedEncoder(encoder, dataset, result, plan)


@dataclass(frozen=True, eq=False)
class Problem:
    """A study and what to predict in it. Everything fitted is fitted on the training samples.

    truth: [N], numbers in original units or class ids; target: [N], what the model learns, float32 (transformed) or int64;
    categoricals: int64 [N, C] or None.
    """

    study: Study
    split: Split
    info: TargetInfo
    truth: np.ndarray
    target: np.ndarray
    categoricals: np.ndarray | None


def pose_problem(study: Study, options: TargetOptions, split_by: Callable[[np.ndarray | None], Split]) -> Problem:
    """Read the target, split the samples (`split_by` the labels [N] of classes) and fit the transforms."""
    metadata = cast("pd.DataFrame", study.metadata)  # no target without
    column, ids = options.metadata_column, study.table.sample_ids
    target: RegressionTarget | ClassTarget
    if options.classifier:
        labels = categorical_column(metadata, column, ids)
        split = split_by(labels)
        target = ClassTarget.fit(labels[split.train])
        truth = learned = target.encode(labels)
    else:
        truth = numeric_column(metadata, column, ids)
        split = split_by(None)
        target = RegressionTarget.fit(truth[split.train], options.target_transform)
        learned = target.forward(truth).astype(np.float32)
    columns = options.categorical_columns
    categoricals = Categoricals.fit(metadata.iloc[split.train], columns)
    codes = categoricals.encode(metadata) if columns else None
    return Problem(study, split, TargetInfo(column, target, categoricals), truth, learned, codes)


@dataclass(frozen=True, eq=False)
class FittedPredictor:
    """A model fitted to a target, what it draws its samples from, and how the fit went.

    frozen: embeddings float32 [N, D] of a frozen base, else None.
    """

    model: SequencePredictor
    dataset: SampleDataset
    frozen: np.ndarray | None
    result: FitResult
    plan: Plan

    def predict(self, problem: Problem, rows: np.ndarray) -> np.ndarray:
        """Numbers in original units [rows], or class probabilities [rows, K]."""
        self.model.to(default_device())
        if self.frozen is None:
            samples = TableSamples(self.dataset, problem.study.asv_tokens, rows)
            embeddings = embed_samples(self.model.base_model, samples, 64)
        else:
            embeddings = self.frozen[rows]
        codes = None if problem.categoricals is None else problem.categoricals[rows]
        return decode(predict_embedded(self.model, embeddings, codes), problem.info.target)


def fit_predictor(
    problem: Problem, encoder: SequenceEncoder | None, distance: nn.Module | None, config: TrainConfig, folder: Path, monitor: str
) -> FittedPredictor:
    """Fit a head, and the encoder under it (None: a fresh one) unless it is frozen; `distance`: for a UniFrac loss beside."""
    study = problem.study
    dataset = SampleDataset(study.table, config.reads, config.fit.seed)
    if encoder is None:
        encoder = SequenceEncoder(config.model, config.reads.max_bp, config.compute)
        first = first_draws(dataset, study, problem.split.train)
        encoder.calibrate(first.asv_tokens, first.asv_index, first.counts)
    model = build_predictor(encoder, config.model, problem.info, config.encoder.freeze_base)
    parts = assemble(problem, model, dataset, distance, config, folder)
    log.info("%s\n%s", summarise(model), describe(config.compute, encoder.asv_encoder.gradient_checkpointing))
    result = fit(parts.module, parts.loaders, config.compute, folder, monitor, config.output.resume)
    return FittedPredictor(model, dataset, parts.frozen, result, parts.plan)


@dataclass(frozen=True, eq=False)
class Parts:
    """What a fit takes: the module, its training and validation batches, and how they were planned.

    frozen: embeddings float32 [N, D] of a frozen base, else None.
    """

    module: TrainModule
    loaders: tuple[DataLoader, DataLoader]
    plan: Plan
    frozen: np.ndarray | None


def assemble(
    problem: Problem,
    model: SequencePredictor,
    dataset: SampleDataset,
    distance: nn.Module | None,
    config: TrainConfig,
    folder: Path,
) -> Parts:
    """Build what is fitted. A frozen base runs once, here, and only the head is fitted to what it gave."""
    split, study, cache, fit = problem.split, problem.study, Cache.of(config.caching), config.fit
    about = (problem.info.target, config.target.loss_type, study.majority(split.train))
    if model.freeze_base:
        if config.compute.max_memory_gb or config.compute.auto_batch_size or config.compute.gradient_checkpointing:
            log.warning("a frozen base takes little memory: the options that bound it are not used with --freeze-base")
        frozen = embed_frozen(model, study, dataset, cache)
        inputs = (frozen, problem.target, problem.categoricals)
        heads = (
            make_embedded_loader(inputs, study.table.sample_ids, split.train, fit, shuffle=True),
            make_embedded_loader(inputs, study.table.sample_ids, split.val, fit, shuffle=False),
        )
        plan = Plan(fit.batch_size, fit.accumulate, gradient_checkpointing=False)
        return Parts(HeadModule(model, None, config.objectives, fit, *about), heads, plan, frozen)
    training = TrainingTable(dataset, split.train, study.asv_tokens)
    plan = plan_memory(model.base_model, config.objectives, fit, config.compute, training, folder / "memory.json")
    fit = replace(fit, batch_size=plan.batch_size, accumulate=plan.accumulate)
    collate = Collate(study.asv_tokens, problem.target, problem.categoricals)
    workers = config.compute.num_workers
    loaders = (
        make_loader(
            dataset, collate, split.train, fit.batch_size, shuffle=True, fits=plan.limit, epochs=fit.epochs, workers=workers
        ),
        make_loader(dataset, collate, split.val, fit.batch_size, shuffle=False, fits=plan.limit, workers=workers),
    )
    return Parts(TrainModule(model, distance, config.objectives, fit, *about), loaders, plan, None)


def embed_frozen(model: SequencePredictor, study: Study, dataset: SampleDataset, cache: Cache) -> np.ndarray:
    """Embeddings float32 [N, D] of all samples of a study by the model's base, which stays as it is: computed once for all epochs,
    the score and later runs.
    """
    base, reads, counts = model.base_model, dataset.reads, study.table.counts
    # Without a draw the seed decides nothing.
    seed = None if reads.sampling_depth is None and reads.token_limit is None else dataset.seed
    about = (
        base.asv_encoder.options,
        base.compute.mixed_precision,
        reads,
        seed,
        dataset.sample_keys,
        torch.__version__,
        default_device().type,
    )
    weights = base.state_dict()
    parts = [repr(about), repr(list(weights)), *(tensor.cpu().numpy() for tensor in weights.values())]
    parts += [counts.indptr, counts.indices, counts.data, study.asv_tokens]

    def embed() -> dict[str, np.ndarray]:
        samples = TableSamples(dataset, study.asv_tokens, np.arange(len(study.table.sample_ids)))
        # A loader draws a random number: with and without the cache the run goes on from the same state.
        with torch.random.fork_rng(devices=[]):
            return {"embeddings": embed_samples(base.to(default_device()), samples, 64)}

    return cache.arrays("embeddings of the frozen base", parts, embed)["embeddings"]
