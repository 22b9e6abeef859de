"""A small table, and tokens of its ASVs."""

import numpy as np
from scipy import sparse

from aam.data.table import FeatureTable


def table_of(seed=0, samples=7, asvs=12):
    counts = np.random.default_rng(seed).poisson(1.0, (samples, asvs)) * 5
    counts[:, 0] += 10
    return FeatureTable(sparse.csr_array(counts), tuple(f"s{i}" for i in range(samples)), tuple(f"f{i}" for i in range(asvs)))


def tokens_of(asvs=12, width=9):
    tokens = np.random.default_rng(1).integers(1, 5, (asvs, width)).astype(np.uint8)
    tokens[:, 0] = 5
    return tokens
