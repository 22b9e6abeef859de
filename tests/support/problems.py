"""Problems of which only what is tested matters: counts and distances from random numbers, classes a, b, c."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from aam.data.table import FeatureTable
from aam.distances.precomputed import PrecomputedDistances
from aam.study.problem import Problem
from aam.study.study import Study
from aam.study.targets import ClassTarget, RegressionTarget


def problem_of(truth, *, classes=None, groups=None, counts=None, distances=None, confounder=None):
    """A number, or the first of the classes a, b, c, of samples with the given reads (one ASV by default)."""
    counts = np.ones((len(truth), 1), dtype=np.int64) if counts is None else counts
    n, m = counts.shape
    table = FeatureTable(sparse.csr_array(counts), tuple(f"s{i}" for i in range(n)), tuple(f"f{i}" for i in range(m)))
    distance = None if distances is None else PrecomputedDistances(distances)
    study = Study(table, None, np.zeros((m, 1), dtype=np.uint8), distance=distance)
    target = RegressionTarget() if classes is None else ClassTarget(("a", "b", "c")[:classes])
    return Problem(study, "load", np.asarray(truth), target, groups, confounder)


def learnable_problem(classes=None, n=80, confounder=False):
    """A signal in a few ASVs; two samples to a group."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (n, 30)) * (rng.random((n, 30)) < 0.6)
    counts[:, 0] = 5
    signal = counts[:, 1:4].sum(axis=1) - counts[:, 4:7].sum(axis=1)
    truth = signal.astype(float) if classes is None else np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes))
    rows = np.log1p(counts)
    distances = np.abs(rows[:, None] - rows).sum(axis=2)
    levels = np.array(["x", "y"])[(signal > 0).astype(int)] if confounder else None
    groups = np.arange(n) // 2
    return problem_of(truth, classes=classes, groups=groups, counts=counts, distances=distances, confounder=levels)


def with_counts(problem, counts):
    """The same problem of samples with other reads [N, M]; distances stay."""
    study = problem.study
    return problem.on(replace(study, table=replace(study.table, counts=sparse.csr_array(counts))))
