"""Questions whose answer is made from a real table, so that it is known which kind of model is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from aam.data.table import FeatureTable
from aam.disk.writing import write_tsv
from aam.ensemble.asv_vectors import SequenceWords

# ASVs of a clade, and the least prevalence of the one in its middle.
_CLADE, _PREVALENCE = 20, 0.1
_FLIPPED = 0.1


def columns_of(table: FeatureTable, tokens: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """A column for each question, a row for each sample; tokens uint8 [M, 1 + L] of the ASVs."""
    made = MadeUp(table, tokens, seed)
    return pd.DataFrame({name: make(made) for name, make in _QUESTIONS.items()}, index=pd.Index(table.sample_ids, name="sample-id"))


def write_columns(table: FeatureTable, tokens: np.ndarray, metadata: Path, path: Path) -> None:
    """The metadata of a table with these columns instead of what was to be predicted."""
    known = pd.read_csv(metadata, sep="\t", dtype=str, index_col=0).reindex(table.sample_ids)
    kept = known[[name for name in ("host_subject_id", "mom_child") if name in known]]
    write_tsv(path, kept.join(columns_of(table, tokens)))


class MadeUp:
    """What questions are made from: presence bool [N, M], vectors of the ASVs, shares of clades."""

    def __init__(self, table: FeatureTable, tokens: np.ndarray, seed: int) -> None:
        self.counts, self.rng = table.counts, np.random.default_rng(seed)
        self.present = self.counts.astype(bool)
        self.prevalence = np.asarray(self.present.mean(axis=0)).ravel()
        self.vectors = SequenceWords.fit(tokens, 64).vectors(tokens)
        self.n = self.counts.shape[0]

    def common_asv(self) -> np.ndarray:
        """Whether each sample has an ASV that about half of them have: one of the ten nearest to that."""
        column = self.rng.choice(np.argsort(np.abs(self.prevalence - 0.5))[:10])
        return self.present[:, [column]].toarray().ravel()

    def clade_place(self) -> np.ndarray:
        """Place of each sample, from 0 to 1, among all by the share of its reads that is of a clade."""
        middle = self.rng.choice(np.flatnonzero(self.prevalence >= min(_PREVALENCE, self.prevalence.max())))
        near = np.argsort(((self.vectors - self.vectors[middle]) ** 2).sum(axis=1))[:_CLADE]
        share = np.asarray(self.counts[:, near].sum(axis=1)).ravel() / np.asarray(self.counts.sum(axis=1)).ravel()
        return np.searchsorted(np.sort(share), share, side="right") / self.n

    def labels(self, which: np.ndarray) -> np.ndarray:
        """Classes, a tenth of them wrong."""
        return np.where(which ^ (self.rng.random(self.n) < _FLIPPED), "yes", "no")

    def noise(self, size: float = 1.0) -> np.ndarray:
        """Numbers without signal."""
        return size * self.rng.normal(size=self.n)


def _smooth(made: MadeUp) -> np.ndarray:
    """A smooth function of the mean sequence of the ASVs that are there."""
    present = made.present.astype(np.float64)
    mean = np.asarray(present @ made.vectors) / np.asarray(present.sum(axis=1)).reshape(-1, 1)
    place = ((mean - mean.mean(axis=0)) / mean.std(axis=0))[:, :8] @ made.rng.normal(size=8)
    return 2 * np.tanh((place - place.mean()) / place.std()) + made.noise(0.3)


def _steps(made: MadeUp) -> np.ndarray:
    """A number that has four values, by how much there is of two clades; a tenth of the samples have another one."""
    first, second = made.clade_place(), made.clade_place()
    values = np.array([0.0, 1.0, 3.0, 12.0])
    step = (first > 0.5).astype(int) + (second > 0.5) + (first > 0.9)
    wrong = made.rng.random(made.n) < _FLIPPED
    return np.where(wrong, made.rng.choice(values, made.n), values[step])


_QUESTIONS: Mapping[str, Callable[[MadeUp], np.ndarray]] = {
    "one_asv": lambda made: made.labels(made.common_asv()),
    "two_asvs": lambda made: made.labels(made.common_asv() ^ made.common_asv()),
    "smooth": _smooth,
    "clade_step": lambda made: 3.0 * (made.clade_place() > 0.5) + made.noise(0.5),
    "steps": _steps,
    "noise_number": lambda made: made.noise(),
    "noise_classes": lambda made: made.labels(made.rng.random(made.n) < 0.5),
}
