"""What is measured in an epoch, of each kind of run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torchmetrics import Metric

from aam.data.targets import ClassTarget, RegressionTarget
from aam.training.metrics import ClassMetrics, NucleotideMetrics, PairedMetrics, Reservoir, spearman
from aam.training.objectives import SelfSupervised

if TYPE_CHECKING:
    from aam.training.module import LearningModule


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


class PredictionMetrics(nn.Module):
    """Streamed metrics of the target in original units, and where asked for a reservoir of `points` for plots of a regression."""

    def __init__(self, target: RegressionTarget | ClassTarget, points: bool = False) -> None:
        super().__init__()
        self.target = target
        self.reservoir = Reservoir() if points else None
        self.scores: Metric = PairedMetrics() if isinstance(target, RegressionTarget) else ClassMetrics(len(target.classes))

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """predicted [B, outputs] and true [B], transformed numbers or class logits and ids."""
        if isinstance(self.target, RegressionTarget):
            predicted, true = self.target.inverse(predicted[:, 0].float()), self.target.inverse(true)
            if self.reservoir is not None:
                self.reservoir.update(predicted, true)
        self.scores.update(predicted.float(), true)
