"""What pretrain and train read before they build anything: the usable samples, their sequences, metadata and distances."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from aam.cache import Cache
from aam.config import GroupOptions, ReadOptions, SampleOptions, TableOptions, TreeOptions
from aam.data.files import read_file
from aam.data.metadata import categorical_column, read_metadata, reconcile
from aam.data.sequences import Nucleotide, read_sequences, tokenize
from aam.data.splits import Split, split_samples
from aam.data.stream import open_tables, used_columns
from aam.data.table import FeatureTable, drop_shallow, put_together, read_table
from aam.errors import InputError, first_few
from aam.ranks import by_first
from aam.together import wait
from aam.writing import whole, write_text

if TYPE_CHECKING:
    from torch import Tensor, nn

    from aam.data.dataset import Batch, SampleDataset
    from aam.data.phylogeny import Phylogeny

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
        groups = self.groups(options.group_column)
        split = split_samples(
            len(self.table.sample_ids), options.val_fraction, options.test_fraction, seed, groups=groups, labels=labels
        )
        kept_apart = f", {len(set(groups))} groups of {options.group_column} kept whole" if groups is not None else ""
        log.info("split: %d train, %d val, %d test samples%s", len(split.train), len(split.val), len(split.test), kept_apart)
        return split

    def groups(self, column: str | None) -> np.ndarray | None:
        """Labels [N] of a metadata column; None for no column."""
        if column is None or self.metadata is None:
            return None
        return categorical_column(self.metadata, column, self.table.sample_ids)

    def ids(self, rows: np.ndarray) -> tuple[str, ...]:
        return tuple(self.table.sample_ids[row] for row in rows)

    def majority(self, rows: np.ndarray) -> Tensor:
        """Commonest letter 0-3 at each position among the ASVs of the samples `rows`, int64 [1 + L]."""
        import torch

        tokens = self.asv_tokens[used_columns(self.table.counts, rows)]
        letters = range(Nucleotide.A, Nucleotide.T + 1)
        return torch.from_numpy(np.stack([(tokens == letter).sum(axis=0) for letter in letters]).argmax(axis=0))


def read_study(data: TableOptions, reads: ReadOptions, samples: GroupOptions, metadata_column: str | None = None) -> Study:
    """Read and reconcile everything; only usable samples are kept."""
    table = read_tables(data)
    metadata = None
    if samples.metadata is not None:
        metadata = read_metadata(samples.metadata)
        found = reconcile(table.sample_ids, metadata, metadata_column, where=samples.where, ignore_missing=data.ignore_missing)
        table = table.select_samples(found.usable)
        metadata = metadata.loc[list(found.usable)]
    if reads.sampling_depth is not None:
        table = drop_shallow(table, reads.sampling_depth, data.ignore_missing)
        metadata = None if metadata is None else metadata.loc[list(table.sample_ids)]
    sequences, tokens = read_asvs(table, data, reads)
    log.info("table: %d samples, %d ASVs of up to %d nt", *table.counts.shape, tokens.shape[1] - 1)
    return Study(table, sequences, tokens, metadata)


def read_tables(data: TableOptions) -> FeatureTable:
    """The samples of --table and --more-tables, in memory or, with --stream, on disk."""
    paths = (data.table, *data.more_tables)
    if data.stream:
        return open_tables(paths, data.ignore_missing)
    return put_together([read_table(path, data.ignore_missing) for path in paths])


def read_asvs(table: FeatureTable, data: TableOptions, reads: ReadOptions) -> tuple[tuple[str, ...], np.ndarray]:
    """The sequences of a table's ASVs, and their tokens uint8 [M, 1 + L], with --stream on disk."""
    sequences = read_sequences(table, data.rep_seqs)
    return sequences, tokenize(sequences, table.feature_ids, reads.max_bp, on_disk=data.stream)


def join(first: Study, second: Study) -> Study:
    """The samples of both, ASVs being the same where their sequences are. InputError for a sample in both."""
    if twice := sorted(set(first.table.sample_ids) & set(second.table.sample_ids)):
        raise InputError(f"--test-table: {len(twice)} samples are in --table too: {first_few(twice)}")
    column = {sequence: number for number, sequence in enumerate(first.sequences)}
    new = [number for number, sequence in enumerate(second.sequences) if sequence not in column]
    column |= {second.sequences[number]: len(first.sequences) + place for place, number in enumerate(new)}
    ids = first.table.feature_ids + tuple(second.table.feature_ids[number] for number in new)
    if len(set(ids)) < len(ids):
        raise InputError("--test-table: a feature id is another sequence there; use ids that are the sequences or their md5")
    there = [[column[sequence] for sequence in study.sequences] for study in (first, second)]
    counts = [_placed(study.table.counts, columns, len(ids)) for study, columns in zip((first, second), there, strict=True)]
    table = FeatureTable(sparse.csr_array(sparse.vstack(counts)), first.table.sample_ids + second.table.sample_ids, ids)
    widest = max(first.asv_tokens.shape[1], second.asv_tokens.shape[1])
    tokens = [np.pad(part, ((0, 0), (0, widest - part.shape[1]))) for part in (first.asv_tokens, second.asv_tokens[new])]
    metadata = [study.metadata for study in (first, second) if study.metadata is not None]
    sequences = first.sequences + tuple(second.sequences[number] for number in new)
    return Study(table, sequences, np.concatenate(tokens), pd.concat(metadata) if metadata else None)


