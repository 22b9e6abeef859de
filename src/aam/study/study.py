"""A study: the samples of a table, the sequences of its ASVs, metadata, and distances between samples."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import numpy as np
import pandas as pd
from scipy import sparse
from torch import nn

from aam.data.dataset import SampleDataset
from aam.data.metadata import Metadata, categorical_column
from aam.data.sequences import tokenize
from aam.data.stream import StreamedCounts
from aam.data.table import FeatureTable, drop_shallow
from aam.distances.matrix import compare_all
from aam.distances.precomputed import PrecomputedDistances
from aam.distances.unifrac import UniFrac
from aam.errors import InputError, counted
from aam.options import ReadOptions, SampleOptions
from aam.study.given import complete_split, given_parts
from aam.study.splits import Split, split_samples

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Study:
    """N samples with M ASVs, as models see them.

    table: reads of each ASV in each sample; sequences: of the ASVs, or None for features without; asv_tokens: uint8 [M, 1 + L] of
    the sequences, cut to `reads.max_bp`; metadata: rows in the order of the samples, numeric columns float64, or None; reads: what
    a model sees of a sample; distance: a batch distance (UniFrac on a tree, or a matrix), where one was read; written: the cells of
    the metadata as text, as they are in the file, or None for metadata that were no file; types: what the file declares a column
    to be (numeric, categorical).

    Examples
    --------
    >>> import aam
    >>> study = aam.read_study("community/table.biom", metadata="community/metadata.tsv")
    >>> len(study), study.counts.shape
    (60, (60, 60))
    >>> study.labels("subject")[:2]
    array(['P00000', 'P00000'], dtype=object)

    """

    table: FeatureTable
    sequences: tuple[str, ...] | None
    asv_tokens: np.ndarray
    metadata: pd.DataFrame | None = None
    reads: ReadOptions = ReadOptions()
    distance: nn.Module | None = None
    written: pd.DataFrame | None = None
    types: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Samples."""
        return len(self.table.sample_ids)

    @property
    def rows(self) -> np.ndarray:
        """Rows of all samples, int64 [N]."""
        return np.arange(len(self))

    @property
    def counts(self) -> sparse.csr_array:
        """Reads, CSR [N, M], of a table in memory. InputError for one on disk."""
        if isinstance(self.table.counts, StreamedCounts):
            raise InputError("`stream`: this model needs the table in memory; leave it out, or split the table")
        return self.table.counts

    @cached_property
    def shares(self) -> sparse.csr_array:
        """Reads of each ASV over all reads of its sample, CSR float64 [N, M]."""
        depths = np.asarray(self.counts.sum(axis=1)).ravel()
        return sparse.csr_array(sparse.diags_array(1 / depths) @ self.counts)

    @cached_property
    def distances(self) -> np.ndarray:
        """Distances of all pairs of samples [N, N]: UniFrac, or the matrix that was given."""
        if isinstance(self.distance, PrecomputedDistances):
            return self.distance.matrix.numpy()
        unifrac = cast("UniFrac", self.distance)
        return compare_all(self.counts, unifrac.phylogeny, unifrac.comparison.metric, unifrac.comparison.alpha)

    @property
    def metric(self) -> str | None:
        """What the distances are: a UniFrac metric, or "precomputed" for those of a matrix; None where there are none."""
        if self.distance is None:
            return None
        return self.distance.comparison.metric if isinstance(self.distance, UniFrac) else "precomputed"

    def ids(self, rows: np.ndarray) -> tuple[str, ...]:
        """Sample IDs of some rows."""
        return tuple(self.table.sample_ids[row] for row in rows)

    def labels(self, column: str | None) -> np.ndarray | None:
        """Values [N] of a metadata column as text, as they are written; None for no column."""
        if column is None:
            return None
        if (metadata := self.full_metadata) is None:
            raise InputError(f"column {column}: the study has no metadata")
        return categorical_column(metadata, column, self.table.sample_ids)

    @property
    def full_metadata(self) -> Metadata | None:
        """The metadata, typed and as written; None where there are none."""
        return None if self.metadata is None else Metadata(self.metadata, self.written, self.types)

    def split(self, options: SampleOptions, seed: int, labels: np.ndarray | None = None) -> Split:
        """Training, validation and test samples: groups stay whole where a group column is named, classes (`labels` [N]) are spread
        evenly. Parts that files name are as they say (`complete_split`).
        """
        groups, given = self.labels(options.group_column), given_parts(options, self.table.sample_ids)
        if given:
            split = complete_split(given, len(self), options, seed, groups=groups, labels=labels)
        else:
            split = split_samples(len(self), options.val_fraction, options.test_fraction, seed, groups=groups, labels=labels)
        kept_apart = (
            f", {counted(len(set(groups)), 'group')} of {options.group_column} kept whole"
            if groups is not None and not given
            else ""
        )
        log.info(
            "split: %d training, %d validation, %s%s",
            len(split.train),
            len(split.val),
            counted(len(split.test), "test sample"),
            kept_apart,
        )
        return split

    def with_samples(self, table: FeatureTable) -> Study:
        """The study of those of its samples that are left in `table`, without distances."""
        if table is self.table:
            return self
        study = replace(self, table=table, distance=None)
        if (metadata := self.full_metadata) is None:
            return study
        kept = metadata.of(table.sample_ids)
        return replace(study, metadata=kept.typed, written=kept.written)

    def drawn(self, seed: int) -> Study:
        """The study with the reads that a model sees, where samples are rarefied or cut: all models see the same."""
        if not self.reads.draws:
            return self
        matrix = SampleDataset(self.table, self.reads, seed).drawn(self.rows)
        return replace(self, table=FeatureTable(matrix, self.table.sample_ids, self.table.feature_ids))

    def read_as(self, reads: ReadOptions) -> Study:
        """The same samples as a model reads them that was fitted with `reads`. InputError for samples with too few reads."""
        if reads == self.reads:
            return self
        tokens = self.asv_tokens
        if reads.max_bp != self.reads.max_bp and self.sequences is not None:
            tokens = tokenize(self.sequences, self.table.feature_ids, reads.max_bp)
        table = self.table if reads.sampling_depth is None else drop_shallow(self.table, reads.sampling_depth, ignore_missing=False)
        return replace(self, table=table, asv_tokens=tokens, reads=reads)
