"""Sums over the nodes that pairs of samples share, in compiled code (numba): a block of samples with all from its first one on.

Nodes with reads of many samples lie in `tiles`, float64 [tiles, nodes, WIDTH]: their values in WIDTH neighbouring samples, 0 where
there are no reads. Of those with few, what a block has, `rare`, meets the samples of the same node, `below`. Entries by sample or
by node are three arrays: where each begins, which node or sample it is of (rising), and its value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

# Samples of a tile, and of a block: the nodes of one are in the second cache, its sums in the first.
WIDTH = 64
Entries = tuple[np.ndarray, np.ndarray, np.ndarray]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled at the first call on a machine, and kept beside this file, or in the user's cache where that is read-only."""
    # All that fast arithmetic may do but take infinities for impossible.
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "nnan", "arcp"}}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        # Neither may be written.
        return njit(**options)(function)


@_compiled
def add_minima(first: int, common: Entries, tiles: np.ndarray, rare: Entries, below: Entries, overlap: np.ndarray) -> None:
    """Add to `overlap` [R, tiles x WIDTH] the smaller value of each of R samples from `first` on and each other sample."""
    starts, nodes, values = common
    sums = np.empty(WIDTH)
    for tile in range(first // WIDTH, len(tiles)):
        for row in range(len(overlap)):
            sums[:] = 0.0
            for entry in range(starts[first + row], starts[first + row + 1]):
                value, others = values[entry], tiles[tile, nodes[entry]]
                for place in range(WIDTH):
                    sums[place] += min(value, others[place])
            overlap[row, tile * WIDTH : (tile + 1) * WIDTH] += sums
    starts, nodes, values = rare
    node_starts, samples, other_values = below
    for row in range(len(overlap)):
        sample = first + row
        for entry in range(starts[sample], starts[sample + 1]):
            other = node_starts[nodes[entry] + 1] - 1
            # Back to the sample itself, which is among them.
            while samples[other] > sample:
                overlap[row, samples[other]] += min(values[entry], other_values[other])
                other -= 1


@_compiled
def power(base: float, exponent: float) -> float:
    """base^exponent for a base above 0, to 14 digits; unlike the library's it is computed four at a time within a loop."""
    bits = np.float64(base).view(np.int64)
    fraction = np.int64((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000).view(np.float64)
    # An integer below 2^52 as the last bits of 2^52 itself.
    whole = np.int64((bits >> 52) | 0x4330000000000000).view(np.float64) - (4503599627370496.0 + 1023.0)
    large = fraction > math.sqrt(2.0)
    fraction = 0.5 * fraction if large else fraction
    whole = whole + 1.0 if large else whole
    # log2 by the series of artanh.
    z = (fraction - 1.0) / (fraction + 1.0)
    y = z * z
    series = 1 / 9 + y * (1 / 11 + y * (1 / 13 + y * (1 / 15 + y / 17)))
    series = 1.0 + y * (1 / 3 + y * (1 / 5 + y * (1 / 7 + y * series)))
    power_of_2 = exponent * (whole + 2.0 / math.log(2.0) * z * series)
    # The nearest integer is left in the last bits.
    shifted = power_of_2 + 6755399441055744.0
    x = (power_of_2 - np.float64(shifted - 6755399441055744.0)) * math.log(2.0)
    exponential = 1.0 + x / 8 * (1.0 + x / 9 * (1.0 + x / 10 * (1.0 + x / 11 * (1.0 + x / 12))))
    exponential = 1.0 + x / 4 * (1.0 + x / 5 * (1.0 + x / 6 * (1.0 + x / 7 * exponential)))
    exponential = 1.0 + x * (1.0 + x / 2 * (1.0 + x / 3 * exponential))
    return exponential * np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)


@_compiled
def weight(share: float, alpha: float) -> float:
    """share^(alpha - 1) for a share above 0."""
    return 1.0 / math.sqrt(share) if alpha == 0.5 else power(share, alpha - 1.0)


@_compiled
def add_weighted(
    first: int,
    alpha: float,
    lengths: tuple[np.ndarray, np.ndarray],
    common: Entries,
    tiles: tuple[np.ndarray, np.ndarray],
    rare: Entries,
    below: Entries,
    sums: tuple[np.ndarray, np.ndarray],
) -> None:
    """Add what generalized UniFrac sums over nodes that p and q share: b min(p, q) (p + q)^(alpha - 1) to the first of `sums`, and
    b ((p + q)^alpha - p^alpha - q^alpha) to the second; both as the `overlap` of `add_minima`.

    lengths: b of the common nodes, and of the rare ones. tiles: the second ones hold b q^alpha.
    """
    starts, nodes, values = common
    overlap, joint = np.empty(WIDTH), np.empty(WIDTH)
    for tile in range(first // WIDTH, len(tiles[0])):
        here = slice(tile * WIDTH, (tile + 1) * WIDTH)
        for row in range(len(sums[0])):
            overlap[:] = 0.0
            joint[:] = 0.0
            for entry in range(starts[first + row], starts[first + row + 1]):
                node, p = nodes[entry], values[entry]
                length, q, q_alone = lengths[0][node], tiles[0][tile, node], tiles[1][tile, node]
                p_alone = length * p * weight(p, alpha)
                if alpha == 0.5:
                    for place in range(WIDTH):
                        both = p + q[place]
                        weighed = length / math.sqrt(both)
                        overlap[place] += min(p, q[place]) * weighed
                        joint[place] += both * weighed - p_alone - q_alone[place]
                else:
                    for place in range(WIDTH):
                        both = p + q[place]
                        weighed = length * power(both, alpha - 1.0)
                        overlap[place] += min(p, q[place]) * weighed
                        joint[place] += both * weighed - p_alone - q_alone[place]
            sums[0][row, here] += overlap
            sums[1][row, here] += joint
    starts, nodes, values = rare
    node_starts, samples, other_values = below
    for row in range(len(sums[0])):
        sample = first + row
        for entry in range(starts[sample], starts[sample + 1]):
            node, p = nodes[entry], values[entry]
            length, p_alone = lengths[1][node], p * weight(p, alpha)
            other = node_starts[node + 1] - 1
            while samples[other] > sample:
                q = other_values[other]
                weighed = weight(p + q, alpha)
                sums[0][row, samples[other]] += length * min(p, q) * weighed
                sums[1][row, samples[other]] += length * ((p + q) * weighed - p_alone - q * weight(q, alpha))
                other -= 1
