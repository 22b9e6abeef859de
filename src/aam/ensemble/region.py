"""Whether ASVs are of the region of the gene that training ASVs are of, read from the same first letter on.

An alignment would tell it; so do words of six letters and the places where they stand, as ASVs of one region differ by few
insertions. Sequences of another region, of the other strand or with a primer left in have the words of training ASVs at few places;
new ASVs of the same region have them at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aam.data.sequences import reverse_complement, tokenize
from aam.ensemble.asv_vectors import LETTERS, N_WORDS, words_at
from aam.study.study import Study

# Sequences that are looked at together.
_AT_ONCE = 4096
# An ASV is unlike all training ASVs below this part of the share of words that one of these has in common with the others.
_LIKE = 0.5


@dataclass(frozen=True, eq=False)
class Region:
    """known: bool [4^6, places], whether a training ASV has a word at a place; words: how many of them half of the training ASVs
    have; least: share of known words below which an ASV is unlike all training ASVs.
    """

    known: np.ndarray
    words: int
    least: float

    @classmethod
    def of(cls, tokens: np.ndarray) -> Region:
        """That of training ASVs, tokens uint8 [M, 1 + L]."""
        # Those that are equal as far as they are read are one.
        tokens = np.unique(tokens, axis=0)
        asvs = np.zeros((N_WORDS, max(0, tokens.shape[1] - LETTERS)), dtype=np.int64)
        for part in _parts(tokens):
            _, place, word = words_at(part)
            asvs += np.bincount(word * asvs.shape[1] + place, minlength=asvs.size).reshape(asvs.shape)
        words = int(np.median(np.count_nonzero(tokens[:, 1:], axis=1))) - LETTERS + 1
        return cls(asvs > 0, words, _LIKE * float(np.median(_shares(tokens, asvs > 1, words))))

    def has(self, tokens: np.ndarray) -> np.ndarray:
        """Which ASVs of tokens uint8 [M, 1 + L] are like training ASVs, bool [M]."""
        return _shares(tokens, self.known, self.words) >= self.least

    def unlike(self, study: Study) -> tuple[float, float]:
        """Share of a study's ASVs that are unlike all training ASVs; and, where these are most, share of its ASVs that are like
        them only when they are turned round (reverse complements), else 0.
        """
        unlike = np.flatnonzero(~self.has(study.asv_tokens))
        share = len(unlike) / len(study.asv_tokens)
        if study.sequences is None or share <= 0.5:
            return share, 0.0
        # What is cut is cut already: no warning comes twice.
        turned = [reverse_complement(study.sequences[column])[: study.reads.max_bp] for column in unlike]
        return share, float(self.has(tokenize(turned, turned, study.reads.max_bp)).sum()) / len(study.asv_tokens)


def _shares(tokens: np.ndarray, known: np.ndarray, words: int) -> np.ndarray:
    """Of each ASV's words as far as training ASVs reach, the share that is known, float64 [M]; what a short one lacks of `words` is
    not known.
    """
    found = []
    for part in _parts(tokens):
        asv, place, word = words_at(part)
        reached = place < known.shape[1]
        asv, place, word = asv[reached], place[reached], word[reached]
        own, common = (np.bincount(some, minlength=len(part)) for some in (asv, asv[known[word, place]]))
        found.append(common / own.clip(min=max(1, words)))
    return np.concatenate([np.zeros(0), *found])


def _parts(tokens: np.ndarray) -> Iterator[np.ndarray]:
    return (tokens[start : start + _AT_ONCE] for start in range(0, len(tokens), _AT_ONCE))
