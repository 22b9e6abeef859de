"""Planted truths of a simulated community: explanations of fitted ensembles find them, no worse than a forest's permutations do."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from aam.data.phylogeny import Phylogeny
from aam.data.sequences import tokenize
from aam.data.simulate import simulate
from aam.explain import features
from aam.explain.attributions import Attributions
from aam.explain.deletion import by_deletion
from aam.explain.faithfulness import named_first
from aam.explain.permutation import Held, by_permutation
from aam.explain.planted import ranks_of
from aam.explain.summary import first_apart, summarise
from aam.learners.ensemble import EnsembleLearner
from aam.options import EnsembleOptions
from aam.scoring.measures import MAE
from aam.study.problem import Problem
from aam.study.study import Study
from aam.study.targets import RegressionTarget
from benchmarks import planted

N, LEARNED, HELD = 240, np.arange(190), np.arange(190, 240)
OPTIONS = EnsembleOptions(network_steps=60, network_min_epochs=2, forest_trees=40, boosting_rounds=40, cross_fit_folds=3)
PLANTED = 5


def community(seed):
    """Each sample of a subject of its own, in one study."""
    simulated = simulate(seed, n_samples=N, n_asvs=120, n_subjects=N, n_studies=1, length=60)
    table, sequences = simulated.table, simulated.sequences
    phylogeny = Phylogeny.from_tree(simulated.tree, table.feature_ids)
    return simulated, phylogeny, Study(table, sequences, tokenize(sequences, table.feature_ids, 150), simulated.metadata)


def fitted_to(study, truth):
    standard = (truth - truth.mean()) / truth.std()
    problem = Problem(study, "planted", standard, RegressionTarget("none"))
    return EnsembleLearner(OPTIONS, jobs=1).fit(problem, LEARNED), standard


def recall(importance, true):
    return np.isin(np.argsort(-importance)[: len(true)], true).mean()


def planted_asvs(study, seed, kind):
    """ASVs that a target is made of, by their presence or their log share, and the target."""
    rng = np.random.default_rng(seed)
    shares = study.shares.toarray()
    prevalence = (shares > 0).mean(axis=0)
    asvs = rng.choice(np.flatnonzero((prevalence > 0.25) & (prevalence < 0.75)), PLANTED, replace=False)
    seen = (shares > 0).astype(float) if kind == "presence" else np.log(shares + 1e-3)
    signal = seen[:, asvs] @ rng.choice([-1.0, 1.0], PLANTED)
    return asvs, signal / signal.std() + 0.1 * rng.normal(size=N)


@pytest.mark.parametrize("kind", ["presence", "abundance"])
def test_planted_asvs_are_named_first(kind):
    _, _, study = community(1)
    asvs, truth = planted_asvs(study, 1, kind)
    fitted, standard = fitted_to(study, truth)
    reader, wanted = fitted.reader(study), features.asvs(study.table.feature_ids)
    attributions = by_deletion(reader, wanted, HELD)
    importance = summarise(attributions)
    assert recall(importance.spread[:, 0], asvs) >= 0.8
    permuted = by_permutation(reader, wanted, Held(HELD, standard[HELD]), MAE, repeats=3)
    assert recall(permuted.loss, asvs) >= 0.8
    assert named_first(reader, attributions).moved.low > 2


@pytest.mark.slow
def test_planted_asvs_are_found_as_well_as_by_permuting_a_forest_or_better():
    ours, of_forest = [], []
    for seed in range(3):
        _, _, study = community(seed)
        for kind in ("presence", "abundance"):
            asvs, truth = planted_asvs(study, seed, kind)
            fitted, standard = fitted_to(study, truth)
            importance = summarise(by_deletion(fitted.reader(study), features.asvs(study.table.feature_ids), study.rows))
            ours.append(recall(importance.spread[:, 0], asvs))
            shares = study.shares.toarray()
            forest = RandomForestRegressor(100, max_features=1 / 3, random_state=0).fit(shares[LEARNED], standard[LEARNED])
            permuted = permutation_importance(forest, shares[HELD], standard[HELD], n_repeats=3, random_state=0)
            of_forest.append(recall(permuted.importances_mean, asvs))
    assert np.mean(ours) >= 0.9
    assert np.mean(ours) >= np.mean(of_forest)


def test_ranks_of_planted_clades_allow_a_near_copy_and_skip_what_is_inside():
    _, phylogeny, study = community(0)
    clades = features.clades(phylogeny, study.table.feature_ids)
    sizes = np.diff(clades.asvs.indptr)
    large = int(np.flatnonzero((sizes > 8) & (sizes < 30))[0])
    inside = (clades.asvs.astype(int) @ clades.asvs[[large]].astype(int).T).toarray().ravel() > 0
    other = int(np.flatnonzero(~inside & (sizes > 3))[0])
    total = np.where(inside, 0.5, 0.0)
    total[large], total[other] = 2.0, 1.0
    importance = replace(summarise(nothing(clades)), spread=total[:, None])
    first, second = clades.asvs[[large]].indices, clades.asvs[[other]].indices
    assert ranks_of(importance, [second, first, first[:-1]]) == [2, 1, 1]
    # Half of it is another clade.
    assert ranks_of(importance, [first[: len(first) // 2]]) == [None]


def nothing(wanted):
    """Attributions of no occurrence."""
    none, no_values = np.zeros(0, dtype=np.int64), np.zeros((0, 1))
    return Attributions("deletion", wanted, ("one",), "", np.arange(2), none, none, *[no_values] * 3, np.zeros((2, 1)))


def test_planted_clades_are_named_first():
    simulated, phylogeny, study = community(2)
    fitted, _ = fitted_to(study, simulated.metadata["age"].to_numpy(dtype=float))
    ids = study.table.feature_ids
    importance = summarise(by_deletion(fitted.reader(study), features.clades(phylogeny, ids), study.rows))
    named = [importance.features.asvs[[place]].toarray()[0] for place in first_apart(importance, 2)]
    signs = []
    for clade in ("clade_A", "clade_B"):
        held = np.isin(ids, simulated.truth["clades"][clade])
        # Of which a few ASVs more or less are near copies.
        alike = [(held & other).sum() / (held | other).sum() for other in named]
        assert max(alike) >= 0.6
        place = importance.features.ids.index(clade)
        signs.append(np.sign(importance.mean[place, 0]))
        assert importance.agreement[place, 0] > 0.8
    assert signs == [1, -1]


@pytest.mark.slow
def test_an_interaction_of_two_clades_is_named_by_both():
    """Neither has an effect by itself: the target is the product of their log shares."""
    made = planted.clades(0, product=True)
    fitted = EnsembleLearner(EnsembleOptions(), 0).fit(made.problem, made.learned)
    importance = summarise(by_deletion(fitted.reader(made.problem.study), made.features, made.held))
    assert planted.found_among(importance.spread[:, 0], made) == 1
