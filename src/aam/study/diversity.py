"""Distances between samples, and quantities of each, as objects of scikit-bio and pandas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from aam.data.newick import read_nodes
from aam.data.phylogeny import Phylogeny
from aam.data.table import FeatureTable
from aam.distances.registry import check_tree, measure_of
from aam.distances.unifrac import OnTree
from aam.distances.whole import measure_table
from aam.errors import InputError, path_of
from aam.options import check
from aam.study.study import Study

if TYPE_CHECKING:
    from skbio import DistanceMatrix


def beta_diversity(
    metric: str,
    table: Study | FeatureTable,
    tree: str | Path | None = None,
    *,
    alpha: float = 0.5,
    count_root: bool = False,
    ignore_missing: bool = False,
) -> DistanceMatrix:
    """Compute distances between all samples of a table, as `skbio.diversity.beta_diversity` does.

    Parameters
    ----------
    metric : str
        UniFrac (``unweighted``, ``weighted_normalized``, ``weighted_unnormalized``, ``generalized``), ``bray_curtis``, ``jaccard``
        (of presence), ``aitchison`` (one read added to every ASV), ``robust_aitchison`` or ``hellinger``.
        `aam.distances.measures` defines each.
    table : Study or FeatureTable
        What `aam.read_study` or `aam.read_table` returns. All reads count: rarefy before where samples are of unequal depth.
    tree : str or Path, optional
        Phylogeny of the ASVs (newick or ``.qza``), for UniFrac. Default: the tree that the study was read with.
    alpha : float
        Exponent of generalized UniFrac, 0 to 1.
    count_root : bool
        Count the branch above the root of `tree`, as scikit-bio does and QIIME 2 does not.
    ignore_missing : bool
        Leave out samples without reads (on the tree) instead of stopping, and go on with a tree that lacks ASVs with more than a
        tenth of the reads.

    Returns
    -------
    skbio.DistanceMatrix
        By sample ID, float64.

    Raises
    ------
    InputError
        For an unknown metric, for a tree that is missing or is not used, and for samples that have no distances.

    Examples
    --------
    >>> from scipy import sparse
    >>> from aam import FeatureTable, beta_diversity
    >>> counts = sparse.csr_array([[3, 1, 0], [0, 2, 2]])
    >>> table = FeatureTable(counts, ("a", "b"), ("asv1", "asv2", "asv3"))
    >>> float(beta_diversity("bray_curtis", table)["a", "b"])
    0.75

    """
    from skbio import DistanceMatrix

    check(0.0 <= alpha <= 1.0, "alpha", alpha, "between 0 and 1")
    kept, found = _measured(metric, table, tree, True, alpha=alpha, count_root=count_root, ignore_missing=ignore_missing)
    return DistanceMatrix(found, kept.sample_ids, validate=False)


def alpha_diversity(
    metric: str,
    table: Study | FeatureTable,
    tree: str | Path | None = None,
    *,
    count_root: bool = False,
    ignore_missing: bool = False,
) -> pd.Series:
    """Compute a quantity of each sample of a table, as `skbio.diversity.alpha_diversity` does.

    Parameters
    ----------
    metric : str
        ``faith_pd``, ``shannon`` (natural logarithm, as in scikit-bio; QIIME 2 takes base 2) or ``richness`` (observed ASVs).
    table, tree, count_root, ignore_missing
        As for `beta_diversity`; the tree is for ``faith_pd``.

    Returns
    -------
    pandas.Series
        By sample ID, float64, named by the metric.

    Raises
    ------
    InputError
        As for `beta_diversity`.

    Examples
    --------
    >>> from scipy import sparse
    >>> from aam import FeatureTable, alpha_diversity
    >>> counts = sparse.csr_array([[3, 1, 0], [0, 2, 2]])
    >>> table = FeatureTable(counts, ("a", "b"), ("asv1", "asv2", "asv3"))
    >>> alpha_diversity("shannon", table).round(4).to_dict()
    {'a': 0.5623, 'b': 0.6931}

    """
    kept, found = _measured(metric, table, tree, False, count_root=count_root, ignore_missing=ignore_missing)
    return pd.Series(found, index=kept.sample_ids, name=metric)


def _measured(
    metric: str,
    data: Study | FeatureTable,
    tree: str | Path | None,
    pairs: bool,
    *,
    alpha: float = 0.5,
    count_root: bool,
    ignore_missing: bool,
) -> tuple[FeatureTable, np.ndarray]:
    measure = measure_of(metric, pairs=pairs)
    table = data.table if isinstance(data, Study) else data
    phylogeny = None
    if tree is not None:
        check_tree(metric, "tree")
        phylogeny = Phylogeny.from_nodes(read_nodes(path_of("tree", tree)), table.feature_ids, count_root=count_root)
    elif count_root:
        raise InputError("`count_root` needs `tree`")
    elif measure.on_tree and isinstance(data, Study) and isinstance(data.distance, OnTree):
        phylogeny = data.distance.phylogeny
    else:
        check_tree(metric)
    return measure_table(table, metric, phylogeny, alpha, ignore_missing=ignore_missing)
