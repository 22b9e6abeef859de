"""What of a table is on a tree: ASVs that are not count in no distance, and samples without one that is have none."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from aam.data.phylogeny import Phylogeny
from aam.data.stream import Counts, by_blocks
from aam.data.table import FeatureTable, keep_samples
from aam.errors import InputError, counted, first_few, some_of

log = logging.getLogger(__name__)

# Of the reads, off the tree: with more, UniFrac is of another community than that of the table.
MOST_LOST = 0.1


def keep_on_tree(table: FeatureTable, phylogeny: Phylogeny, ignore_missing: bool) -> FeatureTable:
    """The samples of a table with reads on the tree that was sheared to it.

    ASVs that the tree lacks are a warning with their share of the reads, and an InputError above `MOST_LOST`; samples without any
    other are an InputError. With `ignore_missing` both are warnings, and those samples are left out.
    """
    on_tree, lost = _reads_on_tree(table.counts, phylogeny)
    message = _lost_asvs(phylogeny, lost, float(on_tree.sum()))
    if lost > MOST_LOST * (lost + float(on_tree.sum())) and not ignore_missing:
        raise InputError(
            f"{message}; give a tree that has them, or pass `ignore_missing` to compute distances from the rest of the reads"
        )
    if message:
        log.warning("%s; they count in no distance", message)
    return keep_samples(table, on_tree > 0, "have no ASV in the tree", ignore_missing)


def require_reads_on_tree(counts: Counts, phylogeny: Phylogeny, sample_ids: Sequence[str] | None = None) -> None:
    """InputError that names the samples (ids, or rows from 0) of counts [N, M] without reads on the tree: they have no distance.

    ASVs that the tree lacks are a warning with their share of the reads.
    """
    on_tree, lost = _reads_on_tree(counts, phylogeny)
    if message := _lost_asvs(phylogeny, lost, float(on_tree.sum())):
        log.warning("%s; they count in no distance", message)
    if len(empty := np.flatnonzero(on_tree == 0)):
        names = [sample_ids[row] if sample_ids else f"row {row}" for row in empty.tolist()]
        advice = "remove them or give a tree that has their ASVs"
        raise InputError(f"{some_of(len(empty), counts.shape[0], 'have no ASV in the tree')}: {first_few(names)}; {advice}")


def _reads_on_tree(counts: Counts, phylogeny: Phylogeny) -> tuple[np.ndarray, float]:
    """Reads of each sample of ASVs in the tree, float64 [N], and the number of all others."""
    known = np.zeros(counts.shape[1])
    known[phylogeny.tip_columns] = 1
    reads, total = np.zeros(counts.shape[0]), 0.0
    for rows, part in by_blocks(counts, np.arange(len(reads)), "Looking for samples on the tree"):
        reads[rows] = part @ known
        total += float(part.sum())
    return reads, total - float(reads.sum())


def _lost_asvs(phylogeny: Phylogeny, lost: float, kept: float) -> str:
    """How many ASVs the tree lacks, which share of the reads they hold, and what they look like; "" for none."""
    missing = phylogeny.missing
    if not missing:
        return ""
    total = len(missing) + len(phylogeny.tip_columns)
    hold, are = ("holds", "is") if len(missing) == 1 else ("hold", "are")
    share = _percent(lost / (lost + kept))
    which = f"{len(missing):,} of {counted(total, 'ASV')}, which {hold} {share} of the reads, {are} not in the tree"
    return f"{which}: {first_few(missing, 3)}{phylogeny.near}"


def _percent(share: float) -> str:
    if share == 0:
        return "none"
    return "less than 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"
