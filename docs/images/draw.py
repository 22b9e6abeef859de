"""Draws the pictures of docs/how-it-works.md beside this file: python docs/images/draw.py."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle

mpl.use("Agg")
HERE = Path(__file__).parent
INK, GREY, GREEN, ORANGE, BLUE, PALE = "#222222", "#6b6b6b", "#0b6e4f", "#b3541e", "#2b5c9e", "#eef2f1"
LETTERS = {"A": "#0b6e4f", "C": "#2b5c9e", "G": "#b3541e", "T": "#7a4f9a"}


def canvas(width: float, height: float) -> Axes:
    """An empty picture, in units of a tenth of an inch."""
    figure, axes = plt.subplots(figsize=(width, height))
    axes.set(xlim=(0, 10 * width), ylim=(0, 10 * height))
    axes.axis("off")
    figure.subplots_adjust(0, 0, 1, 1)
    return axes


def box(axes: Axes, x: float, y: float, width: float, height: float, text: str, colour: str = INK, face: str = PALE) -> None:
    """A box with a text in it."""
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=1", fc=face, ec=colour, lw=1.4))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=10, color=INK, linespacing=1.35)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = GREY) -> None:
    """An arrow."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.4, "shrinkA": 0, "shrinkB": 0})


def letters(axes: Axes, x: float, y: float, text: str, size: float = 9) -> None:
    """Nucleotides, each in its colour."""
    for number, letter in enumerate(text):
        axes.text(
            x + 1.45 * number, y, letter, fontsize=size, color=LETTERS[letter], family="monospace", weight="bold", va="center"
        )


def vector(axes: Axes, x: float, y: float, values: np.ndarray, colour: str, cell: float = 2.0) -> None:
    """A vector as cells of different strength."""
    for number, value in enumerate(values):
        axes.add_patch(
            Rectangle((x + cell * number, y), cell, cell, fc=colour, alpha=0.15 + 0.8 * float(value), ec="white", lw=0.8)
        )


def levels() -> None:
    """Nucleotides -> ASVs -> samples -> prediction."""
    rng = np.random.default_rng(3)
    axes = canvas(9.6, 3.4)
    sequences = ["ACGTTGCA", "ACGTAGCA", "TTGACCGT", "TTGACCGA"]
    for title, x in (("nucleotides", 7), ("ASVs", 34), ("samples", 63), ("what is told", 87)):
        axes.text(x, 31.5, title, fontsize=12, weight="bold", color=INK, ha="center")
    vectors = [rng.random(6) for _ in sequences]
    vectors[1], vectors[3] = np.clip(vectors[0] + 0.08, 0, 1), np.clip(vectors[2] - 0.06, 0, 1)
    for number, (sequence, values) in enumerate(zip(sequences, vectors, strict=True)):
        y = 25.5 - 6.5 * number
        letters(axes, 1.2, y, sequence)
        arrow(axes, (14.5, y), (27, y))
        vector(axes, 28, y - 1, values, GREEN)
    axes.text(20.7, 28.2, "each ASV once", fontsize=8.5, color=GREY, ha="center")
    axes.text(20.7, 2.0, "attention over\nnucleotides", fontsize=8.5, color=GREY, ha="center", linespacing=1.2)
    members = {0: (0, 1, 2), 1: (1, 3), 2: (0, 2, 3)}
    for number, asvs in members.items():
        y = 23.5 - 8.3 * number
        for asv in asvs:
            axes.plot([40.5, 56.6], [25.5 - 6.5 * asv, y], color=GREY, lw=0.6 + 1.6 * ((asv + number) % 3) / 2, alpha=0.75)
        vector(axes, 57, y - 1, np.mean([vectors[asv] for asv in asvs], axis=0), BLUE)
        axes.plot([69.5, 73], [y, y], color=GREY, lw=1.4)
    axes.plot([73, 73], [6.9, 23.5], color=GREY, lw=1.4)
    axes.text(
        48.5, 2.0, "attention over the set of ASVs,\nline width: abundance", fontsize=8.5, color=GREY, ha="center", linespacing=1.2
    )
    for y, text in (
        (23.5, "UniFrac between\nsamples"),
        (15.2, "a metadata column,\nwith an interval"),
        (6.9, "novelty: is it like\nthe training samples?"),
    ):
        arrow(axes, (73, y), (78, y))
        box(axes, 78, y - 3.1, 17.4, 6.2, text)
    save(axes, "levels")


