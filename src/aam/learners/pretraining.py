"""Pretraining: an encoder fitted without labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from aam.augment.dataset import AugmentedDataset
from aam.augment.sample import Clades
from aam.compute import describe, workers_of
from aam.data.balanced import balanced
from aam.data.dataset import Batch, Collate, SampleDataset, make_loader
from aam.data.sampler import Shuffle
from aam.data.sequences import Nucleotide
from aam.data.stream import StreamedCounts, shuffled, used_columns
from aam.distances.precomputed import PrecomputedDistances
from aam.distances.unifrac import UniFrac
from aam.ensemble.novelty import novelty_of
from aam.errors import InputError
from aam.learners.workspace import Workspace, working_in
from aam.models import make_encoder
from aam.models.clades import CladeEncoder
from aam.models.summary import summarise
from aam.options import (
    AugmentOptions,
    BestMetric,
    FitOptions,
    LabelFreeObjectives,
    ModelOptions,
    PretrainObjectives,
    TrainComputeOptions,
    check_augment,
)
from aam.options.checks import check
from aam.parallel.collectives import world
from aam.saved.info import ModelInfo, Origin
from aam.saved.start import StartingWeights
from aam.saved.transformer import FittedEncoder
from aam.study.splits import Split, split_samples
from aam.study.study import Study
from aam.training.clades import teach_clades
from aam.training.fit import FitResult, check_fit, fit, monitor_of
from aam.training.memory import TrainingTable, plan_memory
from aam.training.module import PretrainModule
from aam.training.objectives.taught import KINDS, Taught, check_types, pairs_are_taught, taught_by, tree_is_needed

log = logging.getLogger(__name__)

# What may choose the best epoch; the first is the default.
_OF_UNIFRAC: tuple[BestMetric, ...] = ("unifrac_mse", "unifrac_spearman", "loss")
_FIRST_DRAWS, _MORE_DRAWS, _KNOWN_ASVS = 32, 1_000, 2_000
# Steps of an epoch, and validation samples, of which fewer are said to be few.
_FEW_STEPS, _FEW_VALIDATION = 4, 10


@dataclass(frozen=True)
class PretrainingLearner:
    """Fits an encoder to a study: what it is taught (`encoder_type`), masked nucleotides, masked abundances.

    augment: how training samples are changed; groups_in_batch: as many samples of each come together, see `balanced`;
    weights: of an earlier run, to start from instead of fresh ones; validation: samples that choose the epoch, else a share
    `val_fraction` of the samples is drawn; workspace: where checkpoints are kept, or a folder below `scratch` that is gone
    afterwards; show: progress bars.
    """

    model: ModelOptions = field(default_factory=ModelOptions)
    objectives: PretrainObjectives = field(default_factory=PretrainObjectives)
    options: FitOptions = field(default_factory=FitOptions)
    compute: TrainComputeOptions = field(default_factory=TrainComputeOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    groups_in_batch: int | None = None
    weights: StartingWeights | None = None
    val_fraction: float = 0.1
    validation: np.ndarray | None = None
    workspace: Workspace | None = None
    scratch: Path | None = None
    show: bool = True

    def __post_init__(self) -> None:
        check_types(self.objectives)

    @property
    def monitor(self) -> str:
        """What chooses the best epoch. InputError for what is not measured."""
        types = [name for name, _ in self.objectives.encoder_weights] if self.objectives.is_taught else []
        if self.options.best_metric == "auto" and len(types) == 1 and (best := KINDS[types[0]].best):
            return f"val/{types[0]}_{best}"
        measured = _OF_UNIFRAC if types == ["unifrac"] else ("loss", *(_OF_UNIFRAC[:2] if "unifrac" in types else ()))
        return monitor_of(self.options.best_metric, measured)

    def check(self, study: Study, rows: np.ndarray, groups: np.ndarray | None = None, labels: np.ndarray | None = None) -> Split:
        """How the samples `rows` are split. InputError for what cannot work, before anything is computed."""
        if self.weights is not None:
            self.weights.require_shape(self.model)
        split = split_off(rows, self.validation, self.val_fraction, self.options.seed, groups, labels)
        check_fit(self.options, split, pairs_are_taught(self.objectives))
        check_clades(self.model, self.objectives, self.compute)
        # A tree is built where none is given.
        on_tree = isinstance(study.distance, UniFrac) or (study.distance is None and tree_is_needed(self.objectives))
        if self.model.clades and self.weights is None and not on_tree:
            raise InputError(f"`clades={self.model.clades}` are those of a tree: leave `encoder_type` and `unifrac_matrix` out")
        if self.model.clades and study.metric not in (None, "unweighted"):
            raise InputError(f"`clades={self.model.clades}` with {study.metric} distances: an encoder of clades sees no abundances")
        self._check_augment(study, on_tree)
        self._check_groups(study, split, groups)
        return split

    def _check_augment(self, study: Study, on_tree: bool) -> None:
        """InputError for augmentations that cannot be: what is known of samples by their IDs is not that of changed ones."""
        if self.augment.is_auto:
            raise InputError("`augment=auto` is chosen by a target, and pretraining has none; name what is wanted")
        given = [name for name, _ in self.objectives.encoder_weights if name in ("matrix", "vector")]
        if isinstance(study.distance, PrecomputedDistances):
            given.append("unifrac_matrix")
        if self.augment.augment and self.objectives.is_taught and given:
            raise InputError(f"`augment={self.augment.augment}` with `{given[0]}`: it is of the samples as they are; leave one out")
        check_augment(self.augment, sequences=True, tree=on_tree, planned=is_planned(self.compute))

    def _check_groups(self, study: Study, split: Split, groups: np.ndarray | None) -> None:
        """InputError for groups that cannot come together in a batch."""
        if (number := self.groups_in_batch) is None:
            return
        told, batch = f"`groups_in_batch={number}`", self.options.batch_size
        if groups is None:
            raise InputError(f"{told} needs groups")
        if isinstance(study.table.counts, StreamedCounts):
            raise InputError(f"{told} with `stream`: samples of a group are all over the file; leave one out")
        if is_planned(self.compute):
            raise InputError(f"{told} with `max_memory_gb` or `auto_batch_size`, which change batches; leave one out")
        if batch % number:
            raise InputError(f"{told} does not divide `batch_size={batch}`; change one of them")
        if (there := len(np.unique(groups[split.train]))) < number:
            raise InputError(f"{told}: the training samples have {there}; give {there} or fewer")

    def _order(self, groups: np.ndarray | None) -> bool | Shuffle:
        """Samples at random, or of some groups in each batch."""
        if self.groups_in_batch is None or groups is None:
            return True
        return partial(balanced, groups, self.options.batch_size * world(), self.groups_in_batch)

    def fit(
        self, study: Study, rows: np.ndarray, groups: np.ndarray | None = None, labels: np.ndarray | None = None
    ) -> FittedEncoder:
        """Fit a fresh encoder to the samples `rows`, a part of which chooses the epoch: groups [N] stay whole in that, and classes
        (labels [N], which are not learned) are spread evenly.
        """
        return self.fit_with_history(study, rows, groups, labels)[0]

    def fit_with_history(
        self,
        study: Study,
        rows: np.ndarray,
        groups: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        taught: Taught | None = None,
    ) -> tuple[FittedEncoder, FitResult]:
        """The same, with the metrics of every epoch; taught: see `taught_by`, where it was called before."""
        objectives, compute, monitor = self.objectives, self.compute, self.monitor
        taught = taught_by(study, objectives) if taught is None else taught
        split = self.check(study, rows, groups, labels)
        with working_in(self.workspace, self.scratch) as place:
            L.seed_everything(self.options.seed, verbose=False)
            dataset = SampleDataset(study.table, study.reads, self.options.seed)
            probe = first_draws(dataset, study, split.train, taught.measures)
            more = partial(first_draws, dataset, study, split.train, taught.measures, _MORE_DRAWS)
            taught = taught.fitted_to(probe, more, used_columns(study.table.counts, split.train))
            encoder = make_encoder(self.model, study.reads.max_bp, compute, taught.heads)
            encoder.calibrate(probe.asv_tokens, probe.asv_index, probe.counts, known_tokens(study, split.train, self.options.seed))
            if self.weights is not None:
                self.weights.into_encoder(encoder)
            elif isinstance(encoder, CladeEncoder):
                assert isinstance(study.distance, UniFrac)
                seen, others = (used_columns(study.table.counts, part) for part in (split.train, split.val))
                asvs = (seen, np.setdiff1d(others, seen))
                teach_clades(encoder, study, study.distance.phylogeny, asvs, split.train, groups, self.options.seed, show=self.show)
                encoder.cpu().scale_to(probe.asv_tokens, probe.asv_index, probe.counts, (encoder.out,))
            training = TrainingTable(dataset, split.train, study.asv_tokens)
            plan = plan_memory(encoder, objectives, self.options, compute, training, place.folder / "memory.json")
            options = replace(self.options, batch_size=plan.batch_size, accumulate=plan.accumulate)
            warn_of_few(split, options, pairs=pairs_are_taught(objectives))
            log.info("%s\n%s", summarise(encoder), describe(compute, encoder.asv_encoder.gradient_checkpointing))
            made: dict[str, Any] = {"fits": plan.limit, "workers": workers_of(compute)}
            collate = Collate(study.asv_tokens, measures=taught.in_batches)
            trained = augmented_dataset(dataset, study, self.augment, split.train, np.zeros(len(study)))
            order = self._order(groups)
            train = make_loader(trained, collate, split.train, options.batch_size, shuffle=order, epochs=options.epochs, **made)
            # In a fixed random order: neighbours in a table are alike, and pairs are of samples in one batch.
            val_order = shuffled(study.table.counts, split.val, np.random.default_rng(options.seed))
            val = make_loader(dataset, collate, val_order, options.batch_size, shuffle=False, **made)
            commonest = commonest_letters(study, split.train)
            module = PretrainModule(encoder, taught, objectives, options, commonest, probe)
            result = fit(module, (train, val), compute, place.folder, monitor, place.resume, self.show, place.tracked)
            plan.log_peak()
        seen = np.concatenate([split.train, split.val])
        metric = study.metric if "unifrac" in taught.measures else None
        before = () if self.weights is None else self.weights.learned_from
        learned_from = tuple(dict.fromkeys([*before, *study.ids(seen)]))
        info = ModelInfo(self.model, study.reads, metric, None, learned_from, seed=self.options.seed, heads=taught.heads)
        info = replace(info, origin=Origin.of(study, groups, seen))
        novelty = novelty_of(study, np.sort(seen), groups, self.options.seed)
        return FittedEncoder(encoder=encoder, info=info, _novelty=novelty), result


def augmented_dataset(
    dataset: SampleDataset, study: Study, augment: AugmentOptions, rows: np.ndarray, learned: np.ndarray
) -> SampleDataset:
    """The training samples `rows`, changed as is asked for; learned: what models learn, by row [N]."""
    if not augment.steps:
        return dataset
    clades = Clades.of(study.distance.phylogeny, len(study.table.feature_ids)) if isinstance(study.distance, UniFrac) else None
    return AugmentedDataset(dataset, augment.steps, rows, learned, study.asv_tokens, clades)


def is_planned(compute: TrainComputeOptions) -> bool:
    """Whether batches are made to fit into memory."""
    return bool(compute.max_memory_gb or compute.auto_batch_size)


def check_clades(model: ModelOptions, objectives: LabelFreeObjectives, compute: TrainComputeOptions) -> None:
    """InputError for what an encoder of clades cannot learn, having no attention layers, and where its memory is not known."""
    if not model.clades:
        return
    for option in ("nuc_penalty", "count_penalty"):
        check(getattr(objectives, option) == 0, option, getattr(objectives, option), "0 with `clades`: no layers would learn it")
    check(compute.strategy != "fsdp", "strategy", compute.strategy, "auto or ddp with `clades`")
    if is_planned(compute):
        raise InputError(
            "`max_memory_gb` and `auto_batch_size` plan for layers, and an encoder of `clades` has none; leave them out"
        )


def warn_of_few(split: Split, options: FitOptions, *, pairs: bool = False) -> None:
    """Say where an epoch has few steps, and where few validation samples choose the epoch, by their pairs if `pairs`."""
    steps = -(-len(split.train) // (options.batch_size * options.accumulate * world()))
    if steps < _FEW_STEPS:
        log.warning(
            "few steps: %d an epoch of %d training samples, %d at most with `epochs=%d`; take more or a smaller `batch_size`",
            steps,
            len(split.train),
            steps * options.epochs,
            options.epochs,
        )
    samples = len(split.val)
    if samples < _FEW_VALIDATION:
        judged = f"{samples} validation samples{f' ({samples * (samples - 1) // 2} pairs)' if pairs else ''}"
        log.warning(
            "%s choose the best epoch: the choice is near chance, and scores of them say little; raise `val_fraction`", judged
        )


def split_off(
    rows: np.ndarray,
    validation: np.ndarray | None,
    fraction: float,
    seed: int,
    groups: np.ndarray | None = None,
    labels: np.ndarray | None = None,
) -> Split:
    """The samples `rows` in those that weights learn from and those that choose the epoch: `validation`, or a share of them drawn
    with groups [N] whole and classes (labels [N]) spread evenly.
    """
    if validation is not None:
        return Split(np.setdiff1d(rows, validation), validation, rows[:0])
    own = [None if part is None else part[rows] for part in (groups, labels)]
    split = split_samples(len(rows), fraction, 0.0, seed, groups=own[0], labels=own[1])
    return Split(rows[split.train], rows[split.val], rows[:0])


def first_draws(
    dataset: SampleDataset,
    study: Study,
    rows: np.ndarray,
    measures: Mapping[str, torch.nn.Module] | None = None,
    number: int = _FIRST_DRAWS,
) -> Batch:
    """Some of the samples `rows`, at most `number`, as one batch: what a fresh model is scaled to, and what its train-eval gap is
    measured on.
    """
    return Collate(study.asv_tokens, measures=measures or {})(
        [dataset[0, int(row)] for row in rows[:: max(1, len(rows) // number)][:number]]
    )


def known_tokens(study: Study, rows: np.ndarray, seed: int) -> Tensor:
    """Tokens of some ASVs of the samples `rows`, uint8 [U, 1 + L]: their words are those that a fresh model knows."""
    columns = used_columns(study.table.counts, rows)
    chosen = np.random.default_rng(seed).permutation(columns)[:_KNOWN_ASVS]
    return torch.from_numpy(study.asv_tokens[np.sort(chosen)])


def commonest_letters(study: Study, rows: np.ndarray) -> Tensor:
    """Commonest letter 0-3 at each position among the ASVs of the samples `rows`, int64 [1 + L]."""
    tokens = study.asv_tokens[used_columns(study.table.counts, rows)]
    letters = range(Nucleotide.A, Nucleotide.T + 1)
    return torch.from_numpy(np.stack([(tokens == letter).sum(axis=0) for letter in letters]).argmax(axis=0))
