"""A tree cut to some of its tips, at a cost that does not grow with the tree.

Where two tips part is the shallowest of the points where neighbours between them part (depth first), so all that is kept of the
tree is how deep each tip is and where each parts from the next: a minimum over any stretch of them is two look-ups in a table of
minima over powers of two (Bender & Farach-Colton 2000). U tips, in order, cut out 2 U - 1 nodes at a cost of U log U.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from aam.data.phylogeny import Phylogeny

# Neighbours whose minimum is one entry of the table, so that it is small beside the tree; within, they are looked through.
_BLOCK = 32


@dataclass(frozen=True)
class Nodes:
    """Node k spans the tips ``start[k]:end[k]`` and has the branch ``length[k]`` above it; int64, int64 and float64 [K]."""

    start: Tensor
    end: Tensor
    length: Tensor


def depths(phylogeny: Phylogeny) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the root of each tip, float64 [T], and of the node where it parts from the next one, [T - 1]."""
    tips = len(phylogeny.tip_columns)
    of_tip, of_parting = np.zeros(tips), np.zeros(max(tips - 1, 0))
    # A node before those inside it.
    order = np.lexsort((-phylogeny.node_end, phylogeny.node_start))
    nodes = (phylogeny.node_start[order], phylogeny.node_end[order], phylogeny.branch_length[order])
    # End and depth of the nodes that the next one may lie in.
    around: list[tuple[int, float]] = [(tips, 0.0)]
    first = 0
    for start, end, length in zip(*(part.tolist() for part in nodes), strict=True):
        while around[-1][0] <= start:
            around.pop()
        above = around[-1][1]
        if start > first:
            of_parting[start - 1] = above
            first = start
        around.append((end, above + length))
        if end == start + 1:
            of_tip[start] = above + length
    return of_tip, of_parting


class CutTree(nn.Module):
    """Cuts a tree to tips. Its buffers move with the model but are not saved with it."""

    of_tip: Tensor
    of_parting: Tensor
    minima: Tensor

    def __init__(self, phylogeny: Phylogeny) -> None:
        super().__init__()
        of_tip, of_parting = (torch.from_numpy(part) for part in depths(phylogeny))
        self.register_buffer("of_tip", of_tip, persistent=False)
        # Up to a whole block and one more, so that no look-up is outside.
        padding = 2 * _BLOCK - len(of_parting) % _BLOCK
        of_parting = nn.functional.pad(of_parting, (0, padding), value=torch.inf)
        self.register_buffer("of_parting", of_parting, persistent=False)
        self.register_buffer("minima", _minima(of_parting.view(-1, _BLOCK).amin(dim=1)), persistent=False)

    def forward(self, tips: Tensor) -> Nodes:
        """The nodes of `tips`, int64 [U], rising: their own first, then where they part.

        Places in `start` and `end` are among the chosen tips. The node of all of them carries everything between it and the root.
        """
        partings = self._partings(tips[:-1], tips[1:])
        own = torch.arange(len(tips), device=tips.device)
        left, right = _nearest_smaller(partings)
        # What lies outside of all tips is the root, at depth 0.
        around = nn.functional.pad(partings, (1, 1))
        above = torch.cat([torch.maximum(around[:-1], around[1:]), torch.maximum(around[left + 1], around[right + 1])])
        length = torch.cat([self.of_tip[tips], partings]) - above
        return Nodes(torch.cat([own, left + 1]), torch.cat([own + 1, right + 1]), length)

    def _partings(self, first: Tensor, last: Tensor) -> Tensor:
        """The least of `of_parting` from `first` to before `last`, [Q]."""
        near = torch.arange(_BLOCK, device=first.device)
        after, before = first[:, None] + near, last[:, None] - 1 - near
        ends = [
            torch.where(after < last[:, None], self.of_parting[after.clamp(max=len(self.of_parting) - 1)], torch.inf),
            torch.where(before >= first[:, None], self.of_parting[before.clamp(min=0)], torch.inf),
        ]
        least = torch.minimum(ends[0].amin(dim=1), ends[1].amin(dim=1))
        start, stop = -(-first // _BLOCK), last // _BLOCK
        return torch.minimum(least, _least(self.minima, start, stop))


def _minima(values: Tensor) -> Tensor:
    """Row k: the least of the 2^k values from each place on (fewer at the end), [levels, n]."""
    rows = [values]
    while (reach := 1 << (len(rows) - 1)) < len(values):
        rows.append(torch.minimum(rows[-1], nn.functional.pad(rows[-1][reach:], (0, reach), value=torch.inf)))
    return torch.stack(rows)


def _least(minima: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """The least value from `start` to before `stop`, infinite where there is none, [Q]."""
    number = (stop - start).clamp(min=1)
    level = (torch.frexp(number.double()).exponent - 1).long()
    found = torch.minimum(minima[level, start], minima[level, (stop - (1 << level)).clamp(min=0)])
    return torch.where(stop > start, found, torch.inf)


def _nearest_smaller(values: Tensor) -> tuple[Tensor, Tensor]:
    """Of each of n values the nearest place before it with a smaller value (or -1), and after it with one not larger (or n)."""
    n = len(values)
    place = torch.arange(n, device=values.device)
    left, right = place - 1, place + 1
    minima = _minima(values) if n else values.view(1, 0)
    for level in reversed(range(len(minima))):
        reach = 1 << level
        further = left - reach + 1
        jump = (further >= 0) & (minima[level, further.clamp(min=0)] >= values)
        left = torch.where(jump, left - reach, left)
        jump = (right + reach <= n) & (minima[level, right.clamp(max=max(n - 1, 0))] > values)
        right = torch.where(jump, right + reach, right)
    return left, right
