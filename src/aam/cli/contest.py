"""AAM as a contestant of an evaluation: pretrained and trained inside each fold as the commands do it."""

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

from aam.cli.fitting import FittedPredictor, Problem, fit_encoder, fit_predictor, pose_problem
from aam.cli.pretrain import DISTANCE_METRICS, PretrainConfig
from aam.cli.study import Study
from aam.cli.train import CLASS_METRICS, REGRESSION_METRICS, TrainConfig
from aam.config import EncoderOptions, FitOptions, OutputOptions, PretrainSampleOptions, SampleOptions, TrainObjectives
from aam.data.splits import Split, split_samples
from aam.evaluation.baselines import Learner, Task, loss_of, random_forest
from aam.models import SequenceEncoder
from aam.training.fit import check_fit, monitor_of

if TYPE_CHECKING:
    from aam.cli.evaluate import EvaluateConfig

log = logging.getLogger(__name__)

SCRATCH, PRETRAINED, FROZEN, STACK = "AAM from scratch", "AAM pretrained", "AAM frozen base", "AAM pretrained + random forest"
# Shares of AAM that are tried when it is combined with the forest.
_SHARES = np.linspace(0, 1, 21)


class Networks:
    """AAM's learners on one study. What a fold's learners have in common is fitted once: the last fold is kept."""

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
            check_fit(self.config.fit, len(self._split(rows).val), learns_distances=True)

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
            STACK: self.stack,
        }

    def stack(self, task: Task, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """A weighted mean of the pretrained network and the forest; the weight is the best on samples that neither was fitted to.

        They chose the network's epoch, so the weight leans a little to it.
        """
        fitted, problem = self.pretrained(train)
        judged = problem.split.val
        network = fitted.predict(problem, judged)
        forest = random_forest(task, problem.split.train, judged)
        losses = [loss_of(task, task.truth[judged], share * network + (1 - share) * forest) for share in _SHARES]
        share = _SHARES[int(np.argmin(losses))]
        log.info("weight of the network beside the forest: %.2f", share)
        return share * fitted.predict(problem, test) + (1 - share) * random_forest(task, train, test)

    def pretrained(self, train: np.ndarray) -> tuple[FittedPredictor, Problem]:
        """Pretrained, then trained as a whole, on the rows `train`."""
        key = train.tobytes()
        if self._fitted is None or self._fitted[0] != key:
            self._fitted = key, self.fit(train, self.encoder(train), freeze=False)
        return self._fitted[1]

    def encoder(self, train: np.ndarray) -> SequenceEncoder:
        """Pretrained on the rows `train`, or on all with --transductive; a copy, to be trained on."""
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