def _placed(counts: sparse.csr_array, columns: Sequence[int], n_columns: int) -> sparse.csr_array:
    """The same counts in other columns, of `n_columns`."""
    moved = sparse.csr_array(
        (counts.data, np.array(columns, dtype=counts.indices.dtype)[counts.indices], counts.indptr), (counts.shape[0], n_columns)
    )
    # Two ids of one sequence become one ASV.
    moved.sum_duplicates()
    return moved


def read_distances_of(study: Study, options: TreeOptions, folder: Path, resume: bool, cache: Cache) -> nn.Module:
    """The batch distance: a given matrix, or UniFrac on the given tree, or on one built now and kept in `folder`."""
    if options.unifrac_matrix is not None:
        from aam.distances.precomputed import PrecomputedDistances, read_distances

        log.info("distances from %s: they stay those of all reads, whatever is rarefied or left out", options.unifrac_matrix)
        return PrecomputedDistances(read_distances(options.unifrac_matrix, study.table.sample_ids))
    from aam.distances.matrix import require_reads_on_tree
    from aam.distances.unifrac import UniFrac

    built = folder / "tree.nwk"
    if options.tree is None:
        if not (resume and built.is_file()):
            write_built_tree(study, built, cache)
        wait()
    phylogeny = read_phylogeny(options.tree or built, study.table.feature_ids, cache)
    require_reads_on_tree(study.table.counts, phylogeny, study.table.sample_ids)
    return UniFrac(phylogeny, options.unifrac_metric, options.alpha)


@by_first
def write_built_tree(study: Study, path: Path, cache: Cache) -> None:
    """Write the tree of the study's sequences, which takes long to build, to `path`."""
    from aam.data.newick import newick
    from aam.data.phylogeny import build_tree, tree_recipe

    def build() -> dict[str, np.ndarray]:
        text = newick(build_tree(study.sequences, study.table.feature_ids))
        return {"newick": np.frombuffer(text.encode(), dtype=np.uint8)}

    parts = (tree_recipe(), repr(study.sequences), repr(study.table.feature_ids))
    text = cache.arrays("tree", parts, build)["newick"].tobytes()
    with whole(path) as new:
        new.write_bytes(text)


def read_phylogeny(path: Path, feature_ids: tuple[str, ...], cache: Cache) -> Phylogeny:
    """Read a tree and shear it to the ASVs of a table."""
    from aam.data.newick import read_nodes
    from aam.data.phylogeny import Phylogeny

    def shear() -> dict[str, np.ndarray]:
        sheared = vars(Phylogeny.from_nodes(read_nodes(path), feature_ids))
        return {name: value for name, value in sheared.items() if name != "missing"}

    arrays = cache.arrays("sheared tree", (read_file(path), repr(feature_ids)), shear)
    missing = np.setdiff1d(np.arange(len(feature_ids)), arrays["tip_columns"])
    return Phylogeny(**arrays, missing=tuple(feature_ids[column] for column in missing))


def drawn(study: Study, reads: ReadOptions, seed: int) -> Study:
    """The study with the reads that a network sees, where samples are rarefied or cut: all models see the same."""
    from aam.data.dataset import SampleDataset

    if reads.sampling_depth is None and reads.token_limit is None:
        return study
    table = study.table
    dataset = SampleDataset(table, reads, seed)
    draws = [dataset[0, row] for row in range(len(table.sample_ids))]
    ends = np.cumsum([0, *(len(draw.columns) for draw in draws)])
    columns, counts = (np.concatenate([getattr(draw, name) for draw in draws]) for name in ("columns", "counts"))
    matrix = sparse.csr_array((counts, columns, ends), shape=table.counts.shape)
    return replace(study, table=FeatureTable(matrix, table.sample_ids, table.feature_ids))


def first_draws(dataset: SampleDataset, study: Study, rows: np.ndarray) -> Batch:
    """Some of the samples `rows` as one batch: what a fresh model is scaled to, and what its train-eval gap is measured on."""
    from aam.data.dataset import Collate

    return Collate(study.asv_tokens)([dataset[0, int(row)] for row in rows[:: max(1, len(rows) // _FIRST_DRAWS)][:_FIRST_DRAWS]])


@by_first
def write_split(study: Study, split: Split, folder: Path, resume: bool) -> None:
    """Write train_samples.txt, val_samples.txt and test_samples.txt, one id a line.

    InputError where a run that is to be gone on with has others: what it learned from would be held out now.
    """
    texts = {
        folder / f"{name}_samples.txt": "".join(f"{sample_id}\n" for sample_id in study.ids(getattr(split, name)))
        for name in ("train", "val", "test")
    }
    for path, text in texts.items():
        if resume and path.is_file() and path.read_text(encoding="utf-8") != text:
            raise InputError(f"--resume: {path} has other samples than the tables give now; start afresh in another --output-dir")
    for path, text in texts.items():
        write_text(path, text)


def read_model_input(data: TableOptions, reads: ReadOptions) -> Study:
    """A table to use a model on, read as the model's training table was."""
    table = read_tables(data)
    if reads.sampling_depth is not None:
        table = drop_shallow(table, reads.sampling_depth, data.ignore_missing)
    return Study(table, *read_asvs(table, data, reads), None)
