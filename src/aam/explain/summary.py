"""How much features matter over samples: from the attributions of each sample to one line for each feature."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from aam.explain.attributions import Attributions, Importance
from aam.scoring.resampling import draws, interval

# Features resampled at a time, for memory.
_AT_ONCE = 2000
# A feature is bound to a level where its effect in every other level is below this share of it, and enough samples have it to tell.
_ELSEWHERE, _ENOUGH = 0.1, 5
# Of nested features those matter nearly alike that are this share behind the largest.
_NEARLY = 0.25
# Of the samples that have a feature, the share that must agree with the mean's sign for the feature to have a direction.
_AGREE = 2 / 3


def summarise(
    attributions: Attributions, groups: np.ndarray | None = None, confounder: np.ndarray | None = None, seed: int = 0
) -> Importance:
    """Means over samples, in which each group counts once.

    groups, confounder: labels of the explained samples [n] in the order of `attributions.samples`, or None: each sample is a group
    then, and no feature is bound to a level. The interval of the mean absolute value is over groups drawn anew; it is nan where
    fewer than two groups have the feature. That of the spread is what it would be if all values were wrong at once, each by as much
    as members disagree (half of `high` less `low`), so it is wide.
    """
    n, features = len(attributions.samples), len(attributions.features.ids)
    group = np.unique(np.arange(n) if groups is None else np.asarray(groups), return_inverse=True)[1]
    value, sample, feature = attributions.value, attributions.sample, attributions.feature
    size = np.abs(value)
    samples = np.bincount(feature, minlength=features)
    # Occurrences of a feature in samples of a group weigh 1 over their number.
    _, cell, members = np.unique(feature * (group.max(initial=0) + 1) + group[sample], return_inverse=True, return_counts=True)
    weight = 1 / members[cell]
    of_groups = np.bincount(feature, weight, minlength=features)
    with np.errstate(invalid="ignore"):
        mean, absolute = (_by_feature(weight[:, None] * part, feature, features) / of_groups[:, None] for part in (value, size))
        agreement = _by_feature(np.sign(value) == np.sign(mean[feature]), feature, features) / samples[:, None]
    low, high = _resampled(weight[:, None] * size, group[sample], feature, features, seed)
    once = 1 / np.bincount(group)[group]
    spread = spread_of(value, sample, feature, features, once)
    half = (attributions.high - attributions.low) / 2
    wrong = _by_feature(once[sample][:, None] * half, feature, features) / once.sum()
    return Importance(
        features=attributions.features,
        output_names=attributions.output_names,
        mean=mean,
        mean_absolute=absolute,
        low=low,
        high=high,
        agreement=agreement,
        spread=spread,
        members_low=np.maximum(spread - wrong, 0.0),
        members_high=spread + wrong,
        samples=samples,
        bound_to=_bound_to(attributions, confounder, samples),
    )


def first_apart(importance: Importance, number: int, output: int = 0) -> np.ndarray:
    """Places of the features that matter most, at most `number`, none of which shares an ASV with one before it.

    Of nested clades or taxa that matter nearly alike (within a quarter) the one with the fewest ASVs stands for all: when more is
    taken out, the shares of all others grow more, and predictions move further, whatever the rest has to do with it.
    """
    spread, asvs = importance.spread[:, output], importance.features.asvs
    sizes = np.diff(asvs.indptr)
    left, found = spread > 0, list[int]()
    while left.any() and len(found) < number:
        best = int(np.where(left, spread, -1.0).argmax())
        near = left & _sharing(asvs, best) & (spread >= (1 - _NEARLY) * spread[best])
        chosen = min(np.flatnonzero(near).tolist(), key=lambda place: (sizes[place], -spread[place]))
        found.append(chosen)
        left &= ~_sharing(asvs, best) & ~_sharing(asvs, chosen)
    return np.array(found, dtype=np.int64)


def _sharing(asvs: sparse.csr_array, place: int) -> np.ndarray:
    """Which features have an ASV of this one, bool [F]."""
    return np.asarray((asvs.astype(np.int64) @ asvs[[place]].astype(np.int64).T).toarray()).ravel() > 0


def _by_feature(values: np.ndarray, feature: np.ndarray, features: int) -> np.ndarray:
    """Sums of values [K, O] over the occurrences of each feature [features, O]."""
    return np.stack([np.bincount(feature, column, minlength=features) for column in values.T.astype(np.float64)], axis=1)


def spread_of(value: np.ndarray, sample: np.ndarray, feature: np.ndarray, features: int, weights: np.ndarray) -> np.ndarray:
    """Mean absolute deviation [features, O] of values [K, O] of features in samples from their mean over n samples, which count as
    their weights [n] say, 0 where a sample has none. One more, without any ASV, counts as much as they do on average: so that of a
    single sample those with the largest values come first, too.
    """
    weight, whole = weights[sample][:, None], weights.sum() + weights.mean()
    mean = _by_feature(weight * value, feature, features) / whole
    without = whole - _by_feature(weight, feature, features)
    return (_by_feature(weight * np.abs(value - mean[feature]), feature, features) + without * np.abs(mean)) / whole


def _resampled(
    weighted: np.ndarray, group: np.ndarray, feature: np.ndarray, features: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Interval [features, O] of the mean over groups of what adds up to the mean of each group, [K, O]."""
    groups = int(group.max(initial=0)) + 1
    shape, places = (groups, features), (group, feature)
    held = sparse.csc_array((np.ones(len(group)), places), shape=shape)
    there = sparse.csc_array((np.ones(held.nnz), held.indices, held.indptr), shape=shape)
    drawn = draws(groups, seed)
    ends = np.full((2, features, weighted.shape[1]), np.nan)
    for output, column in enumerate(weighted.T):
        means = sparse.csc_array((column, places), shape=shape)
        for start in range(0, features, _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            with np.errstate(invalid="ignore"):
                ends[:, some, output] = interval((drawn @ means[:, some]) / (drawn @ there[:, some]))
    ends[:, np.diff(there.indptr) < 2] = np.nan
    return ends[0], ends[1]


def _bound_to(attributions: Attributions, confounder: np.ndarray | None, samples: np.ndarray) -> tuple[str, ...]:
    """The level in which each feature matters, where it is one of several."""
    if confounder is None or len(levels := np.unique(np.asarray(confounder))) < 2:
        return ("",) * len(samples)
    level = np.searchsorted(levels, np.asarray(confounder))
    size = np.abs(attributions.value).sum(axis=1)
    place = level[attributions.sample], attributions.feature
    total = sparse.coo_array((size, place), shape=(len(levels), len(samples))).toarray()
    # Of all samples of a level, so that large studies are no more than small ones.
    of_level = total / np.bincount(level)[:, None]
    second, first = np.sort(of_level, axis=0)[-2:]
    bound = (samples >= _ENOUGH) & (first > 0) & (second < _ELSEWHERE * first)
    return tuple(str(levels[place]) if alone else "" for place, alone in zip(of_level.argmax(axis=0), bound, strict=True))


def ranked(importance: Importance, output: int | None = None) -> np.ndarray:
    """Features that occur, int64, those that make predictions differ most first: of one output, or of all together."""
    spread = importance.spread.sum(axis=1) if output is None else importance.spread[:, output]
    order = np.argsort(-spread, kind="stable")
    return order[importance.samples[order] > 0]


def direction_of(importance: Importance, output: int | None = None) -> np.ndarray:
    """Whether each feature raises (1) or lowers (-1) one output, or that on which it acts most, int64 [F]; 0 where fewer than two
    thirds of the samples that have it have the sign of the mean: it acts either way.
    """
    outputs = importance.spread.argmax(axis=1) if output is None else np.full(len(importance.samples), output)
    place = np.arange(len(outputs)), outputs
    agreed = importance.agreement[place] >= _AGREE
    return np.sign(np.where(agreed, importance.mean[place], 0.0)).astype(np.int64)
