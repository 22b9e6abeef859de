"""A page: one HTML file that needs no other, for light and dark screens and for print."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c2430; --faint: #5c6674; --line: #dfe4ea; --shade: #f4f6f9;
  --warn: #8a5a00; --warn-shade: #fff6e0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181e; --ink: #e4e9f0; --faint: #98a3b3; --line: #2c3440; --shade: #1c222b; --warn: #f2c15c;
    --warn-shade: #2b2413; }
}
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
p, ul { max-width: 52rem; }
.verdict { font-size: 1.15rem; background: var(--shade); border-left: 4px solid #2f83c6; padding: .8rem 1rem; max-width: none; }
.warning { background: var(--warn-shade); color: var(--warn); border-left: 4px solid currentColor; padding: .5rem 1rem;
  max-width: none; }
table { border-collapse: separate; border-spacing: 0; font-size: .8rem; line-height: 1.1875rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; vertical-align: bottom; }
td { white-space: nowrap; border-top: 1px solid var(--line); }
tr:last-child td { border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr.ours td:first-child { font-weight: 600; }
.wide th:first-child, .wide td:first-child { position: sticky; left: 0; background: var(--paper); white-space: normal;
  overflow-wrap: anywhere; min-width: 8rem; max-width: min(24rem, 40vw); }
.hint { display: none; }
@media (max-width: 60rem) { .hint { display: block; } }
.faint { color: var(--faint); font-size: .85rem; }
.wide { overflow-x: auto; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
.row > * { max-width: 100%; }
h3 { font-size: 1rem; margin-bottom: .3rem; }
svg { max-width: 100%; height: auto; }
svg text { font-family: system-ui, sans-serif; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
"""

# For a narrow window, above a table of many columns.
HINT = "The table may be wider than this window: scroll it sideways for more columns."


def page(
    title: str, verdict: str, warnings: Sequence[str], sections: Sequence[tuple[str, str]], style: str = "", script: str = ""
) -> str:
    """The whole page; title, verdict and warnings are text, sections are headings (text) with their HTML; style and script: more
    CSS, and JavaScript that runs at the end.
    """
    alerts = "\n".join(f'<p class="warning">{escape(warning)}</p>' for warning in warnings)
    body = "\n".join(f"<h2>{escape(heading)}</h2>\n{content}" for heading, content in sections)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body>
<h1>{escape(title)}</h1>
<p class="verdict">{escape(verdict)}</p>
{alerts}
{body}{f"<script>{script}</script>" if script else ""}
</body></html>
"""


def _prose(text: str) -> str:
    """Text that may break over lines, but not before a percent sign."""
    return escape(text).replace(" %", "&nbsp;%")


def note(text: str) -> str:
    """A paragraph in small print."""
    return f'<p class="faint">{_prose(text)}</p>'


def heading(text: str) -> str:
    """A heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def hint(text: str) -> str:
    """A paragraph in small print, for narrow windows only."""
    return f'<p class="faint hint">{_prose(text)}</p>'


def bullets(sentences: Sequence[str]) -> str:
    """A list of sentences."""
    return f"<ul>{''.join(f'<li>{_prose(sentence)}</li>' for sentence in sentences)}</ul>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], ours: Sequence[bool]) -> str:
    """A table of text; `ours`: the rows that stand out."""
    return table_of_html(header, [[escape(cell) for cell in row] for row in rows], ["ours" if mine else "simple" for mine in ours])


def table_of_html(header: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str]) -> str:
    """A table whose cells are HTML; header: text; classes: of the rows."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    cells = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    body = "".join(f'<tr class="{kind}">{row}</tr>' for row, kind in zip(cells, classes, strict=True))
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def definitions(facts: Sequence[tuple[str, str]]) -> str:
    """Facts by name."""
    return f"<dl>{''.join(f'<dt class=faint>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in facts)}</dl>"


def side_by_side(pictures: Sequence[str]) -> str:
    """Pictures in a row, as far as it is wide enough."""
    return f'<div class="row">{"".join(pictures)}</div>'
