"""The Lightning modules: one step of pretraining, and of training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torchmetrics import Metric

from aam.compute import LOW_PRECISION, plan_of
from aam.data.dataset import Batch
from aam.models import Encoder, SequencePredictor
from aam.models.precision import Lowered
from aam.models.sequence_predictor import Prediction
from aam.options import FitOptions, LabelFreeObjectives, PretrainObjectives, TrainObjectives
from aam.parallel.collectives import total, world
from aam.parallel.ranks import rank
from aam.scoring.streamed import MeanLosses, restore_running, running_state, spearman
from aam.study.joint_target import JointTarget
from aam.study.targets import Target
from aam.training.objectives.encoder_type import Encoded, EncoderType
from aam.training.objectives.label_free import self_supervised, self_supervised_losses, total_loss, weights_of
from aam.training.objectives.taught import Taught
from aam.training.optimizer import MuonAdamW, groups_of
from aam.training.scores import SelfSupervisedMetrics, TargetMetrics, target_metrics
from aam.training.sharded import shard
from aam.training.step import Step


def warmup_cosine(step: int, total_steps: int, warmup_steps: int) -> float:
    """Multiple of the peak learning rate: rises linearly over the warm-up, then falls as half a cosine to 0."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))))


class LearningModule(L.LightningModule):
    """What every run shares: the optimiser, the schedule, and how losses and metrics are logged."""

    # Methods that run the model.
    runs_model: tuple[str, ...] = ("training_step", "validation_step")
    first_bad: Tensor
    running: Lowered

    def __init__(self, fit: FitOptions, objectives: LabelFreeObjectives, taught: Taught, target: float | None = None) -> None:
        """target: the weight of its loss."""
        super().__init__()
        # Of several ranks the samples come together in a step; else batches bring what is learned of them.
        self.types, self.measured_here = nn.ModuleList(taught.types), nn.ModuleDict(taught.of_ranks)
        weights = ({} if target is None else {"target": target}) | weights_of(objectives, taught.types)
        self.fit_options, self.lr = fit, fit.lr
        self.weights = dict(weights)
        learned = [name for name, weight in weights.items() if weight > 0]
        self.train_losses, self.val_losses = MeanLosses(learned), MeanLosses(learned)
        # The first batch of this epoch whose loss is not finite, or -1; on the device, so that no step waits for it.
        self.register_buffer("first_bad", torch.tensor(-1), persistent=False)

    @property
    def taught(self) -> list[EncoderType]:
        """What the encoder is taught."""
        return [kind for kind in self.types if isinstance(kind, EncoderType)]

    def configure_model(self) -> None:
        """Lightning calls this where the strategy is known."""
        if isinstance(self.trainer.strategy, ModelParallelStrategy):
            assert self.device_mesh is not None
            dtype = LOW_PRECISION[self.running.compute.mixed_precision]
            shard(self, self.runs_model, self.device_mesh["data_parallel"], dtype)
            # Its weights are cast as they are put together.
            self.running = Lowered(self.running.model, replace(self.running.compute, mixed_precision="no"))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Lightning calls this. What is in pinned memory is not waited for."""
        return batch.to(device, non_blocking=True)

    def make_optimizer(self) -> MuonAdamW:
        """The optimiser; AdamW's part on a GPU as one operation, if no losses are scaled, which it would undo after gradients are
        clipped.
        """
        fit, compute = self.fit_options, self.running.compute
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        groups = groups_of(self, trained, fit.weight_decay, fit.optimizer == "muon")
        fused = plan_of(compute, self.device).fused and compute.mixed_precision != "fp16"
        return MuonAdamW(groups, lr=self.lr, fused=fused)

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = round(self.fit_options.warmup_fraction * steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, steps, warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def weigh(self, split: str, losses: Mapping[str, Tensor], samples: int, batch_idx: int) -> Tensor:
        """The weighted total of a batch's losses, which are counted among those of the epoch."""
        weighted = total_loss(dict(losses), self.weights)
        with torch.no_grad():
            means = self.train_losses if split == "train" else self.val_losses
            means.update(losses, weighted, samples)
            if split == "train":
                self.first_bad = torch.where((self.first_bad < 0) & ~weighted.isfinite(), batch_idx, self.first_bad)
        return weighted

    def log_losses(self) -> None:
        """Log the means of the epoch, at the end of validation: callbacks read the metrics of both before a training epoch ends."""
        for split, losses in (("train", self.train_losses), ("val", self.val_losses)):
            for name, value in losses.compute().items():
                self.log(f"{split}/{name}", value.float(), prog_bar=split == "train")
            losses.reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["running"] = running_state(self)
        # What no size of a weight tells, such as the number of heads.
        model: Any = self.running.model
        checkpoint["shape"] = asdict(getattr(model, "base_model", model).asv_encoder.options)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        restore_running(self, checkpoint["running"])

    def log_metrics(self, split: str, name: str, metric: Metric) -> None:
        """Log every value of a streamed metric that saw something, and start it afresh."""
        if metric.update_called:
            for key, value in metric.compute().items():
                self.log(f"{split}/{name}_{key}", value.float(), prog_bar=split == "val" and key in ("r2", "mae", "accuracy"))
        metric.reset()

    def log_label_free(self, split: str, metrics: SelfSupervisedMetrics) -> None:
        """Log the metrics of the label-free objectives, and start them afresh."""
        for name, metric in metrics.streamed.items():
            self.log_metrics(split, name, metric)
        for name, reservoir in metrics.reservoirs.items():
            if reservoir.update_called:
                self.log(f"{split}/{name}_spearman", spearman(reservoir.compute()), prog_bar=split == "val")
            reservoir.reset()

    def mask_generator(self, batch_idx: int) -> torch.Generator:
        """The same masks on every rank, in a resumed run, and in every validation epoch, so that its losses can be compared."""
        return torch.Generator(self.device).manual_seed(self._seed_of(batch_idx))

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        # Of dropout: other draws on each rank, the same ones in a resumed run.
        torch.manual_seed(self._seed_of(batch_idx, 1 + rank()))

    def _seed_of(self, batch_idx: int, stream: int = 0) -> int:
        epoch = self.current_epoch + 1 if self.training else 0
        sequence = np.random.SeedSequence((self.fit_options.seed, epoch, batch_idx, stream))
        # Generators take 64 bits with a sign.
        return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


