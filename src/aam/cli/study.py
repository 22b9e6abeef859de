"""What pretrain and train read before they build anything: the usable samples, their sequences, metadata and distances."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from aam.config import ReadOptions, SampleOptions, TableOptions, TreeOptions
from aam.data.metadata import categorical_column, read_metadata, reconcile
from aam.data.sequences import Nucleotide, read_sequences, tokenize
from aam.data.splits import Split, split_samples
from aam.data.table import FeatureTable, drop_shallow, read_table

if TYPE_CHECKING:
    from torch import Tensor, nn

    from aam.data.dataset import Batch, SampleDataset

log = logging.getLogger(__name__)

# Of the rarefaction in predict and embed: the same table gives the same output.
SEED = 0

_FIRST_DRAWS = 32


@dataclass(frozen=True, eq=False)
class Study:
    """The samples of a run: a table of N of them, one sequence and one row of tokens uint8 [M, 1 + L] per ASV, and their metadata
    (rows in table order), if any.
    """

    table: FeatureTable
    sequences: tuple[str, ...]
    asv_tokens: np.ndarray
    metadata: pd.DataFrame | None

    def split(self, options: SampleOptions, seed: int, labels: np.ndarray | None = None) -> Split:
        """Split by group where --group-column is given, stratified by `labels` [N] of classes."""
        groups = None
        if options.group_column is not None and self.metadata is not None:
            groups = categorical_column(self.metadata, options.group_column, self.table.sample_ids)
        split = split_samples(
            len(self.table.sample_ids), options.val_fraction, options.test_fraction, seed, groups=groups, labels=labels
        )
        kept_apart = f", {len(set(groups))} groups of {options.group_column} kept whole" if groups is not None else ""
        log.info("split: %d train, %d val, %d test samples%s", len(split.train), len(split.val), len(split.test), kept_apart)
        return split

    def ids(self, rows: np.ndarray) -> tuple[str, ...]:
        return tuple(self.table.sample_ids[row] for row in rows)

    def majority(self, rows: np.ndarray) -> Tensor:
        """Commonest letter 0-3 at each position among the ASVs of the samples `rows`, int64 [1 + L]."""
        import torch

        tokens = self.asv_tokens[np.unique(self.table.counts[rows].indices)]
        letters = range(Nucleotide.A, Nucleotide.T + 1)
        return torch.from_numpy(np.stack([(tokens == letter).sum(axis=0) for letter in letters]).argmax(axis=0))


def read_study(data: TableOptions, reads: ReadOptions, samples: SampleOptions, metadata_column: str | None = None) -> Study:
    """Read and reconcile everything; only usable samples are kept."""
    table = read_table(data.table, data.ignore_missing)
    metadata = None
    if samples.metadata is not None:
        metadata = read_metadata(samples.metadata)
        found = reconcile(table.sample_ids, metadata, metadata_column, where=samples.where, ignore_missing=data.ignore_missing)
        table = table.select_samples(found.usable)
        metadata = metadata.loc[list(found.usable)]
    if reads.sampling_depth is not None:
        table = drop_shallow(table, reads.sampling_depth, data.ignore_missing)
        metadata = None if metadata is None else metadata.loc[list(table.sample_ids)]
    sequences = read_sequences(table, data.rep_seqs)
    tokens = tokenize(sequences, table.feature_ids, reads.max_bp)
    log.info("table: %d samples, %d ASVs of up to %d nt", *table.counts.shape, tokens.shape[1] - 1)
    return Study(table, sequences, tokens, metadata)


def read_distances_of(study: Study, options: TreeOptions, folder: Path, resume: bool) -> nn.Module:
    """The batch distance: a given matrix, or UniFrac on the given tree, or on one built now and kept in `folder`."""
    if options.unifrac_matrix is not None:
        from aam.distances.precomputed import PrecomputedDistances, read_distances

        log.info("distances from %s: they stay those of all reads, whatever is rarefied or left out", options.unifrac_matrix)
        return PrecomputedDistances(read_distances(options.unifrac_matrix, study.table.sample_ids))
    from aam.data.phylogeny import Phylogeny, build_tree, read_tree, write_tree
    from aam.distances.matrix import require_reads_on_tree
    from aam.distances.unifrac import UniFrac

    built = folder / "tree.nwk"
    if options.tree is not None:
        tree = read_tree(options.tree)
    elif resume and built.is_file():
        tree = read_tree(built)
    else:
        tree = build_tree(study.sequences, study.table.feature_ids)
        write_tree(tree, built)
    phylogeny = Phylogeny.from_tree(tree, study.table.feature_ids)
    require_reads_on_tree(study.table.counts, phylogeny, study.table.sample_ids)
    return UniFrac(phylogeny, options.unifrac_metric, options.alpha)


def first_draws(dataset: SampleDataset, study: Study, rows: np.ndarray) -> Batch:
    """Some of the samples `rows` as one batch: what a fresh model is scaled to, and what its train-eval gap is measured on."""
    from aam.data.dataset import Collate

    return Collate(study.asv_tokens)([dataset[0, int(row)] for row in rows[:: max(1, len(rows) // _FIRST_DRAWS)][:_FIRST_DRAWS]])


def write_split(study: Study, split: Split, folder: Path) -> None:
    """Write train_samples.txt, val_samples.txt and test_samples.txt, one id a line."""
    for name in ("train", "val", "test"):
        ids = study.ids(getattr(split, name))
        (folder / f"{name}_samples.txt").write_text("".join(f"{sample_id}\n" for sample_id in ids), encoding="utf-8")


def read_model_input(data: TableOptions, reads: ReadOptions) -> tuple[FeatureTable, np.ndarray]:
    """A table to use a model on, and its tokens uint8 [M, 1 + L], read as the model's training table was."""
    table = read_table(data.table, data.ignore_missing)
    if reads.sampling_depth is not None:
        table = drop_shallow(table, reads.sampling_depth, data.ignore_missing)
    return table, tokenize(read_sequences(table, data.rep_seqs), table.feature_ids, reads.max_bp)
