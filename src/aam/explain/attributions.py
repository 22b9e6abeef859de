"""What explanations are made of: features (ASVs, clades, taxa), and how much of each prediction every one of them carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy import sparse

Kind = Literal["asv", "clade", "taxon", "covariate"]
Method = Literal["deletion", "gradients", "attention"]


@dataclass(frozen=True, eq=False)
class Said:
    """What a model says of n samples.

    outputs: float64 [n, O], numbers in the target's unit (O = 1), log-odds of the second of two classes (O = 1), or of each class
    against the others (O = K). members: the same of each member by itself [E, n, O], with their weights [E], which add up to 1;
    E = 1 for a model of one piece.
    """

    outputs: np.ndarray
    members: np.ndarray
    weights: np.ndarray


class Reader(Protocol):
    """A fitted model on the ASVs of one study: each ASV is encoded once, whatever the counts that are asked about.

    counts: CSR int64 [N, M] of the study as the model reads it (rarefied where it rarefies); output_names: what the columns of
    `Said` are, e.g. ("day_of_life",), ("log-odds of Crohns",); unit: what their numbers are; known:
    bool [M], the ASVs that the model knows by themselves, from training samples, and not by their sequence alone.
    """

    @property
    def counts(self) -> sparse.csr_array: ...
    @property
    def output_names(self) -> tuple[str, ...]: ...
    @property
    def unit(self) -> str: ...
    @property
    def known(self) -> np.ndarray: ...

    def read(self, counts: sparse.csr_array, rows: np.ndarray) -> Said:
        """Of made-up samples with these counts [n, M], none of them empty; rows int64 [n]: the sample of the study that each stands
        for (its metadata is read where the model reads any).
        """


@dataclass(frozen=True, eq=False)
class Features:
    """What is taken out of samples at a time: ids, and the ASVs that belong to each, CSR bool [F, M]; of covariates none do."""

    kind: Kind
    ids: tuple[str, ...]
    asvs: sparse.csr_array

    def some(self, rows: np.ndarray) -> Features:
        """Those of some rows, int64 [R]."""
        return Features(self.kind, tuple(self.ids[row] for row in rows.tolist()), self.asvs[rows])


@dataclass(frozen=True, eq=False)
class Attributions:
    """How much of the predictions of some samples each of their features carries: K occurrences of features in samples.

    samples: int64 [n], rows of the study; sample, feature: int64 [K], places in `samples` and in `features.ids`; value: float64
    [K, O], the prediction of the sample less that of the sample without the feature: positive where the feature raises it; low,
    high: float64 [K, O], over members (nan for a model of one piece); predicted: float64 [n, O], of the whole samples.
    """

    method: Method
    features: Features
    output_names: tuple[str, ...]
    unit: str
    samples: np.ndarray
    sample: np.ndarray
    feature: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True, eq=False)
class Importance:
    """Of each feature over samples; all float64 [F, O] but `samples`.

    mean, mean_absolute: of the samples that have the feature, each group counting once; low, high: 95 % of mean_absolute over
    resampled groups (Bayesian bootstrap); agreement: share of these samples whose value has the sign of the mean; spread: how far
    the values are apart over all samples and an empty one (mean absolute deviation, 0 where the feature is not; each group counts
    once), by which features are ranked: what adds the same to every sample tells none from another; members_low, members_high: of
    `spread`, over members; samples: int64 [F], how many have it; bound_to: for each feature the one study (confounder level) in
    which it matters, or "" where it matters in several or none is known.
    """

    features: Features
    output_names: tuple[str, ...]
    mean: np.ndarray
    mean_absolute: np.ndarray
    low: np.ndarray
    high: np.ndarray
    agreement: np.ndarray
    spread: np.ndarray
    members_low: np.ndarray
    members_high: np.ndarray
    samples: np.ndarray
    bound_to: tuple[str, ...]