class PretrainModule(LearningModule):
    """What the encoder is taught, masked nucleotides and masked abundances, without labels.

    majority: int64 [1 + L], see `NucleotideMetrics`; probe: a batch of training samples on which the gap between training mode and
    inference mode is measured.
    """

    runs_model = ("training_step", "validation_step", "train_eval_gap")

    def __init__(
        self,
        encoder: Encoder,
        taught: Taught,
        objectives: PretrainObjectives,
        fit: FitOptions,
        majority: Tensor,
        probe: Batch,
    ) -> None:
        super().__init__(fit, objectives, taught)
        self.model, self.objectives, self.probe = encoder, objectives, probe
        encoder.asv_encoder.gradients_of = fit.asv_gradients
        encoder.learn_only(
            embeddings=taught.of_samples,
            nucleotides=objectives.nuc_penalty > 0,
            abundances=objectives.count_penalty > 0,
            asvs_told=taught.of_asvs,
        )
        self.train_metrics, self.val_metrics = (SelfSupervisedMetrics(majority, taught.types) for _ in range(2))
        self.running = Lowered(encoder, encoder.compute)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._step(batch, batch_idx, "train", self.train_metrics)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._step(batch, batch_idx, "val", self.val_metrics)

    def _step(self, batch: Batch, batch_idx: int, split: str, metrics: SelfSupervisedMetrics) -> Tensor:
        step = Step.of(batch, dict(self.measured_here.items()))
        outcome = self_supervised(self.running(), step, self.objectives, self.taught, self.mask_generator(batch_idx))
        with torch.no_grad():
            metrics.update(outcome)
        return self.weigh(split, self_supervised_losses(outcome, step), len(step), batch_idx)

    def on_validation_epoch_end(self) -> None:
        self.log_losses()
        self.log_label_free("train", self.train_metrics)
        self.log_label_free("val", self.val_metrics)
        if any(kind.of_samples for kind in self.taught):
            self.log("val/train_eval_gap", self.train_eval_gap())

    @torch.no_grad()
    def train_eval_gap(self) -> float:
        """Loss of what is told of the probe's samples in inference mode over that in training mode.

        1 as long as the sample path sees no masks and no noise: a guard against changes that open the gap.
        """
        step = Step.alone(self.probe.to(self.device))
        loss = {}
        for training in (True, False):
            self.model.train(training)
            model = self.running()
            vectors = model.asv_encoder(step.own.asv_tokens)
            encoded = Encoded(vectors, model.encode_samples(vectors, step.own.asv_index, step.own.counts))
            loss[training] = float(sum(kind.tell(model, encoded, step).loss for kind in self.taught if kind.of_samples))
        return loss[False] / max(loss[True], 1e-12)


