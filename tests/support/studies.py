"""Small simulated studies, problems in them, and options with which an ensemble is fitted in a second."""

from dataclasses import replace

import numpy as np

from aam.data.phylogeny import Phylogeny
from aam.data.sequences import Nucleotide, tokenize
from aam.data.simulate import simulate
from aam.distances.unifrac import UniFrac
from aam.options import EnsembleOptions
from aam.study.problem import Problem
from aam.study.study import Study
from aam.study.targets import ClassTarget, RegressionTarget

QUICK = EnsembleOptions(network_steps=6, network_min_epochs=1, forest_trees=5, boosting_rounds=5)


def simulated_study(seed=0, n_samples=48, n_asvs=50, length=40):
    """A study with metadata and UniFrac on the true tree."""
    simulated = simulate(seed, n_samples=n_samples, n_asvs=n_asvs, length=length)
    table, sequences = simulated.table, simulated.sequences
    distance = UniFrac(Phylogeny.from_tree(simulated.tree, table.feature_ids))
    return Study(table, sequences, tokenize(sequences, table.feature_ids, 150), simulated.metadata, distance=distance)


def without_sequences(study):
    """The same samples, of features that are known by name only."""
    names = tuple(f"taxon {number}" for number in range(len(study.table.feature_ids)))
    tokens = np.full((len(names), 1), Nucleotide.START, dtype=np.uint8)
    return replace(study, table=replace(study.table, feature_ids=names), sequences=None, asv_tokens=tokens, distance=None)


def problem_in(study, *, classes=False):
    """A number that is in the microbes, of mean 0 and variance 1, or whether it is above the mean; four samples to a group."""
    present = (study.counts.toarray() > 0).astype(float)
    number = present[:, :6].sum(axis=1) + 0.1 * np.random.default_rng(0).normal(size=len(study))
    number = (number - number.mean()) / number.std()
    groups = np.arange(len(study)) // 4
    if classes:
        return Problem(study, "load", (number > 0).astype(np.int64), ClassTarget(("few", "many")), groups)
    return Problem(study, "load", number, RegressionTarget("none"), groups)