def once() -> None:
    """Distinct ASVs are encoded once, padding never."""
    axes = canvas(9.6, 3.2)
    rng = np.random.default_rng(1)
    kinds = [sorted(rng.choice(7, size, replace=False)) for size in (6, 3, 4, 2, 5)]
    hues = ["#0b6e4f", "#2b5c9e", "#b3541e", "#7a4f9a", "#3d7d83", "#8a6d1b", "#a03056"]
    axes.text(2, 29, "as most sequence models do it", fontsize=11, weight="bold", color=INK)
    axes.text(56, 29, "as AAM does it", fontsize=11, weight="bold", color=INK)
    for row, kind in enumerate(kinds):
        y = 22 - 4.6 * row
        axes.text(2, y + 1.4, f"sample {row + 1}", fontsize=9, va="center", color=INK)
        for place in range(7):
            real = place < len(kind)
            face = hues[kind[place]] if real else "white"
            axes.add_patch(
                Rectangle(
                    (12 + 4.2 * place, y),
                    3.6,
                    2.8,
                    fc=face,
                    ec=GREY if not real else "white",
                    hatch=None if real else "////",
                    lw=0.7,
                )
            )
    axes.text(12, 0.3, "35 sequences encoded: 20 with repeats, 15 of padding", fontsize=9.5, color=ORANGE)
    for asv, hue in enumerate(hues):
        axes.add_patch(Rectangle((56 + 5.2 * asv, 21), 3.6, 2.8, fc=hue, ec="white"))
    axes.text(56, 17.6, "7 distinct ASVs encoded, then looked up by each sample", fontsize=9.5, color=GREEN)
    for row, kind in enumerate(kinds):
        y = 13.4 - 3.1 * row
        axes.text(56, y + 0.8, f"sample {row + 1}", fontsize=9, va="center", color=INK)
        for place, asv in enumerate(kind):
            axes.add_patch(Rectangle((66 + 3.1 * place, y), 2.6, 1.7, fc="white", ec=hues[asv], lw=2))
    save(axes, "once")


def unifrac() -> None:
    """A node is an interval of tips."""
    axes = canvas(9.6, 3.6)
    tips = [6, 13, 20, 27, 34]
    names = ["a", "b", "c", "d", "e"]
    reads = [[4, 0], [2, 3], [0, 1], [0, 5], [3, 0]]
    joins = {"ab": (0, 1, 9.5, 16), "cd": (2, 3, 23.5, 18), "cde": ("cd", 4, 28.75, 24), "root": ("ab", "cde", 19.1, 31)}
    at = {number: (x, 10) for number, x in enumerate(tips)}
    for name, (left, right, x, y) in joins.items():
        for child in (left, right):
            cx, cy = at[child]
            axes.plot([cx, cx, x], [cy, y, y], color=INK if name != "cde" else ORANGE, lw=1.6 if name != "cde" else 2.2)
        at[name] = (x, y)
    for x, name, row in zip(tips, names, reads, strict=True):
        axes.text(x, 7.6, name, ha="center", fontsize=11, weight="bold", color=INK)
        for sample, count in enumerate(row):
            axes.text(x, 4.6 - 3 * sample, str(count), ha="center", fontsize=10, color=(BLUE, GREEN)[sample])
    axes.text(0.3, 4.6, "1", fontsize=10, color=BLUE)
    axes.text(0.3, 1.6, "2", fontsize=10, color=GREEN)
    axes.text(30, 26.6, "a node spans the\ntips c to e", fontsize=9.5, color=ORANGE, va="center")
    axes.text(47, 31.5, "Tips in depth-first order: a node is an interval.", fontsize=10.5, color=INK, weight="bold")
    rows = (("reads", reads, 24.5), ("running sum", np.cumsum(reads, axis=0).tolist(), 15.5))
    for title, values, y in rows:
        axes.text(47, y + 1.2, title, fontsize=10, color=INK, va="center")
        for sample in range(2):
            line = [0, *[row[sample] for row in values]] if title != "reads" else [row[sample] for row in values]
            for place, value in enumerate(line):
                x = (66 if title == "reads" else 62) + 4.6 * place
                wanted = title != "reads" and place in (2, 5)
                face = {True: "#f6e3d8", False: PALE}[wanted]
                axes.add_patch(
                    Rectangle((x, y + 1.3 - 3 * sample - 0.2), 4.1, 2.6, fc=face, ec=ORANGE if wanted else "white", lw=1.4)
                )
                axes.text(
                    x + 2.05, y + 2.4 - 3 * sample, str(value), ha="center", va="center", fontsize=9.5, color=(BLUE, GREEN)[sample]
                )
    axes.text(47, 7.4, "Reads below the node: end minus start, 9 - 6 = 3 and 9 - 3 = 6.", fontsize=10, color=ORANGE)
    axes.text(
        47,
        3.0,
        "Two look-ups for each node, and UniFrac of all pairs of a\nbatch is one product of matrices. No table of all pairs.",
        fontsize=10,
        color=INK,
        linespacing=1.35,
    )
    save(axes, "unifrac")


