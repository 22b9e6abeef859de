"""The effect of each nucleotide of an ASV on predictions: of all its substitutions, for any model that reads sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
import torch
from scipy import sparse

from aam.data.sequences import Nucleotide
from aam.ensemble.catalogue import SeenTable, letters_of
from aam.ensemble.ensemble import Ensemble, said_by
from aam.ensemble.members import NEED_NO_SEQUENCE
from aam.errors import InputError
from aam.explain.links import Outputs, of_model
from aam.explain.scale import of_predictions
from aam.models.inference import embed_asvs
from aam.models.sequence_predictor import SequencePredictor

LETTERS = "ACGT"
# What a letter is set beside: an unknown one, the mean of the three others, or all four at all positions (integrated gradients).
LetterMethod = Literal["unknown letter", "other letters", "gradients"]
# Samples of an ASV that are asked about, and made-up samples that are predicted at a time.
SAMPLES, _AT_ONCE = 4, 256


class Sequences(Protocol):
    """A model of one study that can be asked what it would say if the sequence of an ASV were another one."""

    # Whether it knows an ambiguous letter as nothing seen there: a transformer was hardly ever trained on one.
    reads_ambiguous: ClassVar[bool]

    @property
    def outputs(self) -> Outputs:
        """What it predicts."""

    @property
    def counts(self) -> sparse.csr_array:
        """Of the samples of the table, CSR int64 [N, M]."""

    @property
    def vectors(self) -> np.ndarray:
        """Of the ASVs, float [M, D], as the model sees their sequences."""

    def say(self, asv: int, rows: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """With each of the sequences tokens uint8 [S, 1 + L] in the place of an ASV, in the samples `rows` [R], which have it:
        float64 [S, R, O].
        """


@dataclass(frozen=True, eq=False)
class PositionEffects:
    """What each nucleotide of an ASV adds to predictions of samples that have it; asv: its column; letters: its L nucleotides.

    by_position: float64 [L], what the letter that is there adds, by `method`: beside an unknown one (ensembles, which read words of
    it), beside the mean of the three others (transformers), or by integrated gradients from A, C, G and T in equal parts at all
    positions (transformers that are explained by gradients).
    """

    asv: int
    letters: str
    by_position: np.ndarray
    method: LetterMethod


@dataclass(frozen=True, eq=False)
class NucleotideEffects(PositionEffects):
    """The same with every exchange of a letter.

    substitutions: float64 [L, 4], what A, C, G and T in its place add to the prediction, 0 for the letter itself and all along an
    ambiguous one; rows: int64, the samples that these are means of; name and unit: of the output; complete: whether gradients add
    up to within 1 % of the difference of the predictions, True for others.
    """

    substitutions: np.ndarray
    rows: np.ndarray
    name: str
    unit: str
    complete: bool = True


def substitutions_of(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All 3 L substitutions of a sequence, tokens uint8 [1 + L]: [3 L, 1 + L], the position of each and the letter, 0 to 3."""
    known = np.flatnonzero((tokens >= Nucleotide.A) & (tokens <= Nucleotide.T))
    position, letter = (part.ravel() for part in np.meshgrid(known, np.arange(len(LETTERS)), indexing="ij"))
    other = tokens[position] != Nucleotide.A + letter
    position, letter = position[other], letter[other]
    mutants = np.tile(tokens, (len(position), 1))
    mutants[np.arange(len(position)), position] = Nucleotide.A + letter
    return mutants, position - 1, letter


def effects_of(model: Sequences, asv: int, tokens: np.ndarray, rows: np.ndarray, output: int = 0) -> NucleotideEffects:
    """The effects of the nucleotides of an ASV, tokens uint8 [1 + L], on one output, the mean over samples that have it, `rows`.

    By position an unknown letter says more than three others where words are read: each of these brings six words of its own, which
    no ASV may have. InputError for no samples.
    """
    if not len(rows):
        raise InputError(f"feature {asv + 1} of the table: none of the samples has it, so nothing can be said of its nucleotides")
    letters, (mutants, position, letter) = letters_of(tokens[None])[0], substitutions_of(tokens)
    hidden = _hidden(tokens) if model.reads_ambiguous else mutants[:0]
    change = _change(model, asv, rows, tokens, np.concatenate([mutants, hidden]), output)
    found = np.zeros((len(letters), len(LETTERS)))
    found[position, letter] = change[: len(mutants)]
    about = (found, rows, model.outputs.names[output], model.outputs.unit)
    if model.reads_ambiguous:
        return NucleotideEffects(asv, letters, -change[len(mutants) :], "unknown letter", *about)
    return NucleotideEffects(asv, letters, -found.sum(axis=1) / 3, "other letters", *about)


def by_position_of(model: Sequences, asv: int, tokens: np.ndarray, rows: np.ndarray, output: int = 0) -> PositionEffects:
    """The same by position alone, which a model that reads ambiguous letters says with a quarter of the sequences."""
    if not model.reads_ambiguous:
        return effects_of(model, asv, tokens, rows, output)
    change = _change(model, asv, rows, tokens, _hidden(tokens), output)
    return PositionEffects(asv, letters_of(tokens[None])[0], -change, "unknown letter")


def _hidden(tokens: np.ndarray) -> np.ndarray:
    """A sequence [1 + L] with each of its letters unknown, one at a time, [L, 1 + L]."""
    length = len(letters_of(tokens[None])[0])
    hidden = np.tile(tokens, (length, 1))
    hidden[np.arange(length), 1 + np.arange(length)] = Nucleotide.MASK
    return hidden


