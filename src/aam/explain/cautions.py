"""What a reader must know before believing an explanation: known and novel samples, ASVs that are alike, ASVs of one study."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from aam.errors import counted, first_few, some_of
from aam.explain import drawing as draw
from aam.explain.attributions import Importance
from aam.explain.story import Story
from aam.explain.summary import ranked

# ASVs that are compared with each other, and what makes two of them alike.
_COMPARED, _CORRELATED, _IDENTICAL = 15, 0.8, 0.97
_SHOWN, _FEW = 4, 20
# Rank correlation with a model that knows nothing from which on a ranking is not near 0.
_LIKE_NOTHING = 0.2


def cautions_of(story: Story) -> tuple[str, ...]:
    """Sentences, those that weigh most first."""
    found = (
        _untested(story),
        _cancelling(story),
        _like_nothing(story),
        _few(story),
        _learned(story),
        _novel(story),
        _study_bound(story),
        _alike(story),
    )
    return tuple(sentence for sentence in found if sentence)


def _untested(story: Story) -> str:
    for tested, what in ((story.listed, "list over all samples"), (story.named_first, "account of each sample")):
        if tested is None:
            continue
        least = tested.moved.low if np.isfinite(tested.moved.low) else tested.moved.value
        if least <= 1:
            return (
                f"Taking out the {story.noun}s that the {what} names first moves predictions no farther than taking out others of "
                f"like abundance (the interval reaches {least:.2g}): do not rely on its order."
            )
    return ""


def _cancelling(story: Story) -> str:
    found = story.curves
    if found is None or not found.samples or not np.isfinite(found.better.low) or found.better.low > 1:
        return ""
    low, high = draw.number(found.better.low), draw.number(found.better.high)
    return (
        f"As ever more {story.noun}s are taken out, predictions are not known to move further in the order of the explanation than "
        f"in random order of like abundance ({draw.number(found.better.value)} times as far, 95 % interval {low} to {high}): "
        f"{story.noun}s named first may work against each other, or others may stand in for them."
    )


def _like_nothing(story: Story) -> str:
    for pair in story.compared:
        said = pair.found.signed, pair.found.beside_amount
        large = [value for value in said if abs(value) >= _LIKE_NOTHING]
        if pair.shuffled and large:
            like = "like that" if max(large, key=abs) > 0 else "like the reverse of that"
            direction, beside = (draw.number(round(value, 2)) for value in said)
            return (
                f"The ranking looks in part {like} of a model that knows nothing, which is this one with shuffled weights (rank "
                f"correlation {direction} in direction, {beside} beside amount; it should be near 0): some of it may come "
                "from how the model is built rather than from what it learned."
            )
    return ""


def _few(story: Story) -> str:
    number = len(story.sample_ids)
    return f"Only {counted(number, 'sample')} explained: means over so few may be chance." if number < _FEW else ""


def _learned(story: Story) -> str:
    if not story.learned:
        return ""
    return (
        f"By their IDs, the model learned from {story.learned:,} of {counted(len(story.sample_ids), 'sample')}: what carries the "
        "predictions of these may be what was learned by heart. Explain samples that were held out."
    )


def _novel(story: Story) -> str:
    if story.novelty is None or not (story.novelty > 1).any():
        return ""
    ids = [story.sample_ids[row] for row in np.flatnonzero(story.novelty > 1)]
    said = some_of(len(ids), len(story.sample_ids), "are out of distribution")
    which = f"{said} ({first_few(ids, 3)})"
    return f"{which}: the model saw nothing like them in training, so what moves its predictions of them means little."


def _study_bound(story: Story) -> str:
    importance = story.importances[0]
    bound = [int(row) for row in ranked(importance)[:_COMPARED] if importance.bound_to[row]]
    if not bound:
        return ""
    named = [f"{story.name(importance.features, row)} in {importance.bound_to[row]}" for row in bound]
    matter = "matters" if len(bound) == 1 else "matter"
    return (
        f"{counted(len(bound), story.noun)} of the first {_COMPARED} {matter} in one {story.confounder} only, and may stand for "
        f"that {story.confounder} rather than for {story.column}: {first_few(named, _SHOWN)}"
    )


def _alike(story: Story) -> str:
    importance = story.importances[0]
    top = ranked(importance)[:_COMPARED]
    pairs = alike(story, importance, top)
    if not pairs:
        return ""
    named = [f"{story.name(importance.features, a)} and {story.name(importance.features, b)}" for a, b in pairs]
    more = " Look at clades and taxa, which are taken out as a whole." if len(story.importances) > 1 else ""
    return (
        f"{counted(len(pairs), 'pair')} of the first {len(top)} {story.noun}s rise and fall together or are nearly the same "
        f"sequence: one can stand for the other, so the importance of each alone is too low: {first_few(named, _SHOWN)}.{more}"
    )


def alike(story: Story, importance: Importance, features: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of features whose relative abundances correlate over samples (Spearman), or whose sequences are nearly the same."""
    columns = importance.features.asvs[features].T.astype(float)
    ranks = rankdata((story.shares @ columns).toarray(), axis=0)
    ranks -= ranks.mean(axis=0)
    size = np.sqrt((ranks**2).sum(axis=0))
    correlations = ranks.T @ ranks / np.maximum(np.outer(size, size), 1e-12)
    return [
        (int(features[a]), int(features[b]))
        for a, b in combinations(range(len(features)), 2)
        if correlations[a, b] >= _CORRELATED or _same(story, importance, int(features[a]), int(features[b]))
    ]


def _same(story: Story, importance: Importance, first: int, second: int) -> bool:
    if story.sequences is None or importance.features.kind != "asv":
        return False
    a, b = (story.sequences[int(importance.features.asvs[[row]].indices[0])] for row in (first, second))
    return len(a) == len(b) and sum(x == y for x, y in zip(a, b, strict=True)) >= _IDENTICAL * len(a)
