"""The Lightning modules: one step of pretraining, of training, and of training on a frozen base."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics import Metric

from aam.config import FitOptions, LossType, PretrainObjectives, TrainObjectives
from aam.data.dataset import Batch
from aam.data.sampler import EpochSampler, Key, RankBatchSampler, permuted
from aam.data.targets import ClassTarget, RegressionTarget
from aam.models import SequenceEncoder, SequencePredictor
from aam.models.sequence_predictor import Prediction
from aam.ranks import rank
from aam.together import total
from aam.training.metrics import NucleotideMetrics, PairedMetrics, Reservoir, spearman
from aam.training.objectives import (
    SelfSupervised,
    paired_loss,
    regression_loss,
    sample_pairs,
    self_supervised,
    self_supervised_losses,
    total_loss,
)
from aam.training.sharded import shard
from aam.training.step import Step


@dataclass(frozen=True)
class EmbeddedBatch:
    """A batch whose base model has already run: embedding [B, D] and what the head needs, as in `Batch`."""

    embedding: Tensor
    target: Tensor
    categoricals: Tensor | None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> EmbeddedBatch:
        """The same batch on another device."""
        categoricals = None if self.categoricals is None else self.categoricals.to(device, non_blocking=non_blocking)
        embedding, target = (x.to(device, non_blocking=non_blocking) for x in (self.embedding, self.target))
        return EmbeddedBatch(embedding, target, categoricals)


def warmup_cosine(step: int, total_steps: int, warmup_steps: int) -> float:
    """Multiple of the peak learning rate: rises linearly over the warm-up, then falls as half a cosine to 0."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))))


