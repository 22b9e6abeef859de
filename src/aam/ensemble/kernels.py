"""Kernel models: a linear term per known ASV and a smooth function of a sample's mean sequence, fitted in closed form.

Each is kernel regression (a Gaussian process' mean; Rasmussen & Williams 2006) with some of three kernels: the presence of known
ASVs, their log abundance, and a Gaussian of the distance between samples' mean ASV vectors. An ASV that is not known adds nothing
to the linear terms and its sequence to the last. How much each kernel and the noise count is what predicts left-out groups best,
which has a closed form too (leave-one-group-out residuals; Rasmussen & Williams, section 5.4.2), so no group is learned by heart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional as F

from aam.ensemble.catalogue import SeenTable

# Whether presence, abundance and place are looked at.
Uses = tuple[bool, bool, bool]
# Of presence, abundance, place and covariates, each float64 [first, second].
Kernels = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

_STEPS, _RATE = 15, 0.3
# Without groups, the parts that are left out at a time.
_PARTS = 10
# Of abundances: the least log share, which counts as absence, and what brings it to the size of a presence.
LEAST, SPAN = 12.0, 5.0
# Errors of a number, in standard deviations, that do not count.
_TUBE = 0.05
# Of the kernels' shares towards 1: classes tell little about them. And how steep the logits are by which classes are judged.
_PULL_OF_NUMBER, _PULL_OF_CLASSES, _STEEP = 0.002, 0.1, 1.5


@dataclass(frozen=True, eq=False)
class KernelInputs:
    """presence and abundance: CSR float64 [N, known]; place: float64 [N, W], mean vectors; design: float64 [N, K], covariates."""

    presence: sparse.csr_array
    abundance: sparse.csr_array
    place: np.ndarray
    design: np.ndarray

    @classmethod
    def of(cls, table: SeenTable) -> KernelInputs:
        shares = table.known_shares
        abundance = shares.copy()
        abundance.data = np.maximum(np.log(shares.data) + LEAST, 0.0) / SPAN
        design = table.design_of(np.arange(shares.shape[0])).astype(np.float64)
        return cls(shares.astype(bool).astype(np.float64), abundance, table.mean_vectors, design)

    def rows(self, rows: np.ndarray) -> KernelInputs:
        return KernelInputs(self.presence[rows], self.abundance[rows], self.place[rows], self.design[rows])


@dataclass(frozen=True, eq=False)
class Scales:
    """What makes the kernels of the training samples alike in size. Means [known]; sizes are mean squared norms."""

    presence_mean: np.ndarray
    abundance_mean: np.ndarray
    presence_size: float
    abundance_size: float
    place_mean: np.ndarray
    place_spread: np.ndarray
    design_mean: np.ndarray
    design_size: float

    @classmethod
    def fit(cls, inputs: KernelInputs) -> Scales:
        means = [np.asarray(part.mean(axis=0)).ravel() for part in (inputs.presence, inputs.abundance)]
        sizes = [
            max(float(part.multiply(part).sum() / part.shape[0] - mean @ mean), 1e-9)
            for part, mean in zip((inputs.presence, inputs.abundance), means, strict=True)
        ]
        spread = inputs.place.std(axis=0)
        of_place = inputs.place.mean(axis=0), np.where(spread > 1e-9, spread, 1.0)
        of_design = inputs.design.mean(axis=0), max(float(inputs.design.var(axis=0).sum()), 1e-9)
        return cls(means[0], means[1], sizes[0], sizes[1], *of_place, *of_design)

    def kernels(self, first: KernelInputs, second: KernelInputs) -> Kernels:
        """Linear kernels of presence and of abundance, squared distances of mean vectors, and a linear kernel of covariates."""
        a, b = ((inputs.place - self.place_mean) / self.place_spread for inputs in (first, second))
        return (
            _centred(first.presence, second.presence, self.presence_mean) / self.presence_size,
            _centred(first.abundance, second.abundance, self.abundance_mean) / self.abundance_size,
            _mean_squares(a, b),
            (first.design - self.design_mean) @ (second.design - self.design_mean).T / self.design_size,
        )


def _mean_squares(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Squared distances of all pairs of rows, over their width."""
    squares = (first * first).sum(axis=1)[:, None] + (second * second).sum(axis=1) - 2 * first @ second.T
    return np.maximum(squares, 0.0) / max(first.shape[1], 1)


