"""Pictures of attention: which ASVs of a sample look at which, and which nucleotides of an ASV are looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aam.explain import drawing as draw
from aam.explain.attention import Attention

# ASVs of a heat map, and pixels of the picture.
_SHOWN, _NAMES, _HEAD = 20, 190.0, 20.0
# Positions of a row of bars, and pixels of its parts.
_PER_ROW, _BARS, _GAP, _LEFT = 50, 46.0, 34.0, 22.0


def most_attended(found: Attention, most: int = _SHOWN) -> np.ndarray:
    """Places that get the largest shares of attention, int64, the largest first."""
    return np.argsort(-found.score, kind="stable")[:most]


def heat_map(found: Attention, names: Sequence[str], title: str) -> str:
    """The ASVs of a sample that are attended most, as rows that look and columns that are looked at: the mean over heads and layers
    of the weights. names: of these ASVs (`most_attended`), in this order.
    """
    top = most_attended(found, len(names))
    weights = found.layers.mean(axis=(0, 1))[np.ix_(top, top)]
    largest = float(weights.max()) or 1.0
    cell = (draw.WIDTH - _NAMES - 8) / max(len(top), 1)
    parts = []
    for row, (name, own) in enumerate(zip(names, weights, strict=True)):
        y = _HEAD + cell * row
        parts.append(draw.text(0, y + cell / 2 + 3.5, draw.fitting(f"{row + 1}. {name}", _NAMES - 6, 10.5), kind="small"))
        parts.append(draw.text(_NAMES + cell * (row + 0.5), _HEAD - 6, str(row + 1), anchor="middle", kind="tiny faint"))
        parts += [
            f'<rect class="share3" x="{_NAMES + cell * column:.1f}" y="{y:.1f}" width="{cell - 0.8:.1f}" '
            f'height="{cell - 0.8:.1f}" opacity="{max(value / largest, 0.03):.2f}"/>'
            for column, value in enumerate(own.tolist())
        ]
    return draw.svg(f"{title}; the darkest cell is {100 * largest:.2g} %", _HEAD + cell * len(top) + 4, parts)


def bars(found: Attention, letters: str, title: str) -> str:
    """How much of each nucleotide gets into the vector of its ASV (rollout), as bars above its letter; rows of 50 positions."""
    # The first place is START.
    shares = found.score[1:]
    largest, width = float(shares.max()) or 1.0, (draw.WIDTH - _LEFT - 8) / _PER_ROW
    parts = []
    for position, (letter, share) in enumerate(zip(letters, shares.tolist(), strict=True)):
        x, foot = _LEFT + width * (position % _PER_ROW), 6 + _BARS + (_BARS + _GAP) * (position // _PER_ROW)
        high = _BARS * share / largest
        parts.append(
            f'<rect class="share3" x="{x:.1f}" y="{foot - high:.1f}" width="{width - 0.8:.1f}" height="{max(high, 0.4):.1f}"/>'
        )
        parts.append(draw.text(x + width / 2, foot + 10, letter, anchor="middle", kind=f"tiny {letter}"))
        if position % _PER_ROW == 0 or (position + 1) % 10 == 0:
            parts.append(draw.text(x + width / 2, foot + 22, str(position + 1), anchor="middle", kind="tiny faint"))
    rows = -(-len(letters) // _PER_ROW)
    return draw.svg(f"{title}; the highest bar is {100 * largest:.2g} %", 6 + (_BARS + _GAP) * rows, parts)
