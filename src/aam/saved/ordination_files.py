"""An ordination as files: coordinates that other programs read, a page, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aam.disk.qza import PCOA, whole_or_artifact
from aam.disk.writing import whole, write_text
from aam.parallel.ranks import by_first
from aam.saved.ordination import COLOURS, GREY, SCALE, Column, share_of
from aam.saved.ordination_page import ordination_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from skbio.stats.ordination import OrdinationResults


@by_first
def write_ordination(path: Path, found: OrdinationResults, columns: Sequence[Column], title: str, space: str) -> None:
    """Write the coordinates as scikit-bio does (which EMPeror and EMPress read), or, where `path` ends in .qza, as an artifact
    PCoAResults; a page beside it (.html) whose points can be coloured by any of `columns`; and a picture (.svg) by the first.

    title: of the page; space: what distances between the points stand for.
    """
    with whole_or_artifact(path, PCOA) as new:
        found.write(str(new))
    _write_picture(path.with_suffix(".svg"), found, columns[0] if columns else None)
    picture = path.with_suffix(".svg").name
    write_text(path.with_suffix(".html"), ordination_page(found, columns, title, space, picture))


def beside_ordination(path: Path) -> tuple[Path, ...]:
    """What is written with it."""
    return path.with_suffix(".html"), path.with_suffix(".svg")


def _write_picture(path: Path, found: OrdinationResults, column: Column | None) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    points = found.samples.to_numpy()
    if points.shape[1] < 2:
        points = np.column_stack([points[:, 0], np.zeros(len(points))])
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(xlabel=share_of(found, 0), ylabel=share_of(found, 1) if found.samples.shape[1] > 1 else "")
    # Distances are what the picture is of.
    axes.set_aspect("equal", adjustable="datalim")
    _scatter(axes, points[:, :2], column)
    # Ids in the file that do not change from run to run, text as text.
    with mpl.rc_context({"svg.hashsalt": "aam", "svg.fonttype": "none"}), whole(path) as new:
        figure.savefig(new, format="svg", metadata={"Date": None})


def _scatter(axes: Axes, points: np.ndarray, column: Column | None) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    # Of very many points, a picture of them is smaller than a shape for each.
    style: dict[str, Any] = {"s": 16, "linewidths": 0.3, "edgecolors": "white", "rasterized": len(points) > 5000}
    if column is None:
        axes.scatter(*points.T, color=COLOURS[0], **style)
        return
    unknown = pd.isna(column.values)
    axes.scatter(*points[unknown].T, color=GREY, alpha=0.4, label="no value" if unknown.any() else None, **style)
    if column.is_number:
        across, up = points[~unknown].T
        drawn = axes.scatter(
            across, up, c=column.values[~unknown].astype(float), cmap=LinearSegmentedColormap.from_list("aam", list(SCALE)), **style
        )
        axes.figure.colorbar(drawn, ax=axes, label=column.name)
        return
    rest = column.levels[len(COLOURS) :]
    others = np.isin(column.values.astype(str), rest) & ~unknown
    if rest:
        axes.scatter(*points[others].T, color=GREY, label=f"{len(rest)} others", **style)
    for level, colour in zip(column.levels, COLOURS, strict=False):
        axes.scatter(*points[column.values == level].T, color=colour, label=level, **style)
    axes.legend(title=column.name, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