def _centred(first: sparse.csr_array, second: sparse.csr_array, mean: np.ndarray) -> np.ndarray:
    """Inner products of rows less the mean."""
    return (first @ second.T).toarray() - (first @ mean)[:, None] - (second @ mean) + mean @ mean


@dataclass(frozen=True)
class Shares:
    """Logarithms: how much each kernel counts (-inf: not at all), the squared reach of the Gaussian, the noise; design: of the
    kernel of covariates.
    """

    presence: float
    abundance: float
    place: float
    reach: float
    noise: float
    design: float = -math.inf


def _sum(kernels: tuple[Tensor, Tensor, Tensor, Tensor], shares: Tensor) -> Tensor:
    presence, abundance, distance, design = kernels
    size = shares.exp()
    return size[0] * presence + size[1] * abundance + size[2] * torch.exp(-distance / size[3]) + size[5] * design


def choose_shares(kernels: Kernels, uses: Uses, target: np.ndarray, groups: np.ndarray, *, classes: bool) -> Shares:
    """Shares with which left-out groups are predicted best: target [n, outputs], centred, of variance 1; groups [n]."""
    absent = ~torch.tensor([*uses, True, True, bool(kernels[3].any())])
    parts = [torch.from_numpy(np.flatnonzero(groups == group)) for group in np.unique(groups)]
    order = torch.cat(parts)
    inputs = tuple(torch.from_numpy(kernel) for kernel in kernels)
    wanted = torch.from_numpy(target)
    spread = float(kernels[2].mean())
    start = torch.tensor([-1.0, -1.0, -1.0, math.log(max(spread, 1e-9)), -0.5, -1.0], dtype=torch.float64)
    shares = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([shares], lr=_RATE)
    labels = wanted.argmax(dim=1)[order]
    weights = 1 / torch.bincount(labels)[labels]
    best, pull = (math.inf, start), _PULL_OF_CLASSES if classes else _PULL_OF_NUMBER
    for _ in range(_STEPS):
        used = shares.masked_fill(absent, -math.inf)
        noisy = _sum(inputs, used) + used[4].exp() * torch.eye(len(wanted), dtype=torch.float64)  # type: ignore[arg-type]
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(noisy))
        solved = inverse @ wanted
        error = torch.cat([torch.linalg.solve(inverse[part][:, part], solved[part]) for part in parts])
        if classes:
            losses = F.cross_entropy(_STEEP * (wanted[order] - error), labels, reduction="none")
            loss = (losses * weights).sum() / weights.sum()
        else:
            loss = torch.sqrt(error**2 + 0.01).mean()
        # Of shares that predict as well, those near 1.
        loss = loss + pull * (shares.masked_fill(absent, 0.0)[[0, 1, 2, 5]] ** 2).sum() / 3
        if loss.item() < best[0]:
            best = loss.item(), used.detach().clone()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Shares(*best[1].tolist())


@dataclass(frozen=True, eq=False)
class KernelModel:
    """Fitted. by_presence, by_abundance: [known, outputs], the linear terms; landmarks: [n, W], scaled mean vectors of training
    samples, with their weights by_place [n, outputs]; by_design: [K, outputs], of covariates; shift: [outputs].
    """

    by_presence: np.ndarray
    by_abundance: np.ndarray
    place_mean: np.ndarray
    place_spread: np.ndarray
    landmarks: np.ndarray
    by_place: np.ndarray
    by_design: np.ndarray
    reach: np.ndarray
    shift: np.ndarray

    def predict(self, inputs: KernelInputs) -> np.ndarray:
        """Training units, or scores of classes, float64 [N, outputs]."""
        smooth = self.smooth((inputs.place - self.place_mean) / self.place_spread)
        linear = inputs.presence @ self.by_presence + inputs.abundance @ self.by_abundance
        return linear + smooth + self.shift + inputs.design @ self.by_design

    def nearness(self, place: np.ndarray) -> np.ndarray:
        """The Gaussian of the distance of scaled mean vectors [N, W] to each landmark, [N, n]."""
        return np.exp(-_mean_squares(place, self.landmarks) / self.reach)

    def smooth(self, place: np.ndarray) -> np.ndarray:
        """What the Gaussian adds to predictions at scaled mean vectors [N, W], [N, outputs]."""
        return self.nearness(place) @ self.by_place


