"""Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365), with more steps until they add up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aam.errors import InputError

FIRST_STEPS, MOST_STEPS = 32, 512
# Of the difference of the predictions, and of their size for a difference of nothing.
TOLERANCE, _ROUNDING = 0.01, 1e-5
# Numbers that one evaluation may hold.
_SIZE_AT_ONCE = 2**23


@dataclass(frozen=True, eq=False)
class Integrated:
    """values: float64 [..., O], of each input; start, end: float64 [O], what is said of the baseline and of the input; steps: how
    many were taken; complete: whether the values add up to the difference, to 1 % of it.
    """

    values: np.ndarray
    start: np.ndarray
    end: np.ndarray
    steps: int
    complete: bool


def integrate(function: Callable[[Tensor], Tensor], baseline: Tensor, inputs: Tensor, size: int) -> Integrated:
    """Integrated gradients of a function [S, ...] -> [S, O] from a baseline [...] to inputs [...]; size: numbers that one
    evaluation of it holds. InputError without captum.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise InputError("gradients need captum: pip install 'attention-all-microbes[explain]', or explain by deletion") from error
    first, last = baseline.unsqueeze(0), inputs.unsqueeze(0)
    with torch.no_grad():
        start, end = (function(point)[0].double().cpu().numpy() for point in (first, last))
    method, at_once, steps = IntegratedGradients(function), max(_SIZE_AT_ONCE // max(size, 1), 1), FIRST_STEPS
    about = {"baselines": first, "method": "gausslegendre"}
    while True:
        parts = [
            method.attribute(last, target=output, n_steps=steps, internal_batch_size=min(at_once, steps), **about)[0].detach()
            for output in range(len(end))
        ]
        values = torch.stack(parts, dim=-1).double().cpu().numpy()
        left = np.abs(values.reshape(-1, len(end)).sum(axis=0) - (end - start))
        complete = bool((left <= np.maximum(TOLERANCE * np.abs(end - start), _ROUNDING * (1 + np.abs(end)))).all())
        if complete or steps >= MOST_STEPS:
            return Integrated(values, start, end, steps, complete)
        steps *= 2
