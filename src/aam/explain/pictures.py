"""Pictures of an explanation: a swarm of samples for each feature, the tree of ASVs, one sample's account, curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from aam.distances.cut import CutTree
from aam.explain import drawing as draw
from aam.explain.attributions import Attributions
from aam.explain.faithfulness import Curves
from aam.explain.story import BASELINES, Story, matrix_of, shown
from aam.explain.summary import direction_of, ranked

# Features of a swarm and of a tree, contributions of an account.
SWARM_FEATURES, _TREE_ASVS, _CONTRIBUTIONS = 15, 25, 12
# Points that a swarm shows of a feature, and their size.
_POINTS, _RADIUS = 250, 2.0
# Relative abundances that part the colours.
_SHARES = (0.001, 0.01, 0.05, 0.2)
_SHARE_NAMES = ("below 0.1 %", "to 1 %", "to 5 %", "to 20 %", "more")
_MARGIN = 8.0
Way = Literal["deletion", "insertion"]
# Orders in which ASVs are taken: names, colours, and lines that are told apart without colour.
_ORDERS = {
    "named": ("those named first", "raise", ""),
    "random": ("random order of like abundance", "base", ' stroke-dasharray="6 4"'),
    "abundance": ("most abundant first", "lower", ' stroke-dasharray="2 3"'),
}
# Colours of what raises, lowers, or does neither (`direction_of`, and signs of values).
_COLOURS = {1: "raise", -1: "lower", 0: "base"}
# Ends of the lines in the key.
_KEY = np.array([46.0, 76.0])


def swarm(story: Story, place: int, output: int) -> str:
    """For each of the features that matter most a row of points, one for each sample that has it: how far the feature moves the
    prediction, coloured by its relative abundance; values beyond 99 % of all stand at the border. place: of the attributions in the
    story.
    """
    attributions, importance = story.attributions[place], story.importances[place]
    top, matrix = shown(importance, output, SWARM_FEATURES), matrix_of(attributions, output).tocsc()
    shares = (story.shares @ attributions.features.asvs[top].T.astype(float)).tocsc()
    columns = [_points(matrix, int(feature), shares, k) for k, feature in enumerate(top)]
    ends = _ends(np.concatenate([values for values, _ in columns]))
    x = draw.scale(ends, _MARGIN + 4, draw.WIDTH - _MARGIN - 4)
    row, head = 38.0, 40.0
    foot = head + row * len(top)
    parts = _share_legend()
    parts += draw.x_axis(x, ends, (head, foot), f"change of the prediction by the {_noun(attributions)} ({attributions.unit})")
    for k, (feature, (values, abundances)) in enumerate(zip(top, columns, strict=True)):
        y = head + row * k
        name = f"{k + 1}. {story.name(attributions.features, int(feature))}"
        parts.append(draw.text(_MARGIN, y + 12, draw.fitting(name, draw.WIDTH - 2 * _MARGIN)))
        xs = np.array([x(value) for value in np.clip(values, *ends)])
        ys = y + 26 + _spread(xs)
        colour = np.digitize(abundances, _SHARES)
        parts += [draw.dots(xs[colour == c], ys[colour == c], f"share{c}", _RADIUS) for c in range(len(_SHARE_NAMES))]
    what = f"Change of the prediction by the {len(top)} most important {_noun(attributions)}s, a point for each sample"
    return draw.svg(what, foot + 38, parts)


def _points(matrix: object, feature: int, shares: object, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of a feature in the samples that have it, rising, and its relative abundance there; of many samples some, evenly."""
    column = slice(matrix.indptr[feature], matrix.indptr[feature + 1])  # type: ignore[attr-defined]
    rows, values = matrix.indices[column], matrix.data[column]  # type: ignore[attr-defined]
    abundance = shares[:, [place]].toarray().ravel()[rows]  # type: ignore[index]
    order = np.argsort(values, kind="stable")
    if len(order) > _POINTS:
        order = order[np.linspace(0, len(order) - 1, _POINTS).round().astype(int)]
    return values[order], abundance[order]


def _spread(xs: np.ndarray) -> np.ndarray:
    """Heights at which points beside each other do not cover each other: each further one of a place lies further out."""
    ys, held = np.zeros(len(xs)), dict[int, int]()
    for k, place in enumerate((xs / (1.6 * _RADIUS)).round().astype(int).tolist()):
        n = held.get(place, 0)
        held[place] = n + 1
        ys[k] = (n + 1) // 2 * (1 if n % 2 else -1) * 1.6 * _RADIUS
    # What is beyond the row is drawn at its border.
    return np.clip(ys, -9.0, 9.0)