def splits() -> None:
    """Groups stay whole, and everything is fitted inside."""
    axes = canvas(9.6, 3.5)
    rng = np.random.default_rng(4)
    axes.text(2, 32, "samples, by subject", fontsize=11, weight="bold", color=INK)
    hues = {"training": "#c9ddd5", "held out": ORANGE}
    sizes = rng.integers(2, 6, 10)
    for fold in range(5):
        x, y = 2.0, 25.5 - 5.4 * fold
        for subject, size in enumerate(sizes):
            out = subject // 2 == fold
            for _ in range(size):
                axes.add_patch(Rectangle((x, y), 1.0, 3, fc=hues["held out" if out else "training"], ec="white", lw=0.5))
                x += 1.05
            x += 0.5
        axes.text(x + 0.8, y + 1.5, f"fold {fold + 1}", fontsize=9.5, va="center", color=INK)
    axes.text(2, 0.5, "A subject is never on both sides: new subjects are what the score is about.", fontsize=9.5, color=ORANGE)
    box(
        axes,
        63.5,
        19.5,
        31.5,
        10.5,
        "inside the training samples only:\nfilters, scales, penalties, sizes,\nweights of members, intervals",
        GREEN,
    )
    arrow(axes, (79.2, 19.2), (79.2, 14.2))
    box(axes, 63.5, 5.5, 31.5, 8.4, "held-out samples are predicted once,\nby every model, on the same folds", ORANGE)
    save(axes, "splits")


def interval() -> None:
    """How wide an interval must be is read from errors on whole groups."""
    figure, places = plt.subplots(1, 2, figsize=(9.6, 3.3), layout="constrained")
    rng = np.random.default_rng(0)
    errors = np.abs(rng.normal(0, 1, 400)) * 40
    limit = np.quantile(errors, 0.9)
    left, right = places
    left.hist(errors, bins=28, color="#c9ddd5", edgecolor="white")
    left.axvline(limit, color=ORANGE, lw=2)
    left.annotate(" 90 % of new groups\n stay below", (limit, left.get_ylim()[1] * 0.72), color=ORANGE, fontsize=10)
    left.set(title="errors on groups that members did not see", xlabel="error (days)", yticks=[], ylabel="how often")
    truth = np.sort(rng.uniform(50, 600, 18))
    said = truth + rng.normal(0, 38, 18)
    colours = [GREEN if abs(a - b) <= limit else ORANGE for a, b in zip(said, truth, strict=True)]
    for number, (value, colour) in enumerate(zip(said, colours, strict=True)):
        right.plot([number, number], [value - limit, value + limit], color=colour, lw=3, alpha=0.45)
    right.scatter(range(18), truth, color=INK, s=16, zorder=3, label="truth")
    right.set(title="new samples: the truth is mostly inside", xticks=[], xlabel="sample", ylabel="age (days)")
    right.legend(frameon=False, loc="upper left")
    for place in places:
        place.spines[["top", "right"]].set_visible(False)
        place.title.set_size(11)
    figure.savefig(HERE / "interval.png", dpi=150, facecolor="white")
    plt.close(figure)


def save(axes: Axes, name: str) -> None:
    """Write a picture beside this file, on white, so that it is readable on dark pages too."""
    axes.figure.savefig(HERE / f"{name}.png", dpi=150, facecolor="white")
    plt.close(axes.figure)


if __name__ == "__main__":
    for draw in (levels, once, unifrac, splits, interval):
        draw()
