"""A fixed vector for each ASV from the words of its sequence: no training, and near for sequences that are nearly equal.

The words are all runs of six nucleotides; square roots of their counts are projected on the directions in which the ASVs of the
training samples differ most (latent semantic analysis; Deerwester et al. 1990), each scaled to unit variance, so that the few
letters by which close strains differ weigh as much as what parts phyla.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from aam.data.sequences import Nucleotide

LETTERS = 6
N_WORDS = 4**LETTERS
# Directions with less than this share of the strongest one's variance are rounding errors.
_NEGLIGIBLE = 1e-8


def words_at(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words in tokens uint8 [M, 1 + L], none across other letters: of which ASV, from which letter on, and which, int64 each."""
    letters = tokens[:, 1:].astype(np.int64) - Nucleotide.A
    if letters.shape[1] < LETTERS:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(letters, LETTERS, axis=1)
    whole = ((windows >= 0) & (windows < 4)).all(axis=2)
    asv, place = np.nonzero(whole)
    return asv, place, (windows @ 4 ** np.arange(LETTERS))[whole]


def count_words(tokens: np.ndarray) -> sparse.csr_array:
    """Tokens uint8 [M, 1 + L] -> square roots of the counts of each word, CSR float32 [M, 4^6]."""
    asv, _, word = words_at(tokens)
    counts = sparse.csr_array((np.ones(len(word), np.float32), (asv, word)), (len(tokens), N_WORDS))
    counts.sum_duplicates()
    return counts.sqrt()


@dataclass(frozen=True, eq=False)
class SequenceWords:
    """A fitted projection. directions: float32 [4^6, W]; shift: float32 [W]."""

    directions: np.ndarray
    shift: np.ndarray

    @classmethod
    def fit(cls, tokens: np.ndarray, width: int) -> SequenceWords:
        """Fit to the ASVs of the training samples, tokens uint8 [M, 1 + L]; `width`: the maximum number of directions."""
        counts = count_words(tokens)
        width = max(1, min(width, len(tokens) - 1))
        from sklearn.utils.extmath import randomized_svd

        _, strengths, rows = randomized_svd(counts, width, random_state=0)
        kept = strengths**2 > _NEGLIGIBLE * max(strengths[0] ** 2, 1e-30)
        directions = rows[kept].T.astype(np.float32)
        projected = counts @ directions
        spread = projected.std(axis=0)
        differ = spread > np.sqrt(_NEGLIGIBLE) * max(spread.max(initial=0.0), 1e-30)
        scaled = directions[:, differ] / spread[differ]
        return cls(scaled, (projected[:, differ] / spread[differ]).mean(axis=0))

    def vectors(self, tokens: np.ndarray) -> np.ndarray:
        """Tokens uint8 [M, 1 + L] -> float32 [M, W]; over the ASVs fitted to, of mean 0 and variance 1."""
        return np.asarray(count_words(tokens) @ self.directions - self.shift, dtype=np.float32)