def _share_legend() -> list[str]:
    parts, x = [draw.text(_MARGIN, 12, "Relative abundance in the sample:", kind="small")], _MARGIN
    for c, name in enumerate(_SHARE_NAMES):
        parts += [draw.dots(np.array([x + 4]), np.array([25.0]), f"share{c}", 4), draw.text(x + 12, 29, name, kind="small")]
        x += 26 + 6.0 * len(name)
    return parts


def tree(story: Story, output: int) -> str:
    """The most important ASVs at the tips of the tree, with a bar each: how far it makes samples differ, and where it moves them.
    Empty where no tree is given, or fewer than three of them are in it.
    """
    importance, phylogeny = story.importances[0], story.phylogeny
    if phylogeny is None:
        return ""
    top = ranked(importance, output)[:_TREE_ASVS]
    columns = [int(importance.features.asvs[[feature]].indices[0]) for feature in top]
    tip_of = np.full(len(story.asv_ids), -1, dtype=np.int64)
    tip_of[phylogeny.tip_columns] = np.arange(len(phylogeny.tip_columns))
    tips = tip_of[columns]
    there = np.flatnonzero(tips >= 0)
    if len(there) < 3:
        return ""
    there = there[np.argsort(tips[there])]
    nodes = CutTree(phylogeny)(torch.from_numpy(tips[there]))
    directions = direction_of(importance, output)
    row, top_y, bars, ends = 21.0, 26.0, 330.0, (0.0, float(importance.spread[top, output].max()))
    x = draw.scale(ends, bars, draw.WIDTH - 44)
    parts = [*_branches(nodes.start.numpy(), nodes.end.numpy(), nodes.length.numpy(), row, top_y)]
    parts.append(draw.text(draw.WIDTH - 4, 14, f"between samples ({story.attributions[0].unit})", anchor="end", kind="small"))
    for k, which in enumerate(there):
        feature, y = top[which], top_y + row * (k + 0.5)
        value = float(importance.spread[feature, output])
        name = f"{which + 1}. {story.name(importance.features, int(feature))}"
        parts += [
            draw.text(132, y + 4, draw.fitting(name, bars - 138)),
            draw.bar(x(0.0), x(value), y - 6, 12, _COLOURS[int(directions[feature])]),
            draw.text(x(value) + 4, y + 4, draw.number(value), kind="small"),
        ]
    return draw.svg(
        "Tree of the most important ASVs, with how far each makes predictions differ between samples",
        top_y + row * len(there) + 8,
        parts,
    )


def _branches(start: np.ndarray, end: np.ndarray, length: np.ndarray, row: float, top: float) -> list[str]:
    """The lines of a tree whose node k spans the tips `start[k]:end[k]`."""
    order = np.lexsort((-end, start))
    # The branch above all tips says nothing of them.
    length = np.where(end - start == end.max(), 0.0, length)
    depth, middle, around = np.zeros(len(order)), np.zeros(len(order)), [int(order[0])]
    children: dict[int, list[int]] = {int(node): [] for node in order}
    for node in order[1:].tolist():
        while end[around[-1]] <= start[node]:
            around.pop()
        depth[node] = depth[around[-1]] + length[node]
        children[around[-1]].append(node)
        around.append(node)
    x = draw.scale([0.0, float(depth.max())], 8, 124)
    parts = []
    for node in order[::-1].tolist():
        below = children[node]
        ys = [middle[child] for child in below]
        middle[node] = (min(ys) + max(ys)) / 2 if below else top + row * (start[node] + 0.5)
        if below:
            parts.append(draw.line((x(depth[node]), min(ys)), (x(depth[node]), max(ys)), "axis"))
        parts += [draw.line((x(depth[node]), middle[child]), (x(depth[child]), middle[child]), "axis") for child in below]
    return parts


def account(story: Story, sample: int, output: int) -> str:
    """One sample's own account: from the average prediction of the explained samples to its own, by the features that move it most,
    the rest of them, and what deletions one by one do not account for; gradients go out from what is said of their baseline, and
    leave to account for what members without any say.
    """
    attributions, gradients = story.attributions[0], story.gradients
    start, own = float(attributions.predicted[:, output].mean()), float(attributions.predicted[sample, output])
    name, left = "average prediction of these samples", "not accounted for by single ones"
    if gradients is not None:
        start, left = float(gradients.start[sample, output]), gradients.left_open(sample)
        name = f"what is said of {BASELINES[gradients.baseline]}"
    mine = attributions.sample == sample
    values, features = attributions.value[mine, output], attributions.feature[mine]
    order = np.argsort(-np.abs(values), kind="stable")
    top, rest = order[:_CONTRIBUTIONS], order[_CONTRIBUTIONS:]
    shares = story.shares[[sample]].toarray().ravel()
    steps = [
        (
            f"{story.name(attributions.features, int(features[k]))}, {_percent(shares, attributions, int(features[k]))}",
            float(values[k]),
        )
        for k in top
    ]
    if len(rest):
        steps.append((f"the other {len(rest)} {_noun(attributions)}s together", float(values[rest].sum())))
    drawn = [(name, value, _COLOURS[int(np.sign(value))]) for name, value in steps]
    if left:
        drawn.append((left, own - start - float(values.sum()), "base"))
    return _waterfall((name, start), own, drawn, attributions.unit, f"Account of the prediction of {story.sample_ids[sample]}")


