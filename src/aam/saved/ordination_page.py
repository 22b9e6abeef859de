"""The page of an ordination: points that can be coloured by any column, looked at along any two axes, and asked for their names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aam import page
from aam.errors import counted
from aam.saved.ordination import COLOURS, GREY, SCALE, Column, share_of

if TYPE_CHECKING:
    from skbio.stats.ordination import OrdinationResults

_STYLE = """
.choices { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; margin: 1rem 0 .6rem; }
.choices select, .choices input { font: inherit; max-width: 16rem; }
.plot { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
.drawn { position: relative; flex: 1 1 26rem; } canvas { width: 100%; display: block; cursor: crosshair; }
.tip { position: absolute; pointer-events: none; background: var(--shade); border: 1px solid var(--line); padding: .2rem .5rem;
  font-size: .8rem; max-width: 20rem; overflow-wrap: anywhere; }
.legend { flex: 0 1 14rem; font-size: .85rem; max-height: 34rem; overflow-y: auto; }
.legend button { display: block; font: inherit; color: inherit; background: none; border: 0; padding: .1rem 0; text-align: left;
  cursor: pointer; overflow-wrap: anywhere; } .legend button[aria-pressed=true] { font-weight: 600; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .45em; }
.ramp { height: .8rem; border: 1px solid var(--line); } .ends { display: flex; justify-content: space-between; }
"""
_SCRIPT = """
const byId = id => document.getElementById(id), canvas = byId('canvas'), tip = byId('tip'), legend = byId('legend');
let only = null, near = -1;
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const column = () => data.columns[byId('colour').value];
const isKnown = k => column() && column().values[k] !== null;
const levelOf = k => isKnown(k) ? column().values[k] : 'none';
function mix(share) {
  const place = Math.min(Math.max(share, 0), 1) * (data.scale.length - 1), k = Math.min(Math.floor(place), data.scale.length - 2);
  const [a, b] = [data.scale[k], data.scale[k + 1]].map(c => [1, 3, 5].map(i => parseInt(c.slice(i, i + 2), 16)));
  return `rgb(${a.map((v, i) => Math.round(v + (b[i] - v) * (place - k))).join()})`;
}
function colourOf(k) {
  const c = column();
  if (!c) return data.colours[0];
  const value = c.values[k];
  if (value === null) return data.grey;
  if (c.levels) return data.colours[value] ?? data.grey;
  return mix((value - c.low) / (c.high - c.low || 1));
}
const isOdd = value => Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3);
const shown = value => isOdd(value) ? value.toExponential(2) : String(+value.toFixed(3));
function valueOf(k) {
  const c = column();
  if (!c) return '';
  const value = c.values[k];
  return `${c.name}: ${value === null ? 'no value' : c.levels ? c.levels[value] : shown(value)}`;
}
let places = [];
function draw() {
  const width = canvas.clientWidth, height = Math.round(width * 0.72), fine = window.devicePixelRatio || 1;
  canvas.width = width * fine; canvas.height = height * fine; canvas.style.height = `${height}px`;
  const pen = canvas.getContext('2d');
  pen.scale(fine, fine); pen.clearRect(0, 0, width, height);
  const [x, y] = [data.axes[byId('x').value], data.axes[byId('y').value]];
  // One unit is as long along both axes: distances are what the picture is of.
  const ends = a => a.values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [0, 0]);
  const [[left, right], [foot, top]] = [ends(x), ends(y)];
  const unit = Math.min((width - 56) / (right - left || 1), (height - 56) / (top - foot || 1));
  const centre = [(width - (left + right) * unit) / 2, (height + (foot + top) * unit) / 2];
  pen.strokeStyle = css('--line'); pen.lineWidth = 1; pen.beginPath();
  pen.moveTo(0, centre[1]); pen.lineTo(width, centre[1]); pen.moveTo(centre[0], 0); pen.lineTo(centre[0], height); pen.stroke();
  pen.fillStyle = css('--faint'); pen.font = '12px system-ui, sans-serif';
  pen.textAlign = 'right'; pen.fillText(x.name, width - 4, centre[1] + 15);
  pen.textAlign = 'left'; pen.fillText(y.name, centre[0] + 6, 13);
  places = x.values.map((value, k) => [centre[0] + value * unit, centre[1] - y.values[k] * unit]);
  const found = byId('find').value.trim().toLowerCase(), paper = css('--paper'), ink = css('--ink');
  const order = places.map((_, k) => k).sort((a, b) => isKnown(a) - isKnown(b));
  for (const k of order) {
    const named = found && data.ids[k].toLowerCase().includes(found);
    const faded = (only !== null && levelOf(k) !== only) || (found && !named);
    pen.globalAlpha = faded ? 0.08 : isKnown(k) || !column() ? 0.85 : 0.35;
    pen.beginPath(); pen.arc(...places[k], named || k === near ? data.radius + 2 : data.radius, 0, 7);
    pen.fillStyle = colourOf(k); pen.fill();
    pen.strokeStyle = named || k === near ? ink : paper; pen.lineWidth = named || k === near ? 1.5 : 0.6; pen.stroke();
  }
  pen.globalAlpha = 1;
}
function part(colour, words, level) {
  const one = document.createElement('button'), mark = document.createElement('i');
  mark.style.background = colour;
  one.append(mark, words);
  one.type = 'button'; one.setAttribute('aria-pressed', only === level);
  one.addEventListener('click', () => { only = only === level ? null : level; tell(); draw(); });
  return one;
}
function tell() {
  const c = column();
  legend.replaceChildren();
  if (!c) return;
  const missing = c.values.filter(value => value === null).length;
  if (c.levels) {
    const counts = c.levels.map(() => 0);
    c.values.forEach(value => { if (value !== null) counts[value]++; });
    c.levels.forEach((level, k) => legend.append(part(data.colours[k] ?? data.grey, `${level} (${counts[k]})`, k)));
  } else {
    const ramp = document.createElement('div'), ends = document.createElement('div');
    ramp.className = 'ramp'; ramp.style.background = `linear-gradient(to right, ${data.scale.join()})`;
    ends.className = 'ends';
    for (const value of [c.low, c.high]) ends.append(Object.assign(document.createElement('span'), {textContent: shown(value)}));
    legend.append(ramp, ends);
  }
  if (missing) legend.append(part(data.grey, `no value (${missing})`, 'none'));
}
canvas.addEventListener('mousemove', event => {
  let best = 12;
  const before = near;
  near = -1;
  places.forEach(([x, y], k) => {
    const far = Math.hypot(x - event.offsetX, y - event.offsetY);
    if (far < best) { best = far; near = k; }
  });
  tip.hidden = near < 0;
  if (near >= 0) {
    tip.textContent = [data.ids[near], valueOf(near)].filter(Boolean).join(' \\u00b7 ');
    tip.style.left = `${Math.min(places[near][0] + 10, canvas.clientWidth - 150)}px`; tip.style.top = `${places[near][1] + 10}px`;
  }
  if (near !== before) draw();
});
canvas.addEventListener('mouseleave', () => { near = -1; tip.hidden = true; draw(); });
byId('colour').addEventListener('change', () => { only = null; tell(); draw(); });
for (const id of ['x', 'y']) byId(id).addEventListener('change', draw);
byId('find').addEventListener('input', draw);
window.addEventListener('resize', draw);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
tell(); draw();
"""


def ordination_page(found: OrdinationResults, columns: Sequence[Column], title: str, space: str, picture: str) -> str:
    """The whole page. space: what distances between points stand for; picture: name of the file with a picture of the points."""
    script = f"const data = {_json(_data(found, columns))};{_SCRIPT}"
    two = min(2, found.samples.shape[1])
    share = 100 * float(found.proportion_explained.iloc[:two].sum())
    first = "two axes hold" if two == 2 else "axis holds"
    unseen = "" if share >= 50 else ": much is not seen in this picture"
    verdict = f"{counted(len(found.samples), 'sample')}. The first {first} {share:.0f} % of how the embeddings differ{unseen}."
    sections = [
        ("Samples", _picture(found, columns, picture)),
        (
            "How to read this",
            page.bullets(
                [
                    f"A point is a sample. Distances between embeddings are {space}; those between points are these, as far as "
                    "two axes can show them. Axes are principal coordinates (PCoA) and have no unit of their own; left and right, "
                    "up and down, can be exchanged.",
                    "Samples that lie together need not do so because of the column that colours them: samples of one person, run "
                    "or study do, too.",
                    "Point at a sample for its ID and value; click a level to see it alone; type a part of an ID to find samples.",
                ]
            ),
        ),
    ]
    return page.page(title, verdict, [], sections, _STYLE, script)


def _picture(found: OrdinationResults, columns: Sequence[Column], picture: str) -> str:
    names = [share_of(found, axis) for axis in range(found.samples.shape[1])]
    colours = _select("colour", [column.name for column in columns], 0, "one colour" if not columns else None)
    choices = [
        f"<label>Colour {colours}</label>",
        f"<label>Across {_select('x', names, 0)}</label>",
        f"<label>Up {_select('y', names, min(1, len(names) - 1))}</label>",
        '<label>Find <input id="find" type="search" placeholder="part of an ID"></label>',
    ]
    about = f"{len(found.samples)} samples as points, by the first principal coordinates of their embeddings"
    return (
        f'<div class="choices">{"".join(choices)}</div><div class="plot"><div class="drawn">'
        f'<canvas id="canvas" role="img" aria-label="{escape(about)}"></canvas><div class="tip" id="tip" hidden></div></div>'
        f'<div class="legend" id="legend"></div></div><noscript><p class="warning">This picture needs JavaScript; '
        f"{escape(picture)} holds one that does not.</p></noscript>"
    )


def _select(name: str, options: Sequence[str], chosen: int, none: str | None = None) -> str:
    listed = [
        f'<option value="{k}"{" selected" if k == chosen else ""}>{escape(option)}</option>' for k, option in enumerate(options)
    ]
    return f'<select id="{name}">{"".join(listed) if none is None else f"<option value=-1>{escape(none)}</option>"}</select>'


def _data(found: OrdinationResults, columns: Sequence[Column]) -> dict[str, Any]:
    points, many = found.samples.to_numpy(), len(found.samples)
    axes = [{"name": share_of(found, axis), "values": [_short(v) for v in points[:, axis]]} for axis in range(points.shape[1])]
    return {
        "ids": list(found.samples.index),
        "axes": axes,
        "columns": [_column(column) for column in columns],
        "colours": COLOURS,
        "scale": SCALE,
        "grey": GREY,
        "radius": 4.5 if many < 300 else 3.5 if many < 1500 else 2.5,
    }


def _column(column: Column) -> dict[str, Any]:
    missing = pd.isna(column.values)
    if column.is_number:
        finite = column.values[np.isfinite(column.values)]
        ends = {"low": _short(finite.min()), "high": _short(finite.max())} if len(finite) else {"low": 0, "high": 0}
        values = [_short(value) if np.isfinite(value) else None for value in column.values]
        return {"name": column.name, "values": values, **ends}
    levels = column.levels
    place = {level: k for k, level in enumerate(levels)}
    codes = [None if gone else place[value] for value, gone in zip(column.values, missing, strict=True)]
    return {"name": column.name, "levels": levels, "values": codes}


def _short(value: float) -> float:
    """As many digits as can be seen."""
    return float(f"{value:.6g}")


def _json(content: Any) -> str:
    """JSON that cannot end the script that it stands in."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
