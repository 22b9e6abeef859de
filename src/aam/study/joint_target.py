"""Several targets, numbers and classes mixed, that one head learns at once; a sample may lack some of the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from aam.options import BestMetric
from aam.parallel.collectives import total
from aam.study.targets import Target


@dataclass(frozen=True)
class JointTarget:
    """Targets by the names of their columns, side by side; weights: how much the loss of each counts.

    Outputs of a head [B, O] are first those that each target has for a sample, target by target, then the steps of each that are
    the same for all samples. What is learned is float [B, T], class ids as numbers, NaN where a sample has no value.
    """

    names: tuple[str, ...]
    targets: tuple[Target, ...]
    weights: tuple[float, ...]

    best_metrics: ClassVar[tuple[BestMetric, ...]] = ("loss",)
    kind: ClassVar[str] = "joint"

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of all targets."""
        return tuple(name for target in self.targets for name in target.classes)

    @property
    def head_outputs(self) -> int:
        """Outputs of the head."""
        return sum(target.head_outputs for target in self.targets)

    @property
    def head_steps(self) -> int:
        """How many of them, the last ones, are the same for every sample."""
        return sum(target.head_steps for target in self.targets)

    @property
    def places(self) -> list[tuple[slice, slice]]:
        """Of each target, which of the outputs that differ by sample are its own, and which of the steps."""
        own, steps = ([getattr(target, name) for target in self.targets] for name in ("head_outputs", "head_steps"))
        return list(zip(_slices([n - k for n, k in zip(own, steps, strict=True)]), _slices(steps), strict=True))

    def apart(self, predicted: Tensor) -> list[Tensor]:
        """Outputs [B, O] -> those of each target, as its own head would say them."""
        each, steps = predicted.split([self.head_outputs - self.head_steps, self.head_steps], dim=1)
        return [torch.cat([each[:, free], steps[:, shared]], dim=1) for free, shared in self.places]

    def loss(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Weighted sum of the mean losses of the targets over the samples of all ranks that have a value, times these samples.

        A target that no sample of the batch has adds 0, and zeros to the gradients.
        """
        known = ~true.isnan()
        there, samples = total(known.sum(dim=0)), total(known.new_tensor(len(true), dtype=torch.int64))
        # What stands for a missing value is a loss that is finite, whose gradient `where` can make 0.
        filled = true.where(known, 0.0)
        loss = predicted.new_zeros((), dtype=torch.float32)
        for place, (target, said) in enumerate(zip(self.targets, self.apart(predicted), strict=True)):
            values = filled[:, place].long() if target.classes else filled[:, place]
            of_samples = target.losses(said, values).where(known[:, place], 0.0)
            loss = loss + self.weights[place] * of_samples.sum() / there[place].clamp(min=1)
        return loss * samples


def together(learned: Sequence[np.ndarray], known: Sequence[np.ndarray]) -> np.ndarray:
    """What each of T targets learns [N], known bool [N] -> what a joint target learns, float32 [N, T]."""
    columns = [np.where(there, values.astype(np.float32), np.float32(np.nan)) for values, there in zip(learned, known, strict=True)]
    return np.stack(columns, axis=1)


def _slices(sizes: Sequence[int]) -> list[slice]:
    """Where parts of these sizes lie, one after the other."""
    ends = list(accumulate(sizes))
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
