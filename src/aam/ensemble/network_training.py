"""Training set networks, each on a part of the samples, as one computation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from aam.compute import default_device
from aam.ensemble.set_batches import set_batch
from aam.ensemble.training import Training
from aam.models.set_networks import SetNetworks, typical_size_of
from aam.options import EnsembleOptions
from aam.study.targets import ClassTarget

_CLIP, _WARM_UP = 1.0, 0.1


def epochs_for(n: int, options: EnsembleOptions) -> int:
    """Epochs for n training samples: enough steps for a small table, not too many for a large one."""
    wanted = math.ceil(options.network_steps / math.ceil(n / options.network_batch_size))
    return min(max(wanted, options.network_min_epochs), options.network_max_epochs)


def train_networks(training: Training, parts: Sequence[np.ndarray]) -> SetNetworks:
    """Train a network on each of some parts, rows of the table; what one learns does not depend on the others."""
    problem, table, options = training.problem, training.table, training.options
    device = default_device()
    # Networks of other samples start elsewhere and see theirs in another order.
    draws = [np.random.default_rng((training.seed, len(rows), int(rows.sum()))) for rows in parts]
    networks = _fresh(training, parts, draws).to(device)
    longest = max(len(rows) for rows in parts)
    steps = epochs_for(longest, options) * math.ceil(longest / options.network_batch_size)
    optimiser, schedule = _optimiser(networks, options, steps)
    vectors, identity = torch.tensor(table.vectors, device=device), torch.tensor(table.identity, device=device)
    learned, weights = torch.tensor(problem.learned, device=device), _class_weights(training, parts, device)
    for rows in _batches(parts, options.network_batch_size, steps, draws):
        batch = set_batch(table.counts, rows, options.asv_dropout, draws).to(device)
        design = None if table.design is None else torch.from_numpy(table.design[rows]).to(device)
        said = networks(vectors, identity, batch, _dropout(rows.shape, options, draws).to(device), design)
        loss = _losses(said, learned[torch.from_numpy(rows).to(device)], weights).sum()
        optimiser.zero_grad()
        loss.backward()
        _clip_each(networks)
        optimiser.step()
        schedule.step()
    return networks.cpu().eval()


def _fresh(training: Training, parts: Sequence[np.ndarray], draws: Sequence[np.random.Generator]) -> SetNetworks:
    """Networks as they start."""
    options, table, problem = training.options, training.table, training.problem
    sizes = np.bincount(table.known_shares.nonzero()[0], minlength=table.counts.shape[0])
    made = []
    for rows, draw in zip(parts, draws, strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(draw.integers(2**31)))
            made.append(
                SetNetworks(
                    1,
                    table.vectors.shape[1],
                    table.known,
                    problem.target.outputs,
                    width=options.network_dim,
                    heads=options.network_heads,
                    by_presence=problem.classes is not None,
                    typical_size=typical_size_of(sizes[rows]),
                    covariates=table.covariates,
                )
            )
    return SetNetworks.side_by_side(made)


def _batches(parts: Sequence[np.ndarray], size: int, steps: int, draws: Sequence[np.random.Generator]) -> Iterator[np.ndarray]:
    """Rows [E, size] of each step: each network goes through its own part in a random order, again and again."""
    orders = []
    for rows, draw in zip(parts, draws, strict=True):
        passes = math.ceil(steps * size / len(rows))
        orders.append(np.concatenate([draw.permutation(rows) for _ in range(passes)])[: steps * size].reshape(steps, size))
    yield from np.stack(orders, axis=1)


def _dropout(shape: tuple[int, ...], options: EnsembleOptions, draws: Sequence[np.random.Generator]) -> Tensor:
    """What the hidden layer of the head is multiplied by, float32 [E, B, D]."""
    kept = np.stack([draw.random((shape[1], options.network_dim)) >= options.network_dropout for draw in draws])
    return torch.from_numpy(kept.astype(np.float32)) / (1 - options.network_dropout)


def _class_weights(training: Training, parts: Sequence[np.ndarray], device: torch.device) -> Tensor | None:
    """Of each network's classes [E, K]; None for a number."""
    problem = training.problem
    if not isinstance(problem.target, ClassTarget):
        return None
    weights = [problem.target.weights_of(problem.learned[rows]) for rows in parts]
    return torch.tensor(np.stack(weights), dtype=torch.float32, device=device)


def _losses(said: Tensor, wanted: Tensor, weights: Tensor | None) -> Tensor:
    """Of each network [E]: absolute error of numbers, as models are judged by it; cross-entropy of classes weighted alike."""
    if weights is None:
        return (said[..., 0] - wanted).abs().mean(dim=1)
    entropy = F.cross_entropy(said.flatten(0, 1), wanted.flatten(), reduction="none").view_as(wanted)
    return (entropy * weights.gather(1, wanted)).mean(dim=1)


def _optimiser(networks: SetNetworks, options: EnsembleOptions, steps: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
    others = [parameter for parameter in networks.parameters() if parameter is not networks.identity]
    groups = [
        {"params": others, "weight_decay": options.network_weight_decay},
        # A pull to zero, so that only what many samples say of an ASV is learned.
        {"params": [networks.identity], "weight_decay": options.identity_weight_decay},
    ]
    optimiser = torch.optim.AdamW(groups, lr=options.network_lr, fused=True)

    def rate(step: int) -> float:
        done = (step + 1) / steps
        return min(1.0, done / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, done)))

    return optimiser, LambdaLR(optimiser, rate)


@torch.no_grad()
def _clip_each(networks: SetNetworks) -> None:
    """Gradients of each network to a norm of at most 1."""
    gradients = [parameter.grad for parameter in networks.parameters() if parameter.grad is not None]
    norms = torch.stack([gradient.flatten(1).square().sum(dim=1) for gradient in gradients]).sum(dim=0).sqrt()
    scales = (_CLIP / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scales.view(-1, *[1] * (gradient.dim() - 1)))
