"""Whether an explanation is true of the model: what is named first must move predictions further than what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aam.explain.attributions import Attributions, Reader
from aam.explain.made_up import read_kept
from aam.scoring.resampling import Estimate, Groups, ratio

# ASVs that are taken out together, unless a third of a sample's are fewer: as many others must be left to compare them with.
_NAMED, _PART = 10, 3
# Others are of like abundance within about this many natural logarithms, where there are such; ASVs next to each other in abundance
# change places in a random order.
_LIKE, _NEIGHBOURS = 0.25, 5
# Times the reads of others, from which on it is said that those named first hold more.
_MORE_READS = 1.25
# Shares of a sample's ASVs along a curve, and the least number of ASVs of its samples.
_SHARES, _LEAST = np.arange(0.1, 0.95, 0.1), 10
# Samples of curves, unless all are asked for: each is read as often as a curve has points.
CURVE_SAMPLES = 200


@dataclass(frozen=True)
class NamedFirst:
    """What taking out the ASVs named first does, beside others of like abundance.

    moved: how many times as far predictions move; least, number: ASVs taken out, a third of those of a sample, ten at most;
    reads, other_reads: mean share of the sample's reads that went with them; samples: how many were looked at.
    """

    moved: Estimate
    number: int
    reads: float
    other_reads: float
    samples: int
    least: int = _NAMED

    @property
    def taken(self) -> str:
        """How many ASVs are taken out, in words."""
        return f"{self.number}" if self.least >= self.number else f"{self.least} to {self.number}"

    @property
    def sentence(self) -> str:
        """The verdict, in words."""
        interval = f" (95 % {self.moved.low:.1f} to {self.moved.high:.1f})" if np.isfinite(self.moved.low) else ""
        taken = f"taking out the {self.taken} ASVs named first moves predictions {self.moved.value:.1f} times as far"
        return f"{taken} as taking out as many others of like abundance{interval}, {self.with_reads}"

    @property
    def with_reads(self) -> str:
        """How much was taken out, in words: what dominates samples has no equal, so the others may be less."""
        return f"with {_percent(self.reads)} of the reads, others {_percent(self.other_reads)}"

    @property
    def warning(self) -> str:
        """What to think of the figure where the others hold fewer reads; else nothing."""
        if self.reads <= _MORE_READS * self.other_reads:
            return ""
        return "No others hold as many reads, so part of the difference is how much was taken out."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"


@dataclass(frozen=True, eq=False)
class Curves:
    """How far predictions move, mean over groups, as ever more ASVs of a sample are taken out, or only so many are kept.

    shares: [P] of a sample's ASVs; deletion, insertion: distances [P] by the order in which ASVs are taken: "named" (by the
    explanation), "random" (of like abundance), "abundance"; better: how many times as large the area below the deletion curve is as
    that of the random order; kept_better: how many times as small that below the insertion curve is.
    """

    shares: np.ndarray
    deletion: dict[str, np.ndarray]
    insertion: dict[str, np.ndarray]
    better: Estimate
    kept_better: Estimate
    samples: int


@dataclass(frozen=True, eq=False)
class _Sample:
    """One of the explained samples. at: its place among them; row: in the study; counts, sizes: of its ASVs, as the table has them,
    their reads and how much they are said to matter [s].
    """

    at: int
    row: int
    counts: np.ndarray
    sizes: np.ndarray


def named_first(
    reader: Reader, attributions: Attributions, groups: np.ndarray | None = None, *, repeats: int = 5, seed: int = 0, show: str = ""
) -> NamedFirst:
    """Take out of each sample the 10 ASVs with the largest attributions, and, `repeats` times, as many of its others of like
    abundance. groups: labels of the explained samples [n], each of which counts once; or None. show: what a progress bar says.
    """
    rng = np.random.default_rng(seed)
    samples = [sample for sample in _samples(reader, attributions) if len(sample.sizes) >= _PART]
    kept, reads = [], np.zeros((len(samples), 1 + repeats))
    for place, sample in enumerate(samples):
        named = _order(sample)[: min(_NAMED, len(sample.sizes) // _PART)]
        for repeat, taken in enumerate([named, *(_alike(sample, named, rng) for _ in range(repeats))]):
            kept.append(np.isin(np.arange(len(sample.sizes)), taken, invert=True))
            reads[place, repeat] = sample.counts[taken].sum() / sample.counts.sum()
    moved = _moved(reader, attributions, samples, kept, 1 + repeats, show)
    of = Groups.named(_some(groups, samples), len(samples))
    weights = of.weights()
    found = ratio(moved[:, 0], moved[:, 1:].mean(axis=1), of, seed)
    sizes = [min(_NAMED, len(sample.sizes) // _PART) for sample in samples]
    shares = (float(weights @ reads[:, 0]), float(weights @ reads[:, 1:].mean(axis=1)))
    return NamedFirst(found, max(sizes, default=0), *shares, len(samples), min(sizes, default=0))


def curves(
    reader: Reader,
    attributions: Attributions,
    groups: np.ndarray | None = None,
    *,
    most: int | None = CURVE_SAMPLES,
    seed: int = 0,
    show: str = "",
) -> Curves:
    """Deletion and insertion curves of at most `most` samples of 10 ASVs or more, drawn at random."""
    rng = np.random.default_rng(seed)
    every = [sample for sample in _samples(reader, attributions) if len(sample.sizes) >= _LEAST]
    chosen = np.sort(rng.permutation(len(every))[:most])
    samples = [every[place] for place in chosen]
    orders: dict[str, Callable[[_Sample], np.ndarray]] = {
        "named": _order,
        "random": lambda sample: _swapped(sample, rng)[_order(sample)],
        "abundance": lambda sample: np.argsort(-sample.counts, kind="stable"),
    }
    kept = []
    for sample in samples:
        size = len(sample.sizes)
        for order in orders.values():
            rank = np.argsort(order(sample))
            # One is left at least, and one is taken out.
            numbers = np.rint(_SHARES * size).clip(1, size - 1)
            kept += [rank >= number for number in numbers] + [rank < number for number in numbers]
    moved = _moved(reader, attributions, samples, kept, len(orders) * 2 * len(_SHARES), show)
    moved = moved.reshape(len(samples), len(orders), 2, len(_SHARES))
    of = Groups.named(_some(groups, samples), len(samples))
    deleted, inserted = ({name: of.weights() @ moved[:, place, which] for place, name in enumerate(orders)} for which in range(2))
    area = moved.mean(axis=3)
    return Curves(
        _SHARES,
        deleted,
        inserted,
        ratio(area[:, 0, 0], area[:, 1, 0], of, seed),
        ratio(area[:, 1, 1], area[:, 0, 1], of, seed),
        len(samples),
    )


def _samples(reader: Reader, attributions: Attributions) -> list[_Sample]:
    """The explained samples with two ASVs or more. ValueError for attributions of clades or taxa, or without some ASVs."""
    if attributions.features.kind != "asv":
        raise ValueError("faithfulness is measured on attributions of ASVs")
    size = np.abs(attributions.value).sum(axis=1)
    order = np.lexsort((attributions.feature, attributions.sample))
    ends = np.searchsorted(attributions.sample[order], np.arange(len(attributions.samples) + 1))
    found = []
    for at, row in enumerate(attributions.samples):
        here, own = slice(*reader.counts.indptr[row : row + 2]), order[ends[at] : ends[at + 1]]
        if len(own) < 2:
            continue
        if not np.array_equal(reader.counts.indices[here], attributions.feature[own]):
            raise ValueError("attributions of other ASVs than those of the samples")
        found.append(_Sample(at, int(row), reader.counts.data[here], size[own]))
    return found


def _order(sample: _Sample) -> np.ndarray:
    """Its ASVs, those that matter most first."""
    return np.argsort(-sample.sizes, kind="stable")


def _alike(sample: _Sample, named: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many of its other ASVs with as many reads together, as near as there are such.

    Each of those named, the most abundant one first, is matched by one of like abundance; what is lacking so far, because what
    dominates a sample has no equal, the next ones make up for.
    """
    counts = sample.counts.astype(np.float64)
    free = np.setdiff1d(np.arange(len(counts)), named)
    taken, lacking = [], 0.0
    for asv in named[np.argsort(-counts[named], kind="stable")]:
        wanted = max(counts[asv] + lacking, 1.0)
        unlike = np.abs(np.log(counts[free] / wanted)) + _LIKE * rng.random(len(free))
        place = int(unlike.argmin())
        lacking += counts[asv] - counts[free[place]]
        taken.append(free[place])
        free = np.delete(free, place)
    return np.array(taken)


def _swapped(sample: _Sample, rng: np.random.Generator) -> np.ndarray:
    """For each of its ASVs another one, drawn among the five that are next to each other in abundance."""
    ranked = np.argsort(-sample.counts, kind="stable")
    found = np.empty_like(ranked)
    for start in range(0, len(ranked), _NEIGHBOURS):
        some = ranked[start : start + _NEIGHBOURS]
        found[some] = rng.permutation(some)
    return found


def _moved(
    reader: Reader, attributions: Attributions, samples: list[_Sample], kept: list[np.ndarray], each: int, show: str
) -> np.ndarray:
    """How far predictions move [samples, each], where `kept` says for each sample `each` times which of its ASVs stay."""
    rows = np.repeat([sample.row for sample in samples], each)
    said = read_kept(reader, rows, np.concatenate([np.zeros(0, dtype=bool), *kept]), show)
    whole = attributions.predicted[np.repeat([sample.at for sample in samples], each)]
    return np.abs(said - whole).sum(axis=1).reshape(len(samples), each)


def _some(groups: np.ndarray | None, samples: list[_Sample]) -> np.ndarray | None:
    return None if groups is None else np.asarray(groups)[[sample.at for sample in samples]]
