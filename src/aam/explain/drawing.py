"""Parts of pictures as SVG that takes its colours from the page, for light and dark screens, at the width of a telephone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np

# Pixels. A wider window shows pictures side by side.
WIDTH = 460
# Of text, pixels; and a letter's share of it, to know what fits.
FONT, _LETTER = 12, 0.56

# Vermilion and blue (Okabe and Ito), which those who confuse red and green tell apart; nucleotides likewise. Abundance: from what
# is near the paper to what is far from it.
STYLE = """
:root { --raise: #c04e00; --lower: #0072b2; --base: #6b7684; --share0: #c4b5d6; --share1: #a288c2; --share2: #8159a8;
  --share3: #5f2d88; --share4: #360a57; --A: #007a5a; --C: #0072b2; --G: #8a6d00; --T: #b0357a; }
@media (prefers-color-scheme: dark) {
  :root { --raise: #ff9a5c; --lower: #62b5f0; --base: #8b97a6; --share0: #54466a; --share1: #77619a; --share2: #9d82c9;
    --share3: #c5aef0; --share4: #f1e8ff; --A: #3ccf9f; --C: #62b5f0; --G: #e6c34a; --T: #f08cc0; }
}
svg .raise { fill: var(--raise); } svg .lower { fill: var(--lower); } svg .base { fill: var(--base); }
svg .raise-line { stroke: var(--raise); } svg .lower-line { stroke: var(--lower); } svg .base-line { stroke: var(--base); }
svg .axis { stroke: currentColor; opacity: .45; } svg .grid { stroke: currentColor; opacity: .13; }
svg .line { fill: none; stroke-width: 2; }
svg .share0 { fill: var(--share0); } svg .share1 { fill: var(--share1); } svg .share2 { fill: var(--share2); }
svg .share3 { fill: var(--share3); } svg .share4 { fill: var(--share4); }
svg .A { fill: var(--A); } svg .C { fill: var(--C); } svg .G { fill: var(--G); } svg .T { fill: var(--T); }
svg text { fill: currentColor; font-size: 12px; paint-order: stroke; stroke: var(--paper); stroke-width: 3px;
  stroke-linejoin: round; } svg .small { font-size: 10.5px; } svg .faint { opacity: .7; }
svg .tiny { font-size: 9px; } svg .strong { font-weight: 600; }
svg .letter { stroke: none; font-weight: 700; font-family: ui-monospace, monospace; }
"""


def svg(name: str, height: float, parts: Sequence[str], width: float = WIDTH) -> str:
    """A picture; name: what a screen reader says of it."""
    box = f'viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" height="{_n(height)}"'
    return f'<svg role="img" aria-label="{escape(name)}" {box}>{"".join(parts)}</svg>'


def text(x: float, y: float, content: str, *, anchor: str = "start", kind: str = "") -> str:
    """Words that begin, end or have their middle at a place."""
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{_n(x)}" y="{_n(y)}"{place}{_class(kind)}>{escape(content)}</text>'


def line(start: tuple[float, float], end: tuple[float, float], kind: str) -> str:
    """A straight line."""
    return f'<path d="M{_n(start[0])} {_n(start[1])}L{_n(end[0])} {_n(end[1])}"{_class(kind)}/>'


def path(xs: np.ndarray, ys: np.ndarray, kind: str, more: str = "") -> str:
    """A line through points."""
    points = "L".join(f"{_n(x)} {_n(y)}" for x, y in zip(xs, ys, strict=True))
    return f'<path d="M{points}"{_class(kind)}{more}/>'


def bar(start: float, end: float, y: float, height: float, kind: str) -> str:
    """A bar that lies, from one value to another."""
    left, right = min(start, end), max(start, end)
    return f'<rect x="{_n(left)}" y="{_n(y)}" width="{_n(max(right - left, 0.6))}" height="{_n(height)}"{_class(kind)}/>'


def dots(xs: np.ndarray, ys: np.ndarray, kind: str, radius: float) -> str:
    """Points of one colour, as one path: lines of no length with round ends."""
    if not len(xs):
        return ""
    points = "".join(f"M{_n(x)} {_n(y)}h0" for x, y in zip(xs, ys, strict=True))
    return f'<path d="{points}" style="stroke:var(--{kind});stroke-width:{_n(2 * radius)};stroke-linecap:round" fill="none"/>'


def scale(values: Sequence[float], left: float, right: float) -> Callable[[float], float]:
    """Values to places, the least of them at `left` and the largest at `right`."""
    low, high = min(values), max(values)
    reach = (high - low) or 1.0
    return lambda value: left + (value - low) / reach * (right - left)


def ticks(low: float, high: float, number: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about `number` of them."""
    reach = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(reach / number))
    step = next(power * factor for factor in (1, 2, 5, 10) if reach / (power * factor) <= number)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def x_axis(place: Callable[[float], float], ends: tuple[float, float], span: tuple[float, float], label: str) -> list[str]:
    """Lines of a grid down the picture (`span`: its top and its foot), their numbers below, and what they are."""
    top, foot = span
    parts = []
    for value in ticks(*ends):
        x = place(value)
        parts += [line((x, top), (x, foot), "axis" if value == 0 else "grid"), text(x, foot + 14, number(value), anchor="middle")]
    left, right = sorted((place(ends[0]), place(ends[1])))
    return [*parts, text((left + right) / 2, foot + 31, label, anchor="middle", kind="faint")]


def fitting(content: str, width: float, font: float = FONT) -> str:
    """Words as far as there is room for them."""
    most = int(width / (font * _LETTER))
    return content if len(content) <= most else f"{content[: most - 1].rstrip()}…"


def number(value: float) -> str:
    """Three digits at most, and all before the decimal point."""
    if not math.isfinite(value):
        return "unknown"
    said = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return said.replace("-", "\N{MINUS SIGN}")


def signed(value: float) -> str:
    """The same, with its sign."""
    return f"+{number(value)}" if value > 0 else number(value)


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _n(value: float) -> str:
    """A number of pixels, as short as it can be seen."""
    return f"{value:.1f}".removesuffix(".0")
