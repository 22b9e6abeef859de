"""Targets whose truth is planted in simulated tables, and how much of it explanations find: ours, and a forest's permutations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import sparse
from sklearn.ensemble import RandomForestRegressor

from aam.data.phylogeny import Phylogeny
from aam.data.sequences import tokenize
from aam.data.simulate import simulate
from aam.explain import features
from aam.explain.aligned import aligned
from aam.explain.attributions import Features, Importance
from aam.explain.deletion import by_deletion
from aam.explain.nucleotides import by_position_of, samples_with
from aam.explain.planted import ranks_of
from aam.explain.summary import summarise
from aam.learners.ensemble import EnsembleLearner
from aam.learners.transformer import TransformerLearner
from aam.options import EnsembleOptions, ModelOptions, TrainFitOptions
from aam.saved.fitted import Fitted
from aam.study.problem import Problem
from aam.study.study import Study
from aam.study.targets import RegressionTarget
from tests.support.motifs import motif_problem, recall

# Samples and ASVs of a table.
_USUAL, _FEW = (320, 300), (640, 100)
# Share of the samples that models learn from; the others are explained.
_LEARNED = 0.75
# ASVs whose nucleotides are looked into, and the samples of each.
_ASVS, _SAMPLES = 10, 4
_FLOOR = 1e-3
_TREES, _REPEATS = 300, 5
# Standard deviation of the log by which a decoy's reads differ from its ASV's, and the share of samples where it goes its own way.
_DECOY_SD, _APART = 0.5, 0.15
_TRANSFORMER = ModelOptions(embedding_dim=32, attention_heads=4, attention_layers=1, ffn_ratio=2)
_TRANSFORMER_FIT = TrainFitOptions(epochs=60, lr=1e-3, batch_size=8, patience=60)


@dataclass(frozen=True, eq=False)
class Planted:
    """A problem and its truth. kind: what is to be found: ASVs, clades, or positions of sequences; true: the columns of each true
    ASV or clade, or the positions; phylogeny: the true tree, where clades are to be found.
    """

    problem: Problem
    kind: str
    true: tuple[np.ndarray, ...]
    phylogeny: Phylogeny | None = None

    @property
    def learned(self) -> np.ndarray:
        """Samples that models learn from: each is of a subject of its own, so the first are as good as any."""
        return self.problem.study.rows[: round(_LEARNED * len(self.problem))]

    @property
    def held(self) -> np.ndarray:
        """Samples that are explained."""
        return self.problem.study.rows[len(self.learned) :]

    @property
    def features(self) -> Features:
        """What is taken out."""
        ids = self.problem.study.table.feature_ids
        return features.asvs(ids) if self.phylogeny is None else features.clades(self.phylogeny, ids)


def asvs(
    seed: int, *, by: str, size: tuple[int, int] = _USUAL, number: int = 5, noise: float = 0.1, decoys: bool = False
) -> Planted:
    """A sum of `number` ASVs, some with a minus, by their presence or log share; size: samples and ASVs of the table; noise: its
    spread, the signal's being 1; decoys: each has another ASV whose reads go with its own in most samples.
    """
    study, _, rng = _community(seed, *size)
    prevalence = np.diff(study.counts.tocsc().indptr) / len(study)
    there = np.flatnonzero((prevalence > 0.25) & (prevalence < 0.75))
    chosen = rng.choice(there, 2 * number, replace=False)
    true, others = chosen[:number], chosen[number:]
    if decoys:
        study = _with_decoys(study, true, others, rng)
    shares = study.shares.toarray()[:, true]
    seen = (shares > 0).astype(float) if by == "presence" else np.log(shares + _FLOOR)
    signal = _standard(seen) @ rng.choice([-1.0, 1.0], number)
    return Planted(_problem(study, _standard(signal) + noise * rng.normal(size=len(study))), "asv", tuple(true[:, None]))


def clades(seed: int, *, size: tuple[int, int] = (480, 300), product: bool = False) -> Planted:
    """The log-ratio of two clades, or the product of their log shares, which has no effect of either alone."""
    study, phylogeny, rng = _community(seed, *size)
    true = _true_clades(phylogeny)[:2]
    first, second = (_standard(np.log(study.shares[:, columns].sum(axis=1) + _FLOOR)) for columns in true)
    signal = first * second if product else first - second
    return Planted(_problem(study, _standard(signal) + 0.1 * rng.normal(size=len(study))), "clade", true, phylogeny)


def motif(seed: int) -> Planted:
    """The share of reads of the ASVs that have a motif of 8 letters."""
    problem, _, positions = motif_problem(seed, n_samples=480, n_asvs=200, length=40, place=15)
    return Planted(replace(problem, groups=None), "position", (positions,))


@dataclass(frozen=True)
class Truth:
    """What is planted, in words, and how; models: those whose explanations are tried on it. A transformer, which starts from
    letters, learns single ASVs from many samples of few ASVs only.
    """

    title: str
    make: Callable[[int], Planted]
    models: tuple[str, ...] = ("ensemble", "forest")


MODELS = ("ensemble", "transformer", "forest")
TRUTHS: Mapping[str, Truth] = {
    "presence": Truth("5 ASVs of 300, presence", partial(asvs, by="presence")),
    "abundance": Truth("5 ASVs of 300, log share", partial(asvs, by="abundance")),
    "weak": Truth(
        "10 ASVs of 600, log share, as much noise as signal", partial(asvs, by="abundance", size=(320, 600), number=10, noise=1.0)
    ),
    "weak_presence": Truth("10 ASVs of 300, presence, as much noise as signal", partial(asvs, by="presence", number=10, noise=1.0)),
    "decoys": Truth("5 ASVs of 300, log share, each with a correlated decoy", partial(asvs, by="abundance", decoys=True)),
    "clades": Truth("2 clades of 300 ASVs, log-ratio", clades),
    "interaction": Truth("2 clades of 300 ASVs, product of log shares", partial(clades, product=True)),
    "few_presence": Truth("5 ASVs of 100 in 640 samples, presence", partial(asvs, by="presence", size=_FEW), MODELS),
    "few_abundance": Truth("5 ASVs of 100 in 640 samples, log share", partial(asvs, by="abundance", size=_FEW), MODELS),
    "few_clades": Truth("2 clades of 100 ASVs in 640 samples, log-ratio", partial(clades, size=_FEW), MODELS),
    "motif": Truth("8 positions of 40, a motif of a third of 200 ASVs in 480 samples", motif, MODELS),
}


def found_of(model: str, planted: Planted, seed: int) -> dict[str, float]:
    """recall: the share of the truth that a model's explanation finds, of positions by the letters that tell ASVs apart; exchanged:
    of positions, the same by exchanging the letters of single ASVs; r2: of its predictions of the explained samples, since what was
    not learned cannot be found.
    """
    if model == "forest":
        return _of_forest(planted, seed)
    fitted = _fitted(model, planted, seed)
    predicted = fitted.predict(planted.problem.study, planted.held)
    return {**_recall_of(fitted, planted), "r2": _r2(planted, predicted)}


def found_among(importance: np.ndarray, planted: Planted) -> float:
    """Share of the true ASVs, clades or positions among as many that are named first; importance: of each feature, or position."""
    if planted.kind == "position":
        return float(recall(importance, planted.true[0]))
    if planted.kind == "asv":
        first = np.argsort(-importance, kind="stable")[: len(planted.true)]
        return float(np.isin(np.concatenate(planted.true), first).mean())
    ranks = ranks_of(_ranked(planted.features, importance), planted.true)
    return float(np.mean([rank is not None and rank <= len(planted.true) for rank in ranks]))


def _fitted(model: str, planted: Planted, seed: int) -> Fitted:
    if model == "ensemble":
        return EnsembleLearner(EnsembleOptions(), seed).fit(planted.problem, planted.learned)
    options = replace(_TRANSFORMER_FIT, seed=seed)
    return TransformerLearner(_TRANSFORMER, options=options, show=False).fit(planted.problem, planted.learned)


def _recall_of(fitted: Fitted, planted: Planted) -> dict[str, float]:
    study, reader = planted.problem.study, fitted.reader(planted.problem.study)
    importance = summarise(by_deletion(reader, planted.features, planted.held))
    if planted.kind != "position":
        return {"recall": found_among(importance.spread[:, 0], planted)}
    # The motif raises predictions, and so do the ASVs that have it.
    raises = np.where(importance.mean[:, 0] > 0, importance.spread[:, 0], 0.0)
    model = reader.sequences()
    assert model is not None  # they have sequences
    found = [
        by_position_of(model, int(asv), study.asv_tokens[asv], samples_with(study.counts, int(asv), planted.held, _SAMPLES))
        for asv in np.argsort(-raises, kind="stable")[:_ASVS]
    ]
    # Sequences are as long as each other, and the motif is at one place.
    exchanged = found_among(np.mean([one.by_position for one in found], axis=0), planted)
    along = aligned(model, importance, study, planted.held)
    assert along is not None  # of one length
    assert along.told is not None  # of 200 ASVs
    return {"recall": found_among(along.told.share, planted), "exchanged": exchanged}


def _of_forest(planted: Planted, seed: int) -> dict[str, float]:
    """Permutation importance of a random forest on shares, all columns of a clade permuted together; of positions: on the share of
    reads that have each letter there.
    """
    study = planted.problem.study
    if planted.kind == "position":
        letters = (study.asv_tokens[:, 1:, None] == np.unique(study.asv_tokens[:, 1:])).reshape(len(study.asv_tokens), -1)
        inputs = study.shares @ letters.astype(float)
        columns = np.split(np.arange(letters.shape[1]), study.asv_tokens.shape[1] - 1)
    else:
        inputs, wanted = study.shares.toarray(), planted.features.asvs
        columns = np.split(wanted.indices, wanted.indptr[1:-1])
    truth = planted.problem.truth
    forest = RandomForestRegressor(_TREES, max_features=1 / 3, random_state=seed, n_jobs=-1)
    forest.fit(inputs[planted.learned], truth[planted.learned])
    losses = permuted(forest.predict, inputs[planted.held], truth[planted.held], columns, seed)
    return {"recall": found_among(losses, planted), "r2": _r2(planted, forest.predict(inputs[planted.held]))}


def permuted(
    predict: Callable[[np.ndarray], np.ndarray], inputs: np.ndarray, truth: np.ndarray, columns: Sequence[np.ndarray], seed: int
) -> np.ndarray:
    """How much larger the mean absolute error is [F] where the columns of a feature are those of other samples."""
    rng, before = np.random.default_rng(seed), np.abs(predict(inputs) - truth).mean()
    losses = []
    for some in columns:
        changed = np.tile(inputs, (_REPEATS, 1))
        orders = [repeat * len(inputs) + rng.permutation(len(inputs)) for repeat in range(_REPEATS)]
        changed[:, some] = changed[np.concatenate(orders)][:, some]
        losses.append(np.abs(predict(changed) - np.tile(truth, _REPEATS)).mean() - before)
    return np.array(losses)


def _community(seed: int, n_samples: int, n_asvs: int) -> tuple[Study, Phylogeny, np.random.Generator]:
    """Each sample of a subject of its own, in one study."""
    made = simulate(seed, n_samples=n_samples, n_asvs=n_asvs, n_subjects=n_samples, n_studies=1, length=100)
    ids, tokens = made.table.feature_ids, tokenize(made.sequences, made.table.feature_ids, 150)
    phylogeny = Phylogeny.from_tree(made.tree, ids)
    return Study(made.table, made.sequences, tokens), phylogeny, np.random.default_rng(seed)


def _with_decoys(study: Study, true: np.ndarray, decoys: np.ndarray, rng: np.random.Generator) -> Study:
    counts = study.counts.toarray()
    copies = np.rint(counts[:, true] * rng.lognormal(0, _DECOY_SD, (len(study), len(true)))).astype(counts.dtype)
    own = rng.random(copies.shape) < _APART
    counts[:, decoys] = np.where(own, rng.permuted(copies, axis=0), copies)
    return replace(study, table=replace(study.table, counts=sparse.csr_array(counts)))


def _true_clades(phylogeny: Phylogeny) -> tuple[np.ndarray, ...]:
    """The columns of the simulator's clades, by their labels."""
    nodes = [phylogeny.labels.index(name) for name in ("clade_A", "clade_B")]
    return tuple(phylogeny.tip_columns[phylogeny.node_start[node] : phylogeny.node_end[node]] for node in nodes)


def _problem(study: Study, truth: np.ndarray) -> Problem:
    return Problem(study, "planted", truth, RegressionTarget("none"))


def _ranked(wanted: Features, spread: np.ndarray) -> Importance:
    """Features by how much they matter, of which nothing else is known."""
    column = np.asarray(spread, dtype=np.float64)[:, None]
    unknown = np.full(column.shape, np.nan)
    everywhere = np.ones(len(column), dtype=np.int64)
    return Importance(
        *(wanted, ("planted",), unknown, unknown, unknown, unknown, unknown),
        *(column, unknown, unknown, everywhere, ("",) * len(column)),
    )


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(axis=0)) / values.std(axis=0)


def _r2(planted: Planted, predicted: np.ndarray) -> float:
    truth = planted.problem.truth[planted.held]
    return float(1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
