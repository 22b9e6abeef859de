"""A simulated community in which a short motif at a known place of a third of the ASVs drives the target."""

from dataclasses import replace

import numpy as np

from aam.data.sequences import tokenize
from aam.data.simulate import simulate
from aam.study.problem import Problem
from aam.study.study import Study
from aam.study.targets import RegressionTarget

LENGTH = 8


def motif_problem(seed=0, n_samples=200, n_asvs=150, length=100, place=40):
    """The share of reads of ASVs that have a motif at `place`, less its mean and over its spread; ASVs (columns) that have it; and
    its positions. Other ASVs have letters at random there: none of its letters is enough to tell it, and none says nothing.
    """
    made = simulate(seed, n_samples=n_samples, n_asvs=n_asvs, length=length)
    rng = np.random.default_rng(seed)
    carriers = np.sort(rng.choice(n_asvs, n_asvs // 3, replace=False))
    there = rng.integers(4, size=(n_asvs, LENGTH))
    there[carriers] = rng.integers(4, size=LENGTH)
    end = place + LENGTH
    sequences = [
        sequence[:place] + "".join("ACGT"[letter] for letter in row) + sequence[end:]
        for sequence, row in zip(made.sequences, there.tolist(), strict=True)
    ]
    table = replace(made.table, feature_ids=tuple(f"asv {column}" for column in range(n_asvs)))
    counts = table.counts
    share = np.asarray(counts[:, carriers].sum(axis=1)).ravel() / np.asarray(counts.sum(axis=1)).ravel()
    number = (share - share.mean()) / share.std()
    study = Study(table, tuple(sequences), tokenize(sequences, table.feature_ids, 150))
    groups = made.metadata["subject"].to_numpy()
    positions = np.arange(place, end)
    return Problem(study, "load", number, RegressionTarget("none"), groups), carriers, positions


def recall(by_position, positions):
    """Share of the true positions among the first as many, by absolute effect."""
    first = np.argsort(-np.abs(by_position), kind="stable")[: len(positions)]
    return np.isin(positions, first).mean()
