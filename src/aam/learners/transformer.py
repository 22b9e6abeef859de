"""The transformer, trained for a target: from scratch, from a pretrained encoder, or as a head on a frozen one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from aam.augment.choice import AugmentChoice, choose_augmentation
from aam.compute import default_device, describe, workers_of
from aam.data.dataset import Collate, SampleDataset, make_loader
from aam.disk.cache import Cache
from aam.distances.unifrac import UniFrac
from aam.ensemble.novelty import novelty_of
from aam.errors import InputError
from aam.learners.pretraining import (
    augmented_dataset,
    check_clades,
    commonest_letters,
    first_draws,
    known_tokens,
    split_off,
    warn_of_few,
)
from aam.learners.workspace import Workspace, working_in
from aam.models import Encoder, SequencePredictor, make_encoder
from aam.models.inference import TableSamples, embed_samples
from aam.models.summary import summarise
from aam.options import (
    CANDIDATES,
    AugmentOptions,
    ModelOptions,
    TrainComputeOptions,
    TrainFitOptions,
    TrainObjectives,
    check_augment,
    check_frozen,
)
from aam.parallel.collectives import world
from aam.saved.info import ModelInfo, Origin, TargetInfo, band_of, median_of
from aam.saved.start import StartingWeights
from aam.saved.transformer import FittedEncoder, FittedTransformer, build_predictor, predictors_of
from aam.scoring.bands import Band
from aam.scoring.intervals import scores_of, thresholds
from aam.study.folds import INNER_FOLDS, inner_folds
from aam.study.problem import Problem
from aam.study.several import JointProblem, own_rows, require_learnable
from aam.study.splits import Split
from aam.study.study import Study
from aam.study.targets import RegressionTarget
from aam.training.fit import FitResult, check_fit, fit, monitor_of
from aam.training.frozen import HeadModule, make_embedded_loader
from aam.training.memory import MemoryPlan, TrainingTable, plan_memory
from aam.training.module import TrainModule
from aam.training.objectives.taught import Taught, taught_by

log = logging.getLogger(__name__)


class EncoderSource(Protocol):
    """Gives the encoder that a fit starts from."""

    def encoder_for(self, problem: Problem, rows: np.ndarray) -> FittedEncoder:
        """The encoder for training samples; it is not changed."""


@dataclass(frozen=True)
class GivenEncoder:
    """One that is there already."""

    fitted: FittedEncoder

    def encoder_for(self, problem: Problem, rows: np.ndarray) -> FittedEncoder:
        """The one that was given."""
        return self.fitted


@dataclass(frozen=True)
class TransformerLearner:
    """Fits a transformer to a target.

    start: gives the encoder to start from, None for a fresh one; weights: of an earlier run, with its head, to start from instead;
    freeze_base: only the head learns; augment: how training samples are changed in each epoch; validation: samples that choose
    the epoch, else a share `val_fraction` of the samples is drawn; cache: of embeddings of a frozen base; workspace: where
    checkpoints are kept, or a folder below `scratch` that is gone afterwards; show: progress bars of training.
    """

    model: ModelOptions = field(default_factory=ModelOptions)
    objectives: TrainObjectives = field(default_factory=TrainObjectives)
    options: TrainFitOptions = field(default_factory=TrainFitOptions)
    compute: TrainComputeOptions = field(default_factory=TrainComputeOptions)
    start: EncoderSource | None = None
    weights: StartingWeights | None = None
    freeze_base: bool = False
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    val_fraction: float = 0.1
    validation: np.ndarray | None = None
    cache: Cache = field(default_factory=lambda: Cache(None))
    workspace: Workspace | None = None
    scratch: Path | None = None
    show: bool = True

    def __post_init__(self) -> None:
        if self.freeze_base and self.start is None:
            raise InputError("`freeze_base` needs `pretrained_encoder`: an encoder worth keeping")

    def fit(self, problem: Problem, rows: np.ndarray) -> FittedTransformer:
        """Fit to the samples `rows`, of which a part chooses the epoch."""
        return self.fit_with_history(problem, rows)[0]

    def check(self, problem: Problem | JointProblem, rows: np.ndarray) -> str:
        """InputError for what cannot work, before anything is computed; what chooses the best epoch."""
        if self.freeze_base:
            check_frozen(self.objectives, problem.study.reads)
        if self.weights is not None:
            self.weights.require_shape(self.model)
        if self.model.clades and self.start is None and self.weights is None:
            raise InputError(f"`clades={self.model.clades}` are taught by pretrain: start from its encoder (`pretrained_encoder`)")
        self._check_augment(problem)
        split = self._split(problem, rows)
        require_learnable(problem.parts, split)
        check_fit(self.options, split, self.objectives.is_taught)
        return monitor_of(self.options.best_metric, problem.target.best_metrics)

    def _check_augment(self, problem: Problem | JointProblem) -> None:
        """InputError for an augmentation that cannot be."""
        distance = problem.study.distance
        check_augment(
            self.augment,
            sequences=True,
            # Without distances what is taught of them gets a tree that is built.
            tree=isinstance(distance, UniFrac) or (distance is None and self.objectives.is_taught),
            several=isinstance(problem, JointProblem),
            frozen=self.freeze_base,
            planned=bool(self.compute.max_memory_gb or self.compute.auto_batch_size),
        )

    @property
    def seen_before(self) -> tuple[str, ...]:
        """IDs of the samples that the weights of an earlier run have seen."""
        return () if self.weights is None else self.weights.learned_from

    def _split(self, problem: Problem | JointProblem, rows: np.ndarray) -> Split:
        return split_off(rows, self.validation, self.val_fraction, self.options.seed, problem.groups, problem.labels)

    def fit_with_history(self, problem: Problem, rows: np.ndarray) -> tuple[FittedTransformer, FitResult]:
        """The same, with the metrics of every epoch."""
        (fitted,), result = self.fit_at_once(problem, rows)
        return fitted, result

    def fit_several(
        self, problems: Mapping[str, Problem], rows: np.ndarray, weights: Mapping[str, float] | None = None
    ) -> dict[str, FittedTransformer]:
        """Fit one encoder and one head to several targets of a study (`pose_several`) on the samples `rows`; a missing value is
        masked in the loss. weights: how much the loss of each counts, 1 if not named. One transformer for each comes out of it.
        """
        return dict(zip(problems, self.fit_at_once(JointProblem.of(problems, weights or {}), rows)[0], strict=True))

    def fit_at_once(self, problem: Problem | JointProblem, rows: np.ndarray) -> tuple[list[FittedTransformer], FitResult]:
        """A transformer for each target, and the metrics of every epoch."""
        if self.augment.is_auto and isinstance(problem, Problem):
            choice = self._chosen(problem, rows)
            chosen, result = replace(self, augment=choice.options).fit_with_history(problem, rows)
            return [replace(chosen, augmentation=choice)], result
        monitor, split = self.check(problem, rows), self._split(problem, rows)
        posed = problem.fitted_to(split.train)
        start = None if self.start is None else self.start.encoder_for(problem.parts[0], rows)
        check_clades(self.model if start is None else start.info.options, self.objectives, self.compute)
        if start is not None:
            start.look_at(problem.study)
        with working_in(self.workspace, self.scratch) as place:
            L.seed_everything(self.options.seed, verbose=False)
            dataset = SampleDataset(posed.study.table, posed.study.reads, self.options.seed)
            encoder, model_options = self._encoder(posed.study, dataset, split, start)
            model = build_predictor(encoder, model_options, posed.target, posed.covariates, self.freeze_base)
            if self.weights is not None:
                self.weights.into(model, posed.target)
            parts = (
                self._frozen(posed, model, dataset, split) if self.freeze_base else self._whole(posed, model, dataset, split, place)
            )
            warn_of_few(split, parts.module.fit_options)
            log.info("%s\n%s", summarise(model), describe(self.compute, encoder.asv_encoder.gradient_checkpointing))
            result = fit(parts.module, parts.loaders, self.compute, place.folder, monitor, place.resume, self.show, place.tracked)
            parts.plan.log_peak()
        before = self.seen_before if start is None else start.info.learned_from
        seen = np.concatenate([split.train, split.val])
        learned_from = tuple(dict.fromkeys([*before, *posed.study.ids(seen)]))
        metric = getattr(self.weights, "unifrac_metric", None) if start is None else start.info.unifrac_metric
        origin = Origin.of(posed.study, posed.groups, seen)
        about = ModelInfo(model_options, posed.study.reads, metric, None, learned_from, seed=self.options.seed, origin=origin)
        embedded = None if parts.frozen is None else (problem.study, parts.frozen)
        novelty = novelty_of(posed.study, np.sort(seen), posed.groups, self.options.seed)
        augmentation = AugmentChoice(self.augment.augment) if self.augment.augment else None
        made: dict[str, Any] = {"encoder": encoder, "_novelty": novelty, "embedded": embedded, "augmentation": augmentation}
        if isinstance(posed, Problem):
            return [FittedTransformer(**made, info=replace(about, target=_told(posed, split.train)), predictor=model)], result
        alone = predictors_of(model, model_options, posed.target, posed.covariates)
        targets = [_told(part, own_rows(part, split.train)) for part in posed.parts]
        fitted = [
            FittedTransformer(**made, info=replace(about, target=target), predictor=one)
            for one, target in zip(alone, targets, strict=True)
        ]
        return fitted, result

    def _chosen(self, problem: Problem, rows: np.ndarray) -> AugmentChoice:
        """Whether augmentation helps, by inner folds of the samples `rows`."""
        self.check(problem, rows)
        if world() > 1:
            raise InputError("`augment=auto` is chosen on one device; choose it there, and name it here")
        alone = replace(self, validation=None, workspace=None, scratch=None, show=False)
        parts = inner_folds(rows, INNER_FOLDS, self.options.seed, groups=problem.groups, labels=problem.labels)
        said: dict[str, np.ndarray] = {}
        for name in ("", *CANDIDATES):
            learner = replace(alone, augment=AugmentOptions(augment=name or None))
            said[name] = problem.target.nothing_said(len(rows))
            for learn, judge in parts:
                said[name][judge] = learner.fit(problem, rows[learn]).predict(problem.study, rows[judge])
        return choose_augmentation(problem.truth[rows], said.pop(""), said, problem.units(rows), problem.target.measure)

    def _encoder(
        self, study: Study, dataset: SampleDataset, split: Split, start: FittedEncoder | None
    ) -> tuple[Encoder, ModelOptions]:
        """The encoder to train, and the model's options: its shape is that of the encoder that it starts from."""
        if start is not None:
            return start.encoder.without_heads(), replace(start.info.options, dropout=self.model.dropout)
        encoder = make_encoder(self.model, study.reads.max_bp, self.compute)
        first = first_draws(dataset, study, split.train)
        encoder.calibrate(first.asv_tokens, first.asv_index, first.counts, known_tokens(study, split.train, self.options.seed))
        return encoder, self.model

    def _whole(
        self, posed: Problem | JointProblem, model: SequencePredictor, dataset: SampleDataset, split: Split, place: Workspace
    ) -> _Parts:
        """What is fitted where encoder and head learn."""
        study, compute = posed.study, self.compute
        training = TrainingTable(dataset, split.train, study.asv_tokens)
        plan = plan_memory(model.base_model, self.objectives, self.options, compute, training, place.folder / "memory.json")
        options = replace(self.options, batch_size=plan.batch_size, accumulate=plan.accumulate)
        taught = taught_by(study, self.objectives)
        collate = Collate(study.asv_tokens, posed.learned, posed.design, taught.in_batches)
        made: dict[str, Any] = {"fits": plan.limit, "workers": workers_of(compute)}
        trained = augmented_dataset(dataset, study, self.augment, split.train, posed.learned)
        loaders = (
            make_loader(trained, collate, split.train, options.batch_size, shuffle=True, epochs=options.epochs, **made),
            make_loader(dataset, collate, split.val, options.batch_size, shuffle=False, **made),
        )
        about = (posed.target, commonest_letters(study, split.train))
        module = TrainModule(model, taught, self.objectives, options, *about)
        return _Parts(module, loaders, plan, None)

    def _frozen(self, posed: Problem | JointProblem, model: SequencePredictor, dataset: SampleDataset, split: Split) -> _Parts:
        """What is fitted where the head learns alone: the base runs once, here."""
        study, options = posed.study, self.options
        if self.compute.max_memory_gb or self.compute.auto_batch_size or self.compute.gradient_checkpointing:
            log.warning("a frozen base takes little memory: the options that bound it are not used with `freeze_base`")
        frozen = embed_frozen(model.base_model, study, dataset, self.cache)
        inputs = (frozen, posed.learned, posed.design)
        loaders = (
            make_embedded_loader(inputs, study.table.sample_ids, split.train, options, shuffle=True),
            make_embedded_loader(inputs, study.table.sample_ids, split.val, options, shuffle=False),
        )
        plan = MemoryPlan(options.batch_size, options.accumulate, gradient_checkpointing=False)
        about = (posed.target, commonest_letters(study, split.train))
        return _Parts(HeadModule(model, Taught(), self.objectives, options, *about), loaders, plan, frozen)


