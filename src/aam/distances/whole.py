"""Any measure of a whole table, with the samples that it can be measured of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aam.data.phylogeny import Phylogeny
from aam.data.stream import StreamedCounts
from aam.data.table import FeatureTable, keep_samples
from aam.distances.on_tree import keep_on_tree
from aam.distances.registry import Setting, measure_of
from aam.errors import InputError


def measure_table(
    table: FeatureTable, metric: str, phylogeny: Phylogeny | None = None, alpha: float = 0.5, *, ignore_missing: bool = False
) -> tuple[FeatureTable, np.ndarray]:
    """The samples of a table that can be measured, and their distances [N, N], or values [N], float64.

    phylogeny: sheared to the table's ASVs, for a measure on a tree. alpha: exponent of generalized UniFrac. InputError for samples
    without reads, or without reads on the tree; with `ignore_missing` they are left out, with a warning. See `keep_on_tree`.
    """
    if isinstance(table.counts, StreamedCounts):
        raise InputError("`stream`: distances of a whole table need it in memory; leave it out")
    if phylogeny is None:
        table = keep_samples(table, table.depths > 0, "have no reads", ignore_missing)
    else:
        table = keep_on_tree(table, phylogeny, ignore_missing)
    counts = table.counts
    if not counts.has_canonical_format or not counts.data.all():
        counts = counts.copy()
        counts.sum_duplicates()
        counts.eliminate_zeros()
        table = replace(table, counts=counts)
    setting = Setting(metric, counts.shape[1], phylogeny, alpha)
    return table, measure_of(metric).code.of_table(counts, setting)
