"""What is measured in an epoch, of each kind of run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torchmetrics import Metric

from aam.scoring.streamed import ClassMetrics, NucleotideMetrics, PairedMetrics, Reservoir
from aam.study.joint_target import JointTarget
from aam.study.targets import Kind, RegressionTarget, Target
from aam.training.objectives.encoder_type import EncoderType, TypeMetrics
from aam.training.objectives.label_free import SelfSupervised
from aam.training.objectives.paired import RecoveryMetrics


class SelfSupervisedMetrics(nn.Module):
    """Streamed metrics of the label-free objectives: what is taught, masked nucleotides, masked abundances."""

    def __init__(self, majority: Tensor, taught: Sequence[EncoderType] = ()) -> None:
        super().__init__()
        self.types = nn.ModuleDict({kind.name: kind.metrics() for kind in taught})
        self.abundances = PairedMetrics()
        self.nucleotides = NucleotideMetrics(majority)

    def update(self, outcome: SelfSupervised) -> None:
        for name, told in outcome.told.items():
            self._of(name).update(told)
        if outcome.nucleotides is not None:
            masked = outcome.nucleotides
            self.nucleotides.update(masked.logits, masked.letters, masked.positions)
        if outcome.abundances is not None:
            self.abundances.update(outcome.abundances.predicted, outcome.abundances.true, outcome.abundances.masked)

    @property
    def streamed(self) -> dict[str, Metric]:
        """By the name that they are logged under."""
        return {name: self._of(name).streamed for name in self.types} | {"nucleotide": self.nucleotides, "count": self.abundances}

    @property
    def reservoirs(self) -> dict[str, Reservoir]:
        """Points of distances and quantities, by encoder type."""
        return {name: part.reservoir for name, part in self.types.items() if isinstance(part, RecoveryMetrics)}

    def _of(self, name: str) -> TypeMetrics:
        metrics = self.types[name]
        assert isinstance(metrics, TypeMetrics)
        return metrics


class TargetMetrics(nn.Module):
    """Streamed metrics of the target in original units; `reservoir`: points for plots of a number, where they are asked for."""

    reservoir: Reservoir | None = None

    @property
    def streamed(self) -> dict[str, Metric]:
        """By the name that they are logged under."""
        raise NotImplementedError

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """predicted [B, outputs] and true [B]: transformed numbers, or class logits and ids; of several targets true [B, T]. NaN
        is left out.
        """
        raise NotImplementedError


class OneTargetMetrics(TargetMetrics):
    """Of one target."""

    scores: Metric

    @property
    def streamed(self) -> dict[str, Metric]:
        return {"target": self.scores}


class NumberMetrics(OneTargetMetrics):
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
        self.scores.update(predicted.float(), true, ~true.isnan())


class ClassesMetrics(OneTargetMetrics):
    """Of classes."""

    def __init__(self, target: Target, points: bool) -> None:
        super().__init__()
        self.scores = ClassMetrics(target.decode_outputs)

    def update(self, predicted: Tensor, true: Tensor) -> None:
        self.scores.update(predicted.float(), true)


class JointMetrics(TargetMetrics):
    """Of several targets, by their names; a sample without a value of one counts in that of the others."""

    def __init__(self, target: JointTarget) -> None:
        super().__init__()
        self.target = target
        self.parts = nn.ModuleList(target_metrics(one) for one in target.targets)

    @property
    def streamed(self) -> dict[str, Metric]:
        return {f"target_{name}": part.scores for name, part in self._named}

    @property
    def _named(self) -> list[tuple[str, OneTargetMetrics]]:
        return [(name, cast("OneTargetMetrics", part)) for name, part in zip(self.target.names, self.parts, strict=True)]

    def update(self, predicted: Tensor, true: Tensor) -> None:
        for (_, part), said, values in zip(self._named, self.target.apart(predicted), true.unbind(dim=1), strict=True):
            part.update(said, values)


def target_metrics(target: Target | JointTarget, points: bool = False) -> TargetMetrics:
    """The metrics of a kind of target; points: keep those of one number for a plot."""
    if isinstance(target, JointTarget):
        return JointMetrics(target)
    kinds: dict[Kind, type[NumberMetrics] | type[ClassesMetrics]] = {"regression": NumberMetrics, "classification": ClassesMetrics}
    return kinds[target.kind](target, points)