def some_groups(groups: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Sorted positions of about `number` samples of groups drawn at random, three at least; whole where they are not huge."""
    names, group, members = np.unique(groups, return_inverse=True, return_counts=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(names))
    chosen = order[: max(3, int(np.searchsorted(members[order].cumsum(), number)))]
    most = -(-number // len(chosen)) if members[chosen].sum() > 2 * number else len(groups)
    return np.sort(np.concatenate([rng.permutation(np.flatnonzero(group == unit))[:most] for unit in chosen]))


def one_hot(truth: np.ndarray, classes: int | None) -> np.ndarray:
    """What is fitted, float64 [n, outputs]: the number, or 1 for the class and -1 for others."""
    return truth[:, None].astype(np.float64) if classes is None else 2.0 * np.eye(classes)[truth] - 1.0


@dataclass(frozen=True, eq=False)
class Centre:
    """Middle [outputs] and spread of what is fitted."""

    middle: np.ndarray
    spread: float

    @classmethod
    def fit(cls, wanted: np.ndarray, classes: int | None) -> Centre:
        middle = np.median(wanted, axis=0) if classes is None else wanted.mean(axis=0)
        return cls(middle, max(float((wanted - middle).std()), 1e-9))


def shares_of(
    inputs: KernelInputs, uses: Uses, truth: np.ndarray, groups: np.ndarray | None, classes: int | None, number: int, seed: int
) -> Shares:
    """Choose the kernels' shares on about `number` samples: truth [n] in training units or class ids, groups [n] or None."""
    parts = np.random.default_rng(seed).permutation(len(truth)) % _PARTS if groups is None else groups
    chosen = _draw(len(truth), number, seed) if groups is None else some_groups(groups, number, seed)
    some = inputs.rows(chosen)
    wanted = one_hot(truth[chosen], classes)
    centre = Centre.fit(wanted, classes)
    kernels = Scales.fit(some).kernels(some, some)
    return choose_shares(kernels, uses, (wanted - centre.middle) / centre.spread, parts[chosen], classes=classes is not None)


def _draw(n: int, number: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).permutation(n)[:number])


def fit_kernels(inputs: KernelInputs, truth: np.ndarray, shares: Shares, classes: int | None, most: int, seed: int) -> KernelModel:
    """Fit the model to `most` training samples at the most, with shares that are known."""
    rows = _draw(len(truth), most, seed)
    inputs, wanted = inputs.rows(rows), one_hot(truth[rows], classes)
    centre = Centre.fit(wanted, classes)
    scaled = (wanted - centre.middle) / centre.spread
    scales = Scales.fit(inputs)
    size = np.exp([shares.presence, shares.abundance, shares.place, shares.design])
    reach, noise = math.exp(shares.reach), math.exp(shares.noise)
    presence, abundance, distance, design = scales.kernels(inputs, inputs)
    kernel = size[0] * presence + size[1] * abundance + size[2] * np.exp(-distance / reach) + size[3] * design
    shift = np.zeros(wanted.shape[1])
    if classes is None:
        # Of absolute errors, as models are judged by them, and a few odd samples should not decide.
        from sklearn.svm import SVR

        machine = SVR(kernel="precomputed", C=0.5 / noise, epsilon=_TUBE).fit(kernel, scaled[:, 0])
        solved = np.zeros_like(scaled)
        solved[machine.support_, 0] = machine.dual_coef_[0]
        shift += machine.intercept_
    else:
        solved = np.linalg.solve(kernel + noise * np.eye(len(kernel)), scaled)
    total = solved.sum(axis=0)
    by_presence = size[0] / scales.presence_size * (inputs.presence.T @ solved - np.outer(scales.presence_mean, total))
    by_abundance = size[1] / scales.abundance_size * (inputs.abundance.T @ solved - np.outer(scales.abundance_mean, total))
    by_design = size[3] / scales.design_size * (inputs.design.T @ solved - np.outer(scales.design_mean, total))
    shift = shift - scales.presence_mean @ by_presence - scales.abundance_mean @ by_abundance - scales.design_mean @ by_design
    landmarks = np.flatnonzero(size[2] * solved.any(axis=1))
    return KernelModel(
        by_presence * centre.spread,
        by_abundance * centre.spread,
        scales.place_mean,
        scales.place_spread,
        ((inputs.place - scales.place_mean) / scales.place_spread)[landmarks],
        size[2] * solved[landmarks] * centre.spread,
        by_design * centre.spread,
        np.array(reach),
        shift * centre.spread + (centre.middle if classes is None else 0.0),
    )
