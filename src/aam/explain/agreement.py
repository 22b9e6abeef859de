"""Whether explanations are alike: those of two methods or seeds should be, that of a model with shuffled weights must not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

from aam.explain.attributions import Importance
from aam.explain.summary import spread_of


@dataclass(frozen=True)
class Agreement:
    """Rank correlations (Spearman) of two importances, mean over outputs; nan where there are too few features.

    spread: of `spread`, by which features are ranked; beside_amount: the same beside what the amounts of features explain of both;
    signed: of `mean`, direction included; features: how many both know.
    """

    spread: float
    beside_amount: float
    signed: float
    features: int


def agreement(first: Importance, second: Importance, counts: sparse.csr_array, among: np.ndarray | None = None) -> Agreement:
    """How alike two importances of the same features are. counts: CSR [n, M] of the explained samples; among: features to look at,
    bool [F], or None for all. Of a model with shuffled weights look at the ASVs that it knows (`Reader.known`): which these are is
    its shape, and stays when weights are shuffled.

    Whatever a model is, it moves further where more is taken out: features that many samples have, with many reads, in samples of
    few ASVs. So the spreads of any two models agree in part. What a model learned is beyond that: the ranks of the spreads less
    what a quadratic of the ranks of these three amounts says of them. Directions of change owe nothing to amounts.
    """
    if first.features.ids != second.features.ids:
        raise ValueError("importances of other features")
    known = np.flatnonzero((first.samples > 0) & (second.samples > 0) & (True if among is None else among))
    if len(known) < 3:
        return Agreement(np.nan, np.nan, np.nan, len(known))
    pairs = [(one[known].T, other[known].T) for one, other in ((first.spread, second.spread), (first.mean, second.mean))]
    spreads, means = [[(rankdata(a), rankdata(b)) for a, b in zip(*pair, strict=True)] for pair in pairs]
    common = _amounts(counts, first.features.asvs)[known]
    beside = [(_residual(a, common), _residual(b, common)) for a, b in spreads]
    found = [float(np.mean([_correlation(a, b) for a, b in some])) for some in (spreads, beside, means)]
    return Agreement(found[0], found[1], found[2], len(known))


def mean_of(found: Sequence[Agreement]) -> Agreement:
    """The mean of several agreements, as with models whose weights were shuffled anew: one shuffle can agree by chance."""
    spread, beside, signed = (_mean([getattr(one, name) for one in found]) for name in ("spread", "beside_amount", "signed"))
    return Agreement(spread, beside, signed, found[0].features)


def _mean(values: Sequence[float]) -> float:
    """Of those that are known; nan where none is."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else np.nan


def _amounts(counts: sparse.csr_array, asvs: sparse.csr_array) -> np.ndarray:
    """Of features [F, 3], as ranks from -1 to 1: how many samples have them, how far samples differ in their share of the reads,
    and in their part of the ASVs.
    """
    held = sparse.csr_array(asvs.T.astype(np.float64))
    present = counts.astype(bool).astype(np.float64)
    shares, parts = (sparse.diags_array(1 / np.asarray(part.sum(axis=1)).ravel()) @ part for part in (counts, present))
    samples = (present @ held).astype(bool)
    amounts = [np.asarray(samples.sum(axis=0)).ravel(), *(_spread(sparse.coo_array(part @ held)) for part in (shares, parts))]
    return np.stack([2 * rankdata(amount) / len(amount) - 1 for amount in amounts], axis=1)


def _spread(amount: sparse.coo_array) -> np.ndarray:
    """Of amounts [n, F], as that of importance, [F]."""
    samples, features = amount.shape
    sample, feature = amount.coords
    return spread_of(amount.data[:, None], sample, feature, features, np.ones(samples))[:, 0]


def _residual(ranks: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Ranks [F] less what a quadratic of common amounts [F, A] says of them."""
    first, second = np.triu_indices(common.shape[1])
    terms = np.concatenate([np.ones((len(common), 1)), common, common[:, first] * common[:, second]], axis=1)
    return ranks - terms @ np.linalg.lstsq(terms, ranks, rcond=None)[0]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / size if size > 1e-9 * len(first) else np.nan
