"""Made-up explanations of small simulated studies."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from aam.data.phylogeny import Phylogeny
from aam.data.simulate import simulate
from aam.explain.agreement import Agreement
from aam.explain.attributions import Attributions, Features, Importance
from aam.explain.faithfulness import Curves, NamedFirst
from aam.explain.features import asvs
from aam.explain.gradients import Gradients
from aam.explain.nucleotides import NucleotideEffects
from aam.explain.story import Compared, Story
from aam.scoring.resampling import Estimate


def attributions_of(counts, ids, outputs=("age",), features=None, seed=0):
    """An effect of each ASV on each output, times the logarithm of its reads."""
    features = features or asvs(ids)
    there = sparse.coo_array(counts @ features.asvs.T.astype(np.int64))
    sample, feature = (part.astype(np.int64) for part in there.coords)
    effects = np.random.default_rng(seed).normal(size=(len(features.ids), len(outputs)))
    value = effects[feature] * np.log1p(there.data)[:, None]
    predicted = 40 + np.stack([np.bincount(sample, column, counts.shape[0]) for column in value.T], axis=1)
    rows = np.arange(counts.shape[0])
    return Attributions("deletion", features, outputs, "years", rows, sample, feature, value, value - 1, value + 1, predicted)


def importance_of(found, bound=()):
    """Means over samples, each counting once, with made-up intervals."""
    n, f = len(found.samples), len(found.features.ids)
    samples = np.bincount(found.feature, minlength=f)
    often = np.maximum(samples, 1)
    mean, absolute = (
        np.stack([np.bincount(found.feature, column, f) for column in part.T], axis=1) for part in (found.value, abs(found.value))
    )
    mean, where, spread = mean / often[:, None], absolute / often[:, None], absolute / n
    same = np.sign(found.value) == np.sign(mean)[found.feature]
    agreement = np.stack([np.bincount(found.feature, column, f) for column in same.T], axis=1) / often[:, None]
    names = [""] * f
    for row, study in bound:
        names[row] = study
    limits = (0.8 * where, 1.2 * where, agreement, spread, 0.9 * spread, 1.1 * spread)
    return Importance(found.features, found.output_names, mean, where, *limits, samples, tuple(names))


def story_of(outputs=("age",), sequences=True, n_samples=24, **more):
    """An explanation of a simulated community, with all that a page can show."""
    simulated = simulate(0, n_samples=n_samples, n_asvs=30, length=40)
    table = simulated.table
    counts, ids = table.counts, table.feature_ids
    found = attributions_of(counts, ids, outputs)
    steps = np.linspace(0, 1, 5)
    lines = {"named": 9 * steps, "random": 4 * steps, "abundance": 5 * steps}
    curves = Curves(steps, lines, lines, Estimate(2.0, 1.5, 2.5), Estimate(1.3, 1.1, 1.5), n_samples)
    draws = np.random.default_rng(1)
    substitutions = draws.normal(size=(40, 4))
    substitutions[np.arange(40), ["ACGT".index(base) for base in simulated.sequences[3]]] = 0
    effect = draws.normal(size=40)
    known = {
        "named_first": NamedFirst(Estimate(3.14, 2.41, 3.92), 10, 0.49, 0.3, n_samples),
        "listed": NamedFirst(Estimate(2.2, 1.7, 2.8), 10, 0.4, 0.3, n_samples),
        "curves": curves,
        "compared": (Compared("deletion and gradients", "high", Agreement(0.8, 0.7, 0.9, 30)),),
        "nucleotides": (
            NucleotideEffects(3, simulated.sequences[3], effect, "other letters", substitutions, np.arange(2), "age", "years"),
        ),
        "phylogeny": Phylogeny.from_tree(simulated.tree, ids),
        "facts": {"table": "made <up>"},
    }
    importances = (importance_of(found),)
    own = simulated.sequences if sequences else None
    return Story("age", table.sample_ids, ids, counts, (found,), importances, own, **(known | more))


def by_gradients(story, baseline, weight=1.0, left=0.0):
    """The same story by gradients, where members of some weight have gradients, and the others add `left` to predictions."""
    found = replace(story.attributions[0], method="gradients")
    n = len(found.samples)
    start, steps = np.full((n, len(found.output_names)), 40.0), np.zeros(n, dtype=np.int64)
    gradients = Gradients(found, start, baseline, {"linear": weight}, steps, np.ones(n, dtype=bool))
    return replace(story, attributions=(replace(found, predicted=found.predicted + left),), gradients=gradients)


def taxa_of(story):
    """The same story with two taxa, each half of the ASVs."""
    halves = np.arange(len(story.asv_ids)) % 2 == np.arange(2)[:, None]
    ids = ("d__Bacteria; g__Blautia", "d__Bacteria; g__Dorea; s__")
    found = attributions_of(story.counts, story.asv_ids, features=Features("taxon", ids, sparse.csr_array(halves)))
    return found, importance_of(found)