@dataclass(frozen=True, eq=False)
class _Parts:
    """What a fit takes: the module, its training and validation batches, and how they were planned.

    frozen: embeddings float32 [N, D] of a frozen base, else None.
    """

    module: TrainModule
    loaders: tuple[DataLoader, DataLoader]
    plan: MemoryPlan
    frozen: np.ndarray | None


def embed_frozen(base: Encoder, study: Study, dataset: SampleDataset, cache: Cache) -> np.ndarray:
    """Embeddings float32 [N, D] of all samples of a study by a base that stays as it is: computed once for all epochs, the score
    and later runs.
    """
    reads, counts = dataset.reads, study.table.counts
    # Without a draw the seed decides nothing.
    seed = dataset.seed if reads.draws else None
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
    parts += [study.counts.indptr, counts.indices, counts.data, study.asv_tokens]

    def embed() -> dict[str, np.ndarray]:
        samples = TableSamples(dataset, study.asv_tokens, study.rows)
        # A loader draws a random number: with and without the cache the run goes on from the same state.
        with torch.random.fork_rng(devices=[]):
            return {"embeddings": embed_samples(base.to(default_device()), samples, 64)}

    return cache.arrays("embeddings of the frozen base", parts, embed)["embeddings"]


def _told(posed: Problem, train: np.ndarray) -> TargetInfo:
    """What is known about a fitted target; train: training samples that have a value."""
    return TargetInfo(posed.column, posed.target, posed.covariates, median=median_of(posed.target, posed.truth[train]))