class TrainModule(LearningModule):
    """The target, and beside it any label-free objective whose weight is above 0."""

    def __init__(
        self,
        model: SequencePredictor,
        taught: Taught,
        objectives: TrainObjectives,
        fit: FitOptions,
        target: Target | JointTarget,
        majority: Tensor,
    ) -> None:
        super().__init__(fit, objectives, taught, objectives.target_penalty)
        self.model, self.objectives, self.target = model, objectives, target
        model.base_model.asv_encoder.gradients_of = fit.asv_gradients
        nucleotides, abundances = objectives.nuc_penalty > 0, objectives.count_penalty > 0
        if not model.freeze_base:
            model.base_model.learn_only(embeddings=True, nucleotides=nucleotides, abundances=abundances)
        self.running = Lowered(model, model.base_model.compute)
        self.learns_unlabelled = bool(taught.types) or nucleotides or abundances
        self.train_scores, self.val_scores = target_metrics(target), target_metrics(target, points=True)
        self.train_metrics, self.val_metrics = (SelfSupervisedMetrics(majority, taught.types) for _ in range(2))

    def predict_batch(self, batch: Batch, metrics: SelfSupervisedMetrics, batch_idx: int) -> tuple[Prediction, dict[str, Tensor]]:
        """The prediction and the losses of the label-free objectives."""
        # Without one of them, a step needs nothing of other ranks' samples.
        step = Step.of(batch, dict(self.measured_here.items())) if self.learns_unlabelled else Step.alone(batch)
        generator, model = self.mask_generator(batch_idx), self.running()
        outcome = self_supervised(model.base_model, step, self.objectives, self.taught, generator, embed=True)
        assert outcome.embedding is not None
        with torch.no_grad():
            metrics.update(outcome)
        head = model.head(outcome.embedding, batch.design)
        return Prediction(outcome.embedding, head), self_supervised_losses(outcome, step)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._step(batch, batch_idx, "train", self.train_scores, self.train_metrics)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._step(batch, batch_idx, "val", self.val_scores, self.val_metrics)

    def _step(self, batch: Batch, batch_idx: int, split: str, scores: TargetMetrics, metrics: SelfSupervisedMetrics) -> Tensor:
        prediction, losses = self.predict_batch(batch, metrics, batch_idx)
        assert batch.target is not None
        samples = len(batch.target) if world() == 1 else int(total(torch.tensor(len(batch.target), device=self.device)))
        losses = {"target": total(self.target.loss(prediction.target, batch.target)) / samples, **losses}
        with torch.no_grad():
            scores.update(prediction.target, batch.target)
        return self.weigh(split, losses, samples, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self.log_losses()
        for split, scores, metrics in (
            ("train", self.train_scores, self.train_metrics),
            ("val", self.val_scores, self.val_metrics),
        ):
            for name, metric in scores.streamed.items():
                self.log_metrics(split, name, metric)
            if scores.reservoir is not None:
                scores.reservoir.reset()
            self.log_label_free(split, metrics)