class LearningModule(L.LightningModule):
    """What every run shares: the optimiser, the schedule, and how losses and metrics are logged."""

    # Methods that run the model.
    runs_model: tuple[str, ...] = ("training_step", "validation_step")

    def __init__(self, fit: FitOptions) -> None:
        super().__init__()
        self.fit_options, self.lr = fit, fit.lr

    def configure_model(self) -> None:
        """Lightning calls this where the strategy is known."""
        if isinstance(self.trainer.strategy, ModelParallelStrategy):
            assert self.device_mesh is not None
            shard(self, self.runs_model, self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> Any:
        decayed = {id(part.weight) for part in self.modules() if isinstance(part, nn.Linear)}
        trained = [p for p in self.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if id(p) in decayed], "weight_decay": self.fit_options.weight_decay},
            {"params": [p for p in trained if id(p) not in decayed], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.lr)
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = round(self.fit_options.warmup_fraction * steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, steps, warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def log_losses(self, split: str, losses: Mapping[str, Tensor], weights: Mapping[str, float], batch_size: int) -> Tensor:
        """Log every part and the weighted total; return the total."""
        weighted = total_loss(dict(losses), dict(weights))
        bar = split == "train"
        for name, loss in losses.items():
            self.log(f"{split}/{name}_loss", loss.detach(), batch_size=batch_size, on_epoch=True, on_step=False, prog_bar=bar)
        self.log(f"{split}/loss", weighted.detach(), batch_size=batch_size, on_epoch=True, on_step=False, prog_bar=bar)
        return weighted

    def log_metrics(self, split: str, name: str, metric: Metric) -> None:
        """Log every value of a streamed metric that saw something, and start it afresh."""
        if metric.update_called:
            for key, value in metric.compute().items():
                self.log(f"{split}/{name}_{key}", value.float(), prog_bar=split == "val" and key in ("r2", "mae", "accuracy"))
        metric.reset()

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


class SelfSupervisedMetrics(nn.Module):
    """Streamed metrics of the label-free objectives: pairs of samples, masked nucleotides, masked abundances."""

    def __init__(self, majority: Tensor) -> None:
        super().__init__()
        # Every rank sees all pairs.
        self.pairs, self.reservoir = PairedMetrics(sync_on_compute=False), Reservoir(sync_on_compute=False)
        self.abundances = PairedMetrics()
        self.nucleotides = NucleotideMetrics(majority)

    def update(self, outcome: SelfSupervised) -> None:
        if outcome.pairs is not None:
            self.pairs.update(outcome.pairs.predicted, outcome.pairs.true)
            self.reservoir.update(outcome.pairs.predicted, outcome.pairs.true)
        if outcome.nucleotides is not None:
            masked = outcome.nucleotides
            self.nucleotides.update(masked.logits, masked.letters, masked.positions)
        if outcome.abundances is not None:
            self.abundances.update(outcome.abundances.predicted, outcome.abundances.true)

    def log(self, module: LearningModule, split: str) -> None:
        module.log_metrics(split, "unifrac", self.pairs)
        module.log_metrics(split, "nucleotide", self.nucleotides)
        module.log_metrics(split, "count", self.abundances)
        if self.reservoir.update_called:
            module.log(f"{split}/unifrac_spearman", spearman(self.reservoir.compute()), prog_bar=split == "val")
        self.reservoir.reset()


class PretrainModule(LearningModule):
    """UniFrac, masked nucleotides and masked abundances, without labels.

    distance: batch distance module; majority: int64 [1 + L], see `NucleotideMetrics`; probe: a batch of training samples on which
    the gap between training mode and inference mode is measured.
    """

    runs_model = ("training_step", "validation_step", "train_eval_gap")

    def __init__(
        self,
        encoder: SequenceEncoder,
        distance: nn.Module | None,
        objectives: PretrainObjectives,
        fit: FitOptions,
        majority: Tensor,
        probe: Batch,
    ) -> None:
        super().__init__(fit)
        self.model, self.distance, self.objectives, self.probe = encoder, distance, objectives, probe
        self.weights = {"unifrac": objectives.penalty, "nucleotide": objectives.nuc_penalty, "count": objectives.count_penalty}
        learned = {name: weight > 0 for name, weight in self.weights.items()}
        encoder.learn_only(embeddings=learned["unifrac"], nucleotides=learned["nucleotide"], abundances=learned["count"])
        self.train_metrics, self.val_metrics = SelfSupervisedMetrics(majority), SelfSupervisedMetrics(majority)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._step(batch, batch_idx, "train", self.train_metrics)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._step(batch, batch_idx, "val", self.val_metrics)

    def _step(self, batch: Batch, batch_idx: int, split: str, metrics: SelfSupervisedMetrics) -> Tensor:
        step = Step.of(batch)
        outcome = self_supervised(self.model, self.distance, step, self.objectives, self.mask_generator(batch_idx))
        with torch.no_grad():
            metrics.update(outcome)
        return self.log_losses(split, self_supervised_losses(outcome, step), self.weights, len(step))

    def on_validation_epoch_end(self) -> None:
        # Here and not at the end of the training epoch: callbacks read the metrics of both before that hook.
        self.train_metrics.log(self, "train")
        self.val_metrics.log(self, "val")
        if self.distance is not None:
            self.log("val/train_eval_gap", self.train_eval_gap(self.distance))

    @torch.no_grad()
    def train_eval_gap(self, distance: nn.Module) -> float:
        """UniFrac loss of the probe's samples in inference mode over that in training mode.

        1 as long as the sample path sees no masks and no noise: a guard against changes that open the gap.
        """
        probe = self.probe.to(self.device)
        distances = distance(probe.columns, probe.counts, probe.sample_index)
        loss = {}
        for training in (True, False):
            self.model.train(training)
            embedding = self.model(probe.asv_tokens, probe.asv_index, probe.counts)
            loss[training] = float(paired_loss(sample_pairs(embedding, distances)))
        return loss[False] / max(loss[True], 1e-12)


class PredictionMetrics(nn.Module):
    """Streamed metrics of the target in original units, and a reservoir of points for plots of a regression."""

    def __init__(self, target: RegressionTarget | ClassTarget) -> None:
        super().__init__()
        self.target = target
        self.reservoir = Reservoir()
        self.scores: Metric = PairedMetrics() if isinstance(target, RegressionTarget) else ClassMetrics(len(target.classes))

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """predicted [B, outputs] and true [B], transformed numbers or class logits and ids."""
        if isinstance(self.target, RegressionTarget):
            predicted, true = self.target.inverse(predicted[:, 0].float()), self.target.inverse(true)
            self.reservoir.update(predicted, true)
        self.scores.update(predicted.float(), true)


class ClassMetrics(Metric):
    """Accuracy, balanced accuracy and AUC (one against the rest, macro) of class logits [B, K] against ids [B]."""

    full_state_update = False

    def __init__(self, classes: int) -> None:
        super().__init__()
        from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC

        self.parts = nn.ModuleDict(
            {
                "accuracy": MulticlassAccuracy(classes, average="micro"),
                "balanced_accuracy": MulticlassAccuracy(classes, average="macro"),
                # Binned, so that memory does not grow with the samples.
                "auc": MulticlassAUROC(classes, thresholds=200),
            }
        )

    def update(self, logits: Tensor, true: Tensor) -> None:
        for part in self.parts.values():
            part.update(logits.softmax(dim=1), true)  # type: ignore[operator]

    def compute(self) -> dict[str, Tensor]:
        return {name: part.compute() for name, part in self.parts.items()}  # type: ignore[operator]

    def reset(self) -> None:
        super().reset()
        for part in self.parts.values():
            part.reset()  # type: ignore[operator]


class TrainModule(LearningModule):
    """The target, and beside it any label-free objective whose weight is above 0."""

    def __init__(
        self,
        model: SequencePredictor,
        distance: nn.Module | None,
        objectives: TrainObjectives,
        fit: FitOptions,
        target: RegressionTarget | ClassTarget,
        loss_type: LossType,
        majority: Tensor,
    ) -> None:
        super().__init__(fit)
        self.model, self.distance, self.objectives, self.target, self.loss_type = model, distance, objectives, target, loss_type
        self.weights = {
            "target": objectives.target_penalty,
            "unifrac": objectives.penalty,
            "nucleotide": objectives.nuc_penalty,
            "count": objectives.count_penalty,
        }
        learned = {name: weight > 0 for name, weight in self.weights.items()}
        if not model.freeze_base:
            model.base_model.learn_only(embeddings=True, nucleotides=learned["nucleotide"], abundances=learned["count"])
        self.learns_unlabelled = learned["unifrac"] or learned["nucleotide"] or learned["count"]
        self.train_scores, self.val_scores = PredictionMetrics(target), PredictionMetrics(target)
        self.train_metrics, self.val_metrics = SelfSupervisedMetrics(majority), SelfSupervisedMetrics(majority)

    def predict_batch(self, batch: Batch, metrics: SelfSupervisedMetrics, batch_idx: int) -> tuple[Prediction, dict[str, Tensor]]:
        """The prediction and the losses of the label-free objectives."""
        # Without one of them, a step needs nothing of other ranks' samples.
        step = Step.of(batch) if self.learns_unlabelled else Step.alone(batch)
        generator = self.mask_generator(batch_idx)
        outcome = self_supervised(self.model.base_model, self.distance, step, self.objectives, generator, embed=True)
        assert outcome.embedding is not None
        with torch.no_grad():
            metrics.update(outcome)
        head = self.model.head(outcome.embedding, batch.categoricals)
        return Prediction(outcome.embedding, head), self_supervised_losses(outcome, step)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._step(batch, batch_idx, "train", self.train_scores, self.train_metrics)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._step(batch, batch_idx, "val", self.val_scores, self.val_metrics)

    def _step(self, batch: Batch, batch_idx: int, split: str, scores: PredictionMetrics, metrics: SelfSupervisedMetrics) -> Tensor:
        prediction, losses = self.predict_batch(batch, metrics, batch_idx)
        assert batch.target is not None
        samples = int(total(torch.tensor(len(batch.target), device=self.device)))
        losses = {"target": total(self.target_loss(prediction.target, batch.target)) / samples, **losses}
        with torch.no_grad():
            scores.update(prediction.target, batch.target)
        return self.log_losses(split, losses, self.weights, samples)

    def target_loss(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Summed loss of predictions [B, outputs] against the transformed target or class ids [B]."""
        if isinstance(self.target, RegressionTarget):
            return regression_loss(predicted[:, 0], true, self.loss_type)
        weights = torch.tensor(self.target.weights, dtype=torch.float32, device=predicted.device)
        # Weighted, to be divided by the number of samples and not by the sum of weights, so that batches add up.
        return (F.cross_entropy(predicted.float(), true, reduction="none") * weights[true]).sum()

    def on_validation_epoch_end(self) -> None:
        # As in PretrainModule.
        for split, scores, metrics in (
            ("train", self.train_scores, self.train_metrics),
            ("val", self.val_scores, self.val_metrics),
        ):
            self.log_metrics(split, "target", scores.scores)
            scores.reservoir.reset()
            metrics.log(self, split)


class HeadModule(TrainModule):
    """Training on a frozen base, whose embeddings were computed once: an epoch costs the head."""

    def predict_batch(  # type: ignore[override]
        self, batch: EmbeddedBatch, metrics: SelfSupervisedMetrics, batch_idx: int
    ) -> tuple[Prediction, dict[str, Tensor]]:
        return Prediction(batch.embedding, self.model.head(batch.embedding, batch.categoricals)), {}


class _Keys(Dataset[Key]):
    """What a sampler says, as it is."""

    def __getitem__(self, key: Key) -> Key:
        return key


def make_embedded_loader(
    inputs: tuple[np.ndarray, np.ndarray, np.ndarray | None], rows: np.ndarray, fit: FitOptions, shuffle: bool
) -> DataLoader[EmbeddedBatch]:
    """Batches of this rank's part of the rows of `inputs`: embeddings float32 [N, D], target [N], categoricals int64 [N, C]."""
    embeddings, target, categoricals = inputs

    def collate(keys: list[Key]) -> EmbeddedBatch:
        chosen = [row for _, row in keys]
        codes = None if categoricals is None else torch.from_numpy(categoricals[chosen])
        return EmbeddedBatch(torch.from_numpy(embeddings[chosen]), torch.from_numpy(target[chosen]), codes)

    batches = RankBatchSampler(EpochSampler(rows, fit.seed, permuted if shuffle else None), fit.batch_size)
    return DataLoader(_Keys(), batch_sampler=batches, collate_fn=collate)  # type: ignore[arg-type]
