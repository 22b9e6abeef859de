"""AAM as a contestant of an evaluation: fitted inside each fold as the commands do it."""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import lightning as L
import numpy as np
from torch import nn

from aam.cli.predict import decode_training_units
from aam.cli.pretrain import DISTANCE_METRICS, PretrainConfig
from aam.cli.train import CLASS_METRICS, REGRESSION_METRICS, TrainConfig
from aam.compute import default_device
from aam.data.dataset import SampleDataset
from aam.ensemble.ensemble import FittedMembers, fit_members
from aam.ensemble.members import MEMBERS, NETWORKS, MemberName
from aam.learners.baselines import Learner, Task
from aam.learners.ensemble import samples_of
from aam.learners.transformer import FittedPredictor, Problem, fit_encoder, fit_predictor, pose_problem
from aam.models import SequenceEncoder
from aam.models.inference import TableSamples, embed_samples
from aam.options import EncoderOptions, FitOptions, OutputOptions, PretrainSampleOptions, SampleOptions, TrainObjectives
from aam.study.splits import Split, split_samples
from aam.study.study import Study
from aam.training.fit import check_fit, monitor_of

if TYPE_CHECKING:
    from aam.cli.evaluate import EvaluateConfig

log = logging.getLogger(__name__)

NETWORK, AUTO = "AAM", "AAM auto"
RECOVERY = "UniFrac recovery"
SCRATCH, PRETRAINED, FROZEN = "whole network from scratch", "whole network pretrained", "whole network, frozen base"


