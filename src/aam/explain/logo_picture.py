"""Nucleotide logos: which positions of an ASV its effect comes from, and of many ASVs along their alignment."""

from __future__ import annotations

import numpy as np

from aam.explain import drawing as draw
from aam.explain.logo import Logo, Telling
from aam.explain.nucleotides import LETTERS, NucleotideEffects

# Positions of a row, and pixels of its parts.
_PER_ROW, _LETTERS, _CELL, _GAP = 50, 64.0, 8.5, 30.0
_LEFT = 22.0
# Height of bars, and the share of ASVs without a letter from which on a column is left out.
_BARS, _LACKING = 46.0, 0.5


def logo(found: NucleotideEffects, name: str, unit: str) -> str:
    """Letters as high as what each nucleotide adds to the prediction, above the line where it raises the prediction, below where it
    lowers it; beneath, the change of the prediction by each of the 3 L substitutions. Rows of 50 positions.
    """
    width, length = (draw.WIDTH - _LEFT - 8) / _PER_ROW, len(found.letters)
    largest = float(np.abs(found.by_position).max()) or 1.0
    changes = np.abs(found.substitutions)
    strongest = float(changes.max()) or 1.0
    up, down = (max(float(np.max(side * found.by_position, initial=0.0)), 0.0) / largest for side in (1, -1))
    high = _LETTERS / max(up + down, 1e-9)
    row = _LETTERS + 4 * _CELL + _GAP
    parts = []
    for first in range(0, length, _PER_ROW):
        top = 6 + row * (first // _PER_ROW)
        line = top + up * high
        last = min(first + _PER_ROW, length)
        parts.append(draw.line((_LEFT, line), (_LEFT + width * (last - first), line), "axis"))
        for position in range(first, last):
            x = _LEFT + width * (position - first)
            height = float(found.by_position[position]) / largest * high
            parts += _letter(found.letters[position], x, line, width, height)
            parts += _column(found.substitutions[position] / strongest, x, top + _LETTERS + 4, width)
            if position == first or (position + 1) % 10 == 0:
                parts.append(
                    draw.text(x + width / 2, top + row - _GAP + 17, str(position + 1), anchor="middle", kind="small faint")
                )
        parts += [draw.text(8, top + _LETTERS + 11 + _CELL * k, base, kind="tiny") for k, base in enumerate(LETTERS)]
    said = f"{name}: what each nucleotide adds to the prediction ({unit}); the highest letter is {draw.number(largest)}"
    return draw.svg(said, 6 + row * -(-length // _PER_ROW), parts)


def _letter(base: str, x: float, line: float, width: float, height: float) -> list[str]:
    """A letter that stands on the line, or hangs from it."""
    # Of a capital in the font: its height is 0.7 of the size, its width 0.6.
    across, along = width / (12 * 0.6), abs(height) / (12 * 0.7)
    if along < 0.01:
        return []
    foot = line if height > 0 else line + abs(height)
    colour = base if base in LETTERS else "base"
    move = f'transform="translate({x:.1f} {foot:.1f}) scale({across:.2f} {along:.2f})"'
    return [f'<text class="letter {colour}" {move}>{base if base in LETTERS else "N"}</text>']


def _column(changes: np.ndarray, x: float, top: float, width: float) -> list[str]:
    """Four cells, as strongly coloured as the substitution changes the prediction."""
    return [
        f'<rect class="{"raise" if change > 0 else "lower"}" x="{x:.1f}" y="{top + _CELL * k:.1f}" width="{width - 0.6:.1f}" '
        f'height="{_CELL - 0.6:.1f}" opacity="{abs(change):.2f}"/>'
        for k, change in enumerate(changes)
        if abs(change) >= 0.03
    ]


def aligned_logo(found: Logo, name: str, unit: str) -> str:
    """Related ASVs along their alignment: in each column the letters that they have there, each as high as its share of them, all
    together as high as the mean of what they add to the prediction; rows of 50 columns.
    """
    width, length = (draw.WIDTH - _LEFT - 8) / _PER_ROW, len(found.effect)
    largest = float(np.abs(found.effect).max()) or 1.0
    up, down = (max(float(np.max(side * found.effect, initial=0.0)), 0.0) / largest for side in (1, -1))
    high = _LETTERS / max(up + down, 1e-9)
    row, parts = _LETTERS + _GAP, []
    for column in range(length):
        x, top = _LEFT + width * (column % _PER_ROW), 6 + row * (column // _PER_ROW)
        line = top + up * high
        if column % _PER_ROW == 0:
            parts.append(draw.line((_LEFT, line), (_LEFT + width * min(_PER_ROW, length - column), line), "axis"))
        parts += _stack(found.frequencies[column], x, line, width, float(found.effect[column]) / largest * high)
        if column % _PER_ROW == 0 or (column + 1) % 10 == 0:
            parts.append(draw.text(x + width / 2, top + row - _GAP + 15, str(column + 1), anchor="middle", kind="small faint"))
    said = f"{name}: what letters of related ASVs add to the prediction ({unit}); the highest column is {draw.number(largest)}"
    return draw.svg(said, 6 + row * -(-length // _PER_ROW), parts)


def _stack(frequencies: np.ndarray, x: float, line: float, width: float, height: float) -> list[str]:
    """Letters from the rarest at the line to the most frequent at the end."""
    parts, foot = [], line
    for place in np.argsort(frequencies[: len(LETTERS)], kind="stable").tolist():
        share = height * float(frequencies[place])
        parts += _letter(LETTERS[place], x, foot, width, share)
        foot -= share
    return parts


def telling_letters(found: Telling, name: str) -> str:
    """Columns of an alignment: bars as high as the share of the differences between ASVs that the letter tells; beneath, whether
    ASVs with A, C, G or T there raise or lower the prediction more than others do. Columns that most ASVs lack are left out.
    """
    width, largest = (draw.WIDTH - _LEFT - 8) / _PER_ROW, float(found.share.max()) or 1.0
    lacking = np.array([list(row) for row in found.rows]) == "-"
    columns = np.flatnonzero(lacking.mean(axis=0) <= _LACKING)
    effect = np.nan_to_num(found.by_letter[:, : len(LETTERS)])
    strongest = float(np.abs(effect[columns]).max()) if len(columns) else 1.0
    row, parts = _BARS + 4 * _CELL + _GAP, []
    for place, column in enumerate(columns.tolist()):
        x, top = _LEFT + width * (place % _PER_ROW), 6 + row * (place // _PER_ROW)
        high = _BARS * float(found.share[column]) / largest
        parts.append(draw.bar(x, x + width - 0.6, top + _BARS - high, max(high, 0.4), "base"))
        parts += _column(effect[column] / (strongest or 1.0), x, top + _BARS + 4, width)
        if place % _PER_ROW == 0:
            parts += [draw.text(8, top + _BARS + 11 + _CELL * k, base, kind="tiny") for k, base in enumerate(LETTERS)]
        if place % _PER_ROW == 0 or (place + 1) % 10 == 0:
            parts.append(draw.text(x + width / 2, top + row - _GAP + 17, str(column + 1), anchor="middle", kind="small faint"))
    said = f"{name}: share of the differences between ASVs that each column tells; the highest bar is {100 * largest:.2g} %"
    return draw.svg(said, 6 + row * -(-len(columns) // _PER_ROW), parts)