def _change(model: Sequences, asv: int, rows: np.ndarray, tokens: np.ndarray, others: np.ndarray, output: int) -> np.ndarray:
    """How much more is said of an output, the mean over samples, where other sequences [S, 1 + L] stand in for its own, [S]."""
    said = model.say(asv, rows, np.concatenate([tokens[None], others]))[:, :, output]
    return (said[1:] - said[0]).mean(axis=1)


def samples_with(counts: sparse.csr_array, asv: int, rows: np.ndarray, most: int = SAMPLES) -> np.ndarray:
    """Of the samples `rows`, at most `most` that have an ASV: those in which its share is largest."""
    some = sparse.csr_array(counts[rows])
    share = some[:, [asv]].toarray().ravel() / np.asarray(some.sum(axis=1)).ravel()
    order = np.argsort(-share, kind="stable")[:most]
    return rows[np.sort(order[share[order] > 0])]


@dataclass(frozen=True, eq=False)
class EnsembleSequences:
    """An ensemble. A changed ASV is not the known one: its identity is lost, so all sequences, the true one too, are taken as those
    of an ASV that is not known. Otherwise each substitution would have the same loss of identity added to its effect. Members that
    read no sequences (linear models, trees) say the same of all of them.
    """

    ensemble: Ensemble
    table: SeenTable
    outputs: Outputs
    reads_ambiguous: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.ensemble.catalogue.by_id:
            raise InputError("this model knows features by their IDs, not by sequences: nothing is known of nucleotides")

    @property
    def counts(self) -> sparse.csr_array:
        return self.table.counts

    @property
    def vectors(self) -> np.ndarray:
        return self.table.vectors

    def say(self, asv: int, rows: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        ensemble, catalogue = self.ensemble, self.ensemble.catalogue
        made_up = with_sequences(self.table, asv, rows, catalogue.words.vectors(tokens))
        once = np.arange(len(rows))
        members = {name: ensemble.members[name] for name, weight in ensemble.weights.items() if weight > 0}
        blind = {name: several for name, several in members.items() if name in NEED_NO_SEQUENCE}
        reading = {name: several for name, several in members.items() if name not in blind}
        calibrations = ensemble.combination.calibrations
        said = said_by(reading, made_up, np.arange(len(tokens) * len(rows)), calibrations)
        for name, part in said_by(blind, made_up, once, calibrations).items():
            said[name] = np.tile(part, (len(tokens), *[1] * (part.ndim - 1)))
        found = of_predictions(self.outputs.target.decode(ensemble.combination.of(said)))
        return found.reshape(len(tokens), len(rows), -1)


def with_sequences(table: SeenTable, asv: int, rows: np.ndarray, vectors: np.ndarray) -> SeenTable:
    """The samples `rows` [R] over and over, once for each of the vectors [S, W] that an ASV of no known identity has in its place:
    a table of S R samples, the first R with the first vector.
    """
    some = sparse.csr_array(table.counts[rows])
    used, compact = np.unique(some.indices, return_inverse=True)
    columns = np.tile(compact, (len(vectors), 1))
    changed = used[columns] == asv
    columns = np.where(changed, len(used) + np.arange(len(vectors))[:, None], columns)
    indptr = np.concatenate([[0], np.cumsum(np.tile(np.diff(some.indptr), len(vectors)))])
    shape = (len(vectors) * len(rows), len(used) + len(vectors))
    counts = sparse.csr_array((np.tile(some.data, len(vectors)), columns.ravel(), indptr), shape=shape)
    identity = np.concatenate([table.identity[used], np.zeros(len(vectors), dtype=np.int64)])
    tokens = np.full((shape[1], 1), Nucleotide.START, dtype=np.uint8)
    design = None if table.design is None else np.tile(table.design[rows], (len(vectors), 1))
    return SeenTable(counts, tokens, np.concatenate([table.vectors[used], vectors]), identity, table.known, design)


@dataclass(frozen=True, eq=False)
class TransformerSequences:
    """A transformer; vectors: float32 [M, D], what its encoder makes of the ASVs (`embed_asvs`); counts: CSR [N, M], as it reads
    them; design: float32 [N, K] of the covariates that it takes.
    """

    model: SequencePredictor
    vectors: np.ndarray
    counts: sparse.csr_array
    outputs: Outputs
    design: np.ndarray | None = None
    reads_ambiguous: ClassVar[bool] = False

    def say(self, asv: int, rows: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        given = embed_asvs(self.model.base_model.asv_encoder, tokens)
        return np.stack([self._say_of(asv, int(row), given) for row in rows], axis=1)

    @torch.no_grad()
    def _say_of(self, asv: int, row: int, given: torch.Tensor) -> np.ndarray:
        """Of one sample, with each of the vectors [S, D] in the place of the ASV, [S, O]."""
        here = slice(*self.counts.indptr[row : row + 2])
        columns = self.counts.indices[here]
        vectors = torch.cat([torch.tensor(self.vectors[columns], device=given.device), given])
        counts = torch.tensor(self.counts.data[here].astype(np.float32), device=given.device)
        index = torch.arange(len(columns), device=given.device).expand(len(given), -1).clone()
        index[:, int(np.flatnonzero(columns == asv)[0])] = len(columns) + torch.arange(len(given), device=given.device)
        beside = None if self.design is None else torch.tensor(self.design[row], device=given.device)
        link, found = of_model(self.outputs.target), []
        for part in index.split(_AT_ONCE):
            embedded = self.model.base_model.encode_samples(vectors, part, counts.expand(len(part), -1))
            found.append(link(self.model.head(embedded, None if beside is None else beside.expand(len(part), -1)).double()))
        return torch.cat(found).cpu().numpy()