def calibrated(fitted: FittedTransformer, problem: Problem, rows: np.ndarray, predicted: np.ndarray) -> FittedTransformer:
    """The same with prediction intervals from its errors on samples `rows` that it did not learn from; predicted: what it says of
    them.
    """
    found = thresholds(scores_of(problem.truth[rows], predicted), problem.units(rows))
    if "90" not in found:
        log.warning("no 90 % prediction intervals: they need 9 or more held-out groups (`test_fraction`)")
    target = replace(fitted.target, intervals=found, band=_band(fitted, problem, rows, predicted))
    return replace(fitted, info=replace(fitted.info, target=target))


def _band(fitted: FittedTransformer, problem: Problem, rows: np.ndarray, predicted: np.ndarray) -> Band | None:
    """What makes quantiles of predictions, or those that are learned hold as often as they say (conformal quantile regression)."""
    target, truth, groups = fitted.target.target, problem.truth[rows], problem.units(rows)
    if not (isinstance(target, RegressionTarget) and target.learns_quantiles):
        return band_of(target, truth, predicted, groups)
    said = fitted.banded(problem.study, predicted, rows)
    assert said is not None
    # How wide they are where is learned: as much is added everywhere.
    band = Band.fit(truth, said, groups, target.quantiles, places=1)
    if band is None:
        log.warning("quantiles are as they were learned: too few groups were held out (`test_fraction`) to say how often they hold")
    return band
