"""What is known of ASVs from the training samples, and a table seen in its light."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from aam.data.table import FeatureTable
from aam.ensemble.words import SequenceWords

# Training samples that an ASV must be in for its identity to be learned.
_SAMPLES_TO_KNOW = 3
# By token; padding is cut off.
_LETTERS = np.frombuffer(b"NACGTNN", dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class SeenTable:
    """A table as the members see it.

    counts: CSR [N, M]; tokens: uint8 [M, 1 + L]; vectors: float32 [M, W]; identity: int64 [M], 0 for an ASV that is not known,
    else 1 + its place among the known.
    """

    counts: sparse.csr_array
    tokens: np.ndarray
    vectors: np.ndarray
    identity: np.ndarray
    known: int

    def feature_table(self) -> FeatureTable:
        """The counts by number."""
        samples, asvs = (tuple(str(number) for number in range(size)) for size in self.counts.shape)
        return FeatureTable(self.counts, samples, asvs)

    @cached_property
    def known_shares(self) -> sparse.csr_array:
        """Of the known ASVs, the share of all reads of the sample, CSR float64 [N, known]."""
        columns = np.flatnonzero(self.identity)
        depths = np.asarray(self.counts.sum(axis=1)).ravel()
        shares = sparse.coo_array(sparse.diags_array(1 / depths) @ self.counts[:, columns])
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
    """The projection of sequences, and the ASVs whose identity is known: by the letters that are read of them."""

    words: SequenceWords
    sequences: tuple[str, ...]

    @classmethod
    def fit(cls, counts: sparse.csr_array, tokens: np.ndarray) -> Catalogue:
        """Fit to the training samples: counts CSR [n, M], with the tokens uint8 [M, 1 + L] of the table's ASVs."""
        samples = np.bincount(counts.indices, minlength=counts.shape[1])
        known = letters_of(tokens[samples >= _SAMPLES_TO_KNOW])
        return cls(SequenceWords.fit(tokens[samples > 0]), tuple(dict.fromkeys(known)))

    def see(self, counts: sparse.csr_array, tokens: np.ndarray) -> SeenTable:
        """A table, the one fitted to or another one."""
        place = {sequence: 1 + number for number, sequence in enumerate(self.sequences)}
        identity = np.array([place.get(sequence, 0) for sequence in letters_of(tokens)], dtype=np.int64)
        return SeenTable(counts, tokens, self.words.vectors(tokens), identity, len(self.sequences))