def _percent(shares: np.ndarray, attributions: Attributions, feature: int) -> str:
    share = 100 * float(shares[attributions.features.asvs[[feature]].indices].sum())
    return f"{share:.2g} % of reads" if share >= 0.01 else "below 0.01 % of reads"


def _waterfall(start: tuple[str, float], own: float, steps: Sequence[tuple[str, float, str]], unit: str, title: str) -> str:
    """start: its name and value; steps: names, values and colours, which add up from there to `own`."""
    levels = np.cumsum([start[1], *(value for _, value, _ in steps)])
    low, high = float(min(levels.min(), own)), float(max(levels.max(), own))
    pad = 0.08 * ((high - low) or 1.0)
    ends = (low - pad, high + pad)
    x = draw.scale(ends, _MARGIN, draw.WIDTH - _MARGIN)
    row, head = 31.0, 8.0
    foot = head + row * (len(steps) + 2)
    parts = draw.x_axis(x, ends, (head, foot), f"prediction ({unit})")
    parts += _level(x(start[1]), head, f"{start[0]}: {draw.number(start[1])}", row)
    for k, (name, value, kind) in enumerate(steps):
        y = head + row * (k + 1)
        said = f"{draw.signed(value)}  {name}"
        parts += [
            draw.text(_MARGIN, y + 12, draw.fitting(said, draw.WIDTH - 2 * _MARGIN)),
            draw.bar(x(float(levels[k])), x(float(levels[k + 1])), y + 17, 9, kind),
        ]
    parts += _level(x(own), head + row * (len(steps) + 1), f"prediction of this sample: {draw.number(own)}", row)
    return draw.svg(title, foot + 38, parts)


def _level(x: float, y: float, name: str, row: float) -> list[str]:
    return [draw.text(_MARGIN, y + 12, name, kind="strong"), draw.bar(x - 1.5, x + 1.5, y + 16, row - 18, "base")]


def curves(found: Curves, way: Way, unit: str) -> str:
    """How far predictions move while ever more ASVs are taken out (deletion), or only so many are kept (insertion)."""
    lines, deletion = getattr(found, way), way == "deletion"
    left, foot = 46.0, 210.0
    ends = (0.0, max(float(values.max()) for values in lines.values()) or 1.0)
    x, y = draw.scale((0.0, 1.0), left, draw.WIDTH - 12), draw.scale(ends, foot, 30)
    label = f"share of a sample's ASVs that is {'taken out' if deletion else 'kept, the others taken out'} (%)"
    parts = draw.x_axis(lambda percent: x(percent / 100), (0, 100), (30, foot), label)
    for value in draw.ticks(*ends):
        parts += [draw.line((left, y(value)), (draw.WIDTH - 12, y(value)), "grid"),
                  draw.text(left - 6, y(value) + 4, draw.number(value), anchor="end", kind="small")]  # fmt: skip
    parts.append(draw.text(4, 14, f"distance from the whole sample's prediction ({unit})", kind="small"))
    for k, (order, values) in enumerate(lines.items()):
        name, colour, dash = _ORDERS[order]
        xs, ys = np.array([x(share) for share in found.shares]), np.array([y(value) for value in values])
        at = np.full(2, foot + 50 + 20 * k)
        parts += [draw.path(places, heights, f"line {colour}-line", dash) for places, heights in ((xs, ys), (_KEY, at))]
        parts.append(draw.text(_KEY[1] + 8, at[0] + 4, name))
    title = "Taking ASVs out" if deletion else "Keeping ASVs"
    return draw.svg(f"{title}: distance from the whole sample's prediction", foot + 46 + 20 * len(lines), parts)


def _ends(values: np.ndarray) -> tuple[float, float]:
    """What holds 0 and 99 % of the values, and a little more: a single sample would press all others together."""
    low, high = (float(edge) for edge in np.quantile(np.append(values, 0.0), (0.005, 0.995)))
    low, high = min(low, 0.0), max(high, 0.0)
    pad = 0.03 * ((high - low) or 1.0)
    return low - pad, high + pad


def _noun(attributions: Attributions) -> str:
    return {"asv": "ASV", "clade": "clade", "taxon": "taxon"}[attributions.features.kind]
