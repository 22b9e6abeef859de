"""An explanation from beginning to end: what Python and the command line both call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from aam import __version__
from aam.data.phylogeny import Phylogeny
from aam.data.taxonomy import read_taxonomy
from aam.disk.cache import Cache, key_of
from aam.disk.writing import write_text
from aam.distances.unifrac import UniFrac
from aam.errors import InputError, counted, first_few, path_of, some_of
from aam.explain import features
from aam.explain.agreement import Agreement, agreement, mean_of
from aam.explain.aligned import aligned
from aam.explain.attended import Attended, attended_in, require_attention
from aam.explain.attributions import Attributions, Features, Importance, Kind, Reader
from aam.explain.begun import Begun
from aam.explain.deletion import by_deletion
from aam.explain.faithfulness import NamedFirst, curves, named_first
from aam.explain.files import write_files
from aam.explain.gradients import Gradients
from aam.explain.kept import Kept
from aam.explain.letters import with_gradients
from aam.explain.made_up import read_samples
from aam.explain.nucleotides import NucleotideEffects, Sequences, TransformerSequences, effects_of, samples_with
from aam.explain.page import explanation_page, verdict_of
from aam.explain.permutation import (
    Held,
    PermutationImportance,
    ReaderOfCovariates,
    by_permutation,
    by_permuting_covariates,
)
from aam.explain.story import Compared, Story
from aam.explain.summary import ranked, summarise
from aam.options import ExplainBaseline, ExplainOptions
from aam.progress import track
from aam.scoring.measures import MAE, Measure
from aam.study.new_samples import KnownTruth
from aam.study.study import Study
from aam.study.tree import read_phylogeny

# Of which the importance is compared with that in other models: each is read as often as it has ASVs.
_COMPARED_SAMPLES = 40
# Models with shuffled weights that it is compared with: their mean is less of a chance than one.
_SHUFFLES = 3
# ASVs whose nucleotides are looked into.
_ASVS_IN_DEPTH = 4
# ASVs that some sample must have, so that there are others than those named first, and points of a curve.
_FOR_TEST, _FOR_CURVES = 3, 10
# Features of each kind that are permuted: each is read as often as samples change, and what moves no prediction loses no score.
_PERMUTED = 200
# Samples of known truth that a score is of.
_FOR_SCORE = 4

_KINDS: Mapping[Kind, str] = {"asv": "ASVs", "clade": "clades", "taxon": "taxa", "covariate": "covariates"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Explanation(Story):
    """What the predictions of some samples come from, and how far that is true of the model; see `Story` for what it holds."""

    @property
    def verdict(self) -> str:
        """One sentence: how far the ranking is true of the model, and what stands first in it."""
        return verdict_of(self)

    def write(self, folder: str | Path, facts: Mapping[str, str] | None = None) -> None:
        """Write explain.html and the tables (`aam.explain.files`) into a folder; facts: about the run, by name, for the page."""
        place = path_of("folder", folder)
        told = replace(self, facts={**self.facts, **(facts or {})})
        write_files(told, place)
        write_text(place / "explain.html", explanation_page(told))


class Model(ReaderOfCovariates, Protocol):
    """A reader that can be looked into."""

    def gradients(self, rows: np.ndarray, ids: tuple[str, ...], baseline: ExplainBaseline = "empty", show: str = "") -> Gradients:
        """Attributions by gradients of some samples, whose M ASVs are called `ids`. InputError for a model that has none."""

    def sequences(self) -> Sequences | None:
        """The same model, to be asked about other nucleotides; None where it reads none."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What is to be explained: a model on a study (reader), and which of its samples, int64 rows [n].

    column: what is predicted; novelty: of all samples of the study, or None; shuffled: the same model on the study with weights
    shuffled by a seed; truth: of the samples of the study, where it is known; measure: by which the target is scored; learned_from:
    IDs of the samples that the model learned from; covariates: that it reads, by name with their columns; fingerprint: of the
    model; keep_in: a folder for what is done, from which the same explanation goes on, or None; show: progress bars.
    """

    reader: Model
    study: Study
    column: str
    rows: np.ndarray
    novelty: np.ndarray | None = None
    shuffled: Callable[[int], Reader] | None = None
    truth: KnownTruth | None = None
    measure: Measure = MAE
    learned_from: Collection[str] = ()
    covariates: Mapping[str, Sequence[int]] = field(default_factory=dict)
    fingerprint: str = ""
    keep_in: Path | None = None
    show: bool = False

    def bar(self, what: str) -> str:
        """What a progress bar says: nothing where none is to be seen."""
        return what if self.show else ""


def explain(asked: Asked, options: ExplainOptions) -> Explanation:
    """Explain predictions: what each ASV, clade and taxon moves in each sample, what that comes to over samples, and how far it is
    true of the model.

    InputError for a taxonomy that lacks ASVs, a tree of other data, a metadata column that is not there, for gradients and
    attention of a model that has none, and where `keep_in` holds another explanation.
    """
    study, ids = asked.study, asked.study.table.feature_ids
    sequences = asked.reader.sequences()
    attending = require_attention(sequences) if options.method == "attention" else None
    phylogeny = _phylogeny(study, options)
    ranks = None if options.taxonomy is None else read_taxonomy(options.taxonomy, ids)
    rows = _drawn(asked.rows, options)
    groups, levels = (_labels(study, column, rows) for column in (options.group_column, options.confounder_column))
    kinds = [features.asvs(ids)]
    kinds += [] if phylogeny is None else [features.clades(phylogeny, ids)]
    kinds += [] if ranks is None else [features.taxa(ranks)]
    held = _held(asked, rows, options) if options.permutation else None
    kept = _kept(asked, options, kinds, rows, (groups, levels, *([] if held is None else [held.truth])))
    by_gradients = (
        kept.gradients(kinds[0], lambda: asked.reader.gradients(rows, ids, options.baseline, asked.bar("Integrating gradients")))
        if options.method == "gradients"
        else None
    )
    # Gradients are of ASVs: clades and taxa are taken out, whatever the method. Predictions are those of all members.
    found = [] if by_gradients is None else [replace(by_gradients.attributions, predicted=read_samples(asked.reader, rows).outputs)]
    found += [kept.attributions(kind, partial(_by_deletion, asked, kind, rows)) for kind in kinds[len(found) :]]
    of_asvs = found[0]
    importances = tuple(summarise(one, groups, levels, options.seed) for one in found)
    richest = np.bincount(of_asvs.sample, minlength=1).max()
    nucleotides = () if sequences is None else _nucleotides(asked, sequences, importances[0], rows, options)
    return Explanation(
        column=asked.column,
        sample_ids=study.ids(rows),
        asv_ids=ids,
        counts=asked.reader.counts[rows],
        attributions=tuple(found),
        importances=importances,
        sequences=study.sequences,
        taxonomy={} if ranks is None else {name: "; ".join(path) for name, path in zip(ids, ranks, strict=True)},
        named_first=_named_first(asked, of_asvs, groups, options),
        listed=_named_first(asked, replace(of_asvs, value=importances[0].spread[of_asvs.feature]), groups, options),
        curves=curves(asked.reader, of_asvs, groups, seed=options.seed, show=asked.bar("Drawing curves"))
        if richest >= _FOR_CURVES
        else None,
        compared=_compared(asked, of_asvs, options),
        permutations=() if held is None else _permutations(asked, importances, held, options, kept),
        gradients=by_gradients,
        attention=None if attending is None else _attention(asked, attending, of_asvs, importances[0], groups, options),
        nucleotides=nucleotides,
        aligned=None
        if sequences is None
        else aligned(sequences, importances[0], study, rows, options.seed, show=asked.bar("Exchanging nucleotides of relatives")),
        warnings=() if by_gradients is None else _about_gradients(by_gradients, nucleotides),
        confounder=options.confounder_column or "study",
        novelty=None if asked.novelty is None else asked.novelty[rows],
        learned=len(set(asked.learned_from).intersection(study.ids(rows))),
        phylogeny=phylogeny,
        facts=_facts(options, groups),
    )


def _by_deletion(asked: Asked, kind: Features, rows: np.ndarray, begun: Begun) -> Attributions:
    """InputError where no ASV moves a prediction."""
    found = by_deletion(asked.reader, kind, rows, show=asked.bar(f"Taking out {_KINDS[kind.kind]}"), begun=begun)
    if kind.kind == "asv" and not len(found.sample):
        raise InputError("each of these samples has one ASV only: nothing can be taken out of it")
    if kind.kind == "asv" and not found.value.any():
        raise InputError(
            f"the model says the same of {asked.column} whichever ASVs are taken out of these samples: nothing is to be explained"
        )
    return found


def _about_gradients(found: Gradients, nucleotides: Sequence[NucleotideEffects]) -> tuple[str, ...]:
    """What a reader must know of gradients: members that have none, and sums that do not come out."""
    sentences = []
    if found.weight < 1:
        share = f"{100 * (1 - found.weight):.0f} %"
        sentences.append(f"Members with {share} of the weight of the ensemble have no gradients, and are not explained here.")
    if found.middle < 1:
        sentences.append("The ensemble predicts by the middle of what its members say; gradients explain the mean of all of them.")
    if not found.complete.all():
        some = some_of(int((~found.complete).sum()), len(found.complete), "have gradients")
        sentences.append(f"{some} that do not add up to the difference of the predictions within 1 %.")
    if incomplete := sum(not one.complete for one in nucleotides):
        some = some_of(incomplete, len(nucleotides), "have gradients by nucleotide", "ASV")
        sentences.append(f"{some} that do not add up to the difference of the predictions within 1 %.")
    return tuple(sentences)


def _kept(asked: Asked, options: ExplainOptions, kinds: list[Features], rows: np.ndarray, labels: Iterable[object]) -> Kept:
    """Where parts of this explanation are kept, under a key of all that they come from."""
    if asked.keep_in is None:
        return Kept(None, "")
    study, counts = asked.study, asked.reader.counts
    # Where files lie changes nothing; what is in them is in the features.
    chosen = repr(replace(options, tree=None, taxonomy=None))
    parts: list[str | np.ndarray] = [__version__, asked.fingerprint, asked.column, chosen, "\n".join(study.ids(rows)), rows]
    for kind in kinds:
        parts += [kind.kind, "\n".join(kind.ids), kind.asvs.indptr, kind.asvs.indices]
    parts += [np.asarray(part, dtype=np.str_) for part in labels if part is not None]
    parts += [counts.indptr, counts.indices, counts.data, study.asv_tokens]
    parts += [] if asked.reader.design is None else [asked.reader.design]
    kept = Kept(asked.keep_in, key_of(parts))
    kept.check()
    return kept


def _held(asked: Asked, rows: np.ndarray, options: ExplainOptions) -> Held:
    """The explained samples whose truth is known, with the levels of the confounder, within which reads are permuted."""
    if asked.truth is None:
        raise InputError(f"`permutation`: the metadata have no column {asked.column}, with the true values; leave it out")
    known = np.isin(asked.truth.rows, rows)
    samples = asked.truth.rows[known]
    if len(samples) < _FOR_SCORE:
        raise InputError(
            f"`permutation`: {counted(len(samples), 'sample')} with a true value in column {asked.column}; leave it out"
        )
    groups, levels = (_labels(asked.study, column, samples) for column in (options.group_column, options.confounder_column))
    return Held(samples, asked.truth.values[known], groups, levels)


def _permutations(
    asked: Asked, importances: Iterable[Importance], held: Held, options: ExplainOptions, kept: Kept
) -> tuple[PermutationImportance, ...]:
    """What the score of the held samples loses, for the features of each kind that matter most."""
    permuted = partial(by_permutation, repeats=options.permutation_repeats, seed=options.seed, show=asked.bar("Permuting"))

    def of(importance: Importance) -> PermutationImportance:
        first, whole = np.sort(ranked(importance)[:_PERMUTED]), importance.features
        found = partial(permuted, asked.reader, whole.some(first), held, asked.measure)
        return kept.permutation(whole, first, asked.measure, lambda begun: found(begun=begun))

    found = [of(importance) for importance in importances]
    if asked.covariates:
        times = {"repeats": options.permutation_repeats, "seed": options.seed}
        found.append(by_permuting_covariates(asked.reader, asked.covariates, held, asked.measure, **times))
    return tuple(found)


def _nucleotides(
    asked: Asked, model: Sequences, importance: Importance, rows: np.ndarray, options: ExplainOptions
) -> tuple[NucleotideEffects, ...]:
    """Of the ASVs that matter most, on the output on which each acts most; of a transformer by gradients if they are asked for."""
    found = []
    first = ranked(importance)[:_ASVS_IN_DEPTH]
    for asv in track(first.tolist(), asked.bar("Exchanging nucleotides"), len(first)):
        output, tokens = int(importance.spread[asv].argmax()), asked.study.asv_tokens[asv]
        effects = effects_of(model, asv, tokens, samples_with(model.counts, asv, rows), output)
        if options.method == "gradients" and isinstance(model, TransformerSequences):
            effects = with_gradients(model, effects, tokens, output)
        found.append(effects)
    return tuple(found)


def _attention(
    asked: Asked,
    model: TransformerSequences,
    deletion: Attributions,
    importance: Importance,
    groups: np.ndarray | None,
    options: ExplainOptions,
) -> Attended:
    """How much the model attends to the ASVs of each sample, and to the nucleotides of those that matter most."""
    first = ranked(importance)[:_ASVS_IN_DEPTH]
    tokens = asked.study.asv_tokens
    found = attended_in(model, deletion, first, tokens, groups, seed=options.seed, show=asked.bar("Attention"))
    return replace(found, moved=_named_first(asked, found.attributions, groups, options))


def _named_first(asked: Asked, found: Attributions, groups: np.ndarray | None, options: ExplainOptions) -> NamedFirst | None:
    """What taking out the ASVs named first does; None where no sample has enough of them."""
    if np.bincount(found.sample, minlength=1).max() < _FOR_TEST:
        return None
    return named_first(asked.reader, found, groups, seed=options.seed, show=asked.bar("Testing the ranking"))


def _compared(asked: Asked, found: Attributions, options: ExplainOptions) -> tuple[Compared, ...]:
    """The importance of ASVs beside that in the same model with shuffled weights, which knows nothing, and in the other method.

    Of a model with shuffled weights only the ASVs that it knows are looked at: which these are was not shuffled.
    """
    number = min(len(found.samples), _COMPARED_SAMPLES)
    places = np.sort(np.random.default_rng(options.seed).permutation(len(found.samples))[:number])
    own, counts = _part(found, places), asked.reader.counts[found.samples[places]]
    mine = summarise(own, seed=options.seed)

    def beside(reader: Reader, among: np.ndarray | None = None) -> Agreement:
        other = by_deletion(reader, found.features, own.samples, show=asked.bar("Comparing with another model"))
        return agreement(mine, summarise(other, seed=options.seed), counts, among)

    others = []
    if asked.shuffled is not None:
        seeds = range(options.seed, options.seed + _SHUFFLES)
        shuffled = mean_of([beside(asked.shuffled(seed), asked.reader.known) for seed in seeds])
        what = f"this model and itself with shuffled weights, mean of {_SHUFFLES} shuffles"
        others.append(Compared(what, "near 0 in direction and beside amount", shuffled, shuffled=True))
    if options.method == "gradients":
        others.append(Compared("gradients and taking ASVs out", "high", beside(asked.reader)))
    return tuple(others)


def _part(found: Attributions, places: np.ndarray) -> Attributions:
    """Attributions of some of their samples, int64 [m], rising."""
    kept = np.isin(found.sample, places)
    some = {name: getattr(found, name)[kept] for name in ("feature", "value", "low", "high")}
    sample = np.searchsorted(places, found.sample[kept])
    return replace(found, samples=found.samples[places], sample=sample, predicted=found.predicted[places], **some)


def rows_of(study: Study, samples: Collection[str] | None) -> np.ndarray:
    """Rows of samples, int64 [n], in the order of the table; all without any. InputError for one that is not there."""
    if samples is None:
        return study.rows
    wanted = {samples} if isinstance(samples, str) else set(samples)
    if unknown := sorted(wanted.difference(study.table.sample_ids)):
        raise InputError(f"`samples`: not in the study: {first_few(unknown)}")
    if not wanted:
        raise InputError("`samples` names no sample")
    return np.flatnonzero([sample_id in wanted for sample_id in study.table.sample_ids])


def _drawn(rows: np.ndarray, options: ExplainOptions) -> np.ndarray:
    most = options.max_samples
    if most is None or len(rows) <= most:
        return rows
    log.info("explaining %d of %d samples, drawn at random (`max_samples`)", most, len(rows))
    return np.sort(np.random.default_rng(options.seed).choice(rows, most, replace=False))


def _labels(study: Study, column: str | None, rows: np.ndarray) -> np.ndarray | None:
    labels = study.labels(column)
    return None if labels is None else labels[rows]


def _phylogeny(study: Study, options: ExplainOptions) -> Phylogeny | None:
    """The tree that is given, else that of the study's UniFrac."""
    if options.tree is not None:
        return read_phylogeny(options.tree, study.table.feature_ids, Cache(None))
    return study.distance.phylogeny if isinstance(study.distance, UniFrac) else None


def _facts(options: ExplainOptions, groups: np.ndarray | None) -> dict[str, str]:
    named = "none: each sample counts by itself" if groups is None else f"{len(set(groups)):,} of {options.group_column}"
    return {"groups": named, "seed": str(options.seed)}
