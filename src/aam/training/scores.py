"""What is measured in an epoch, of each kind of run."""

from __future__ import annotations

from torch import Tensor, nn
from torchmetrics import Metric

from aam.scoring.streamed import ClassMetrics, NucleotideMetrics, PairedMetrics, Reservoir
from aam.study.targets import Kind, RegressionTarget, Target
from aam.training.objectives.label_free import SelfSupervised


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
            self.abundances.update(outcome.abundances.predicted, outcome.abundances.true, outcome.abundances.masked)

    @property
    def streamed(self) -> dict[str, Metric]:
        """By the name that they are logged under."""
        return {"unifrac": self.pairs, "nucleotide": self.nucleotides, "count": self.abundances}


class TargetMetrics(nn.Module):
    """Streamed metrics of the target in original units; `reservoir`: points for plots of a number, where they are asked for."""

    scores: Metric
    reservoir: Reservoir | None = None

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """predicted [B, outputs] and true [B]: transformed numbers, or class logits and ids."""
        raise NotImplementedError


class NumberMetrics(TargetMetrics):
    """Of a number."""

    def __init__(self, target: Target, points: bool) -> None:
        super().__init__()
        assert isinstance(target, RegressionTarget)
        self.target = target
        self.reservoir = Reservoir() if points else None
        self.scores = PairedMetrics()

    def update(self, predicted: Tensor, true: Tensor) -> None:
        predicted, true = self.target.decode(self.target.said(predicted.float())[:, 0]), self.target.decode(true)
        if self.reservoir is not None:
            self.reservoir.update(predicted, true)
        self.scores.update(predicted.float(), true)


class ClassesMetrics(TargetMetrics):
    """Of classes."""

    def __init__(self, target: Target, points: bool) -> None:
        super().__init__()
        self.scores = ClassMetrics(target.decode_outputs)

    def update(self, predicted: Tensor, true: Tensor) -> None:
        self.scores.update(predicted.float(), true)


def target_metrics(target: Target, points: bool = False) -> TargetMetrics:
    """The metrics of a kind of target."""
    kinds: dict[Kind, type[NumberMetrics] | type[ClassesMetrics]] = {"regression": NumberMetrics, "classification": ClassesMetrics}
    return kinds[target.kind](target, points)
