"""What is known of ASVs from the training samples, and a table as members see it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from aam.data.table import FeatureTable
from aam.ensemble.asv_vectors import SequenceWords
from aam.errors import InputError, first_few
from aam.options import EnsembleOptions
from aam.study.study import Study

# By token; padding is cut off.
_LETTERS = np.frombuffer(b"NACGTNN", dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class SeenTable:
    """A table as the members see it.

    counts: CSR [N, M]; tokens: uint8 [M, 1 + L]; vectors: float32 [M, W]; identity: int64 [M], 0 for an ASV that is not known,
    else 1 + its place among the known; design: float32 [N, K] of the covariates, or None.
    """

    counts: sparse.csr_array
    tokens: np.ndarray
    vectors: np.ndarray
    identity: np.ndarray
    known: int
    design: np.ndarray | None = None

    def feature_table(self) -> FeatureTable:
        """The counts by number."""
        samples, asvs = (tuple(str(number) for number in range(size)) for size in self.counts.shape)
        return FeatureTable(self.counts, samples, asvs)

    @property
    def covariates(self) -> int:
        """Number of columns of the covariates, K."""
        return 0 if self.design is None else self.design.shape[1]

    def design_of(self, rows: np.ndarray) -> np.ndarray:
        """What members read of the covariates of some rows, float32 [rows, K]."""
        return np.zeros((len(rows), 0), dtype=np.float32) if self.design is None else self.design[rows]

    @cached_property
    def known_shares(self) -> sparse.csr_array:
        """Of the known ASVs, the share of all reads of the sample, CSR float64 [N, known]."""
        columns = np.flatnonzero(self.identity)
        depths = np.asarray(self.counts.sum(axis=1)).ravel()
        # A sample of features without sequences may lack all of them.
        part = np.divide(1.0, depths, out=np.zeros(len(depths)), where=depths > 0)
        shares = sparse.coo_array(sparse.diags_array(part) @ self.counts[:, columns])
        there = self.identity[columns][shares.coords[1]] - 1
        # Two ids of one sequence are one ASV.
        return sparse.csr_array((shares.data, (shares.coords[0], there)), (self.counts.shape[0], self.known))

    @cached_property
    def mean_vectors(self) -> np.ndarray:
        """Mean vector of the ASVs that are in each sample, whatever their abundance, float64 [N, W]."""
        present = self.counts.astype(bool).astype(np.float64)
        return np.asarray(present @ self.vectors.astype(np.float64)) / np.asarray(present.sum(axis=1)).reshape(-1, 1)


def letters_of(tokens: np.ndarray) -> list[str]:
    """The sequence that each row of tokens uint8 [M, 1 + L] stands for, as far as it was read; N for any other letter."""
    text = _LETTERS[tokens[:, 1:]]
    lengths = np.count_nonzero(tokens[:, 1:], axis=1)
    return [row[:length].tobytes().decode("ascii") for row, length in zip(text, lengths.tolist(), strict=True)]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The projection of sequences, and the ASVs whose identity is known.

    keys: what an ASV is known by: the nucleotides that are read of it, or, of features without sequences (`by_id`), its ID.
    """

    words: SequenceWords
    keys: tuple[str, ...]
    by_id: bool = False

    @classmethod
    def fit(cls, study: Study, rows: np.ndarray, options: EnsembleOptions) -> Catalogue:
        """Fit to the training samples `rows`."""
        counts, tokens = study.counts[rows], study.asv_tokens
        samples = np.bincount(counts.indices, minlength=counts.shape[1])
        by_id = study.sequences is None
        known = _keys(study, np.flatnonzero(samples >= options.known_asv_samples), by_id)
        return cls(SequenceWords.fit(tokens[samples > 0], options.vector_dim), tuple(dict.fromkeys(known)), by_id)

    def see(self, study: Study) -> SeenTable:
        """A study, the one fitted to or another one. InputError for one without sequences where these are what is known."""
        if study.sequences is None and not self.by_id:
            raise InputError("the model reads sequences, and these features have none: name them by their sequences, or give them")
        if self.by_id and self.keys and not set(self.keys).intersection(study.table.feature_ids):
            known, found = first_few(self.keys, 3), first_few(study.table.feature_ids, 3)
            raise InputError(f"the model knows features by their IDs ({known}), and none of them is in the table ({found})")
        place = {key: 1 + number for number, key in enumerate(self.keys)}
        keys = _keys(study, np.arange(len(study.table.feature_ids)), self.by_id)
        identity = np.array([place.get(key, 0) for key in keys], dtype=np.int64)
        return SeenTable(study.counts, study.asv_tokens, self.words.vectors(study.asv_tokens), identity, len(self.keys))


def _keys(study: Study, columns: np.ndarray, by_id: bool) -> list[str]:
    return [study.table.feature_ids[column] for column in columns] if by_id else letters_of(study.asv_tokens[columns])