class Combined:
    """What `train `auto`` fits: the networks alone, and with trees. Fitted once for both; the last fold is kept."""

    def __init__(self, study: Study, config: EvaluateConfig) -> None:
        self.study, self.config = study, config
        self._fitted: tuple[bytes, tuple[FittedMembers, Problem]] | None = None

    def learners(self) -> dict[str, Learner]:
        """By the name that tables and plots have."""
        return {
            NETWORK: lambda task, train, test: self._predict(NETWORKS, task, train, test),
            AUTO: lambda task, train, test: self._predict(MEMBERS, task, train, test),
        }

    def _predict(self, names: tuple[MemberName, ...], task: Task, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        fitted, problem = self._fit(task, train)
        ensemble, _ = fitted.combine(names)
        return decode_training_units(ensemble.predict(fitted.lesson.table, test), problem.info.target)

    def _fit(self, task: Task, train: np.ndarray) -> tuple[FittedMembers, Problem]:
        key = train.tobytes()
        if self._fitted is None or self._fitted[0] != key:
            problem = pose_problem(self.study, self.config.target, lambda labels: Split(train, train[:0], train[:0]))
            fitted = fit_members(samples_of(problem, task.groups), train, MEMBERS, task.seed, task.jobs)
            self._fitted = key, (fitted, problem)
        return self._fitted[1]


class WholeNetworks:
    """Networks trained from the nucleotides up. What a fold's learners have in common is fitted once: the last fold is kept."""

    def __init__(self, study: Study, task: Task, distance: nn.Module, config: EvaluateConfig, folder: Path) -> None:
        self.study, self.task, self.distance, self.config = study, task, distance, config
        self.scratch = folder / "checkpoints"
        self._measured = CLASS_METRICS if config.target.classifier else REGRESSION_METRICS
        self._encoders: tuple[bytes, SequenceEncoder] | None = None
        self._fitted: tuple[bytes, tuple[FittedPredictor, Problem]] | None = None

    def check(self, parts: Sequence[np.ndarray]) -> None:
        """InputError for what cannot work in one of the training parts, before anything is fitted."""
        monitor_of(self.config.fit.best_metric, self._measured)
        for rows in parts:
            check_fit(self.config.fit, self._split(rows), learns_distances=True)

    def learners(self) -> dict[str, Learner]:
        """By the name that tables and plots have."""
        frozen: dict[str, Learner] = {
            FROZEN: lambda task, train, test: self._predict(self.fit(train, self.encoder(train), freeze=True), test)
        }
        return {
            SCRATCH: lambda task, train, test: self._predict(self.fit(train, None, freeze=False), test),
            PRETRAINED: lambda task, train, test: self._predict(self.pretrained(train), test),
            # A frozen encoder runs once, on one draw.
            **({} if self.config.reads.rarefy_each_epoch else frozen),
        }

    def recovery(self, task: Task, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Spearman correlation of distances between pretrained embeddings of tested samples with UniFrac, [1]; 0 for under 3."""
        from scipy.spatial.distance import pdist, squareform
        from scipy.stats import spearmanr

        if len(test) < 3:
            return np.zeros(1)
        dataset = SampleDataset(self.study.table, self.config.reads, self.config.fit.seed)
        encoder = self.encoder(train).to(default_device())
        embedded = embed_samples(encoder, TableSamples(dataset, self.study.asv_tokens, test), 64)
        truth = squareform(task.distances[np.ix_(test, test)], checks=False)
        return np.nan_to_num(np.array([spearmanr(pdist(embedded), truth).statistic]))

    def pretrained(self, train: np.ndarray) -> tuple[FittedPredictor, Problem]:
        """Pretrained, then trained as a whole, on the rows `train`."""
        key = train.tobytes()
        if self._fitted is None or self._fitted[0] != key:
            self._fitted = key, self.fit(train, self.encoder(train), freeze=False)
        return self._fitted[1]

    def encoder(self, train: np.ndarray) -> SequenceEncoder:
        """Pretrained on the rows `train`, or on all with `transductive`; a copy, to be trained on."""
        config = self.config
        rows = np.arange(len(self.task.truth)) if config.contest.transductive else train
        key = rows.tobytes()
        if self._encoders is None or self._encoders[0] != key:
            fit = FitOptions(batch_size=config.fit.batch_size, epochs=config.contest.pretrain_epochs, seed=config.fit.seed)
            options = PretrainConfig(
                data=config.data,
                reads=config.reads,
                samples=PretrainSampleOptions(val_fraction=config.samples.val_fraction),
                model=config.model,
                fit=fit,
                compute=config.compute,
                output=OutputOptions(output_dir=self.scratch),
                caching=config.caching,
            )
            with self._quiet():
                fitted = fit_encoder(
                    self.study, self._split(rows), self.distance, options, self.scratch, monitor_of("auto", DISTANCE_METRICS)
                )
            self._encoders = key, fitted.encoder
        return copy.deepcopy(self._encoders[1])

    def fit(self, train: np.ndarray, encoder: SequenceEncoder | None, *, freeze: bool) -> tuple[FittedPredictor, Problem]:
        """Train on the rows `train`, of which a part chooses the epoch."""
        config, split = self.config, self._split(train)
        pretrained = None if encoder is None else self.scratch
        options = TrainConfig(
            data=config.data,
            reads=config.reads,
            samples=SampleOptions(**vars(config.samples), test_fraction=0.0),
            target=config.target,
            encoder=EncoderOptions(pretrained_encoder=pretrained, freeze_base=freeze),
            model=config.model,
            objectives=TrainObjectives() if freeze else config.objectives,
            fit=config.fit,
            compute=config.compute,
            output=OutputOptions(output_dir=self.scratch),
            caching=replace(config.caching, cache=False),
        )
        monitor = monitor_of(config.fit.best_metric, self._measured)
        distance = self.distance if options.objectives.penalty > 0 else None
        problem = pose_problem(self.study, config.target, lambda labels: split)
        with self._quiet():
            return fit_predictor(problem, encoder, distance, options, self.scratch, monitor), problem

    def _predict(self, fitted: tuple[FittedPredictor, Problem], test: np.ndarray) -> np.ndarray:
        return fitted[0].predict(fitted[1], test)

    def _split(self, rows: np.ndarray) -> Split:
        """Rows to learn from and rows that choose the epoch, groups kept whole."""
        groups, labels = (None if part is None else part[rows] for part in (self.task.groups, self.task.labels))
        fraction, seed = self.config.samples.val_fraction, self.config.fit.seed
        split = split_samples(len(rows), fraction, 0.0, seed, groups=groups, labels=labels)
        return Split(rows[split.train], rows[split.val], rows[:0])

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """A fit of its own: the same random numbers in every fold, an empty folder, and nothing said but warnings."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        L.seed_everything(self.config.fit.seed, verbose=False)
        logger = logging.getLogger("aam")
        before = logger.level
        logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            logger.setLevel(before)
            shutil.rmtree(self.scratch, ignore_errors=True)
