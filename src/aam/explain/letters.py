"""Gradients in the nucleotides of an ASV, for a transformer: each position goes from any letter to the one that is there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aam.data.sequences import Nucleotide
from aam.explain.gated import GatedLevel, Sample, encoder_of
from aam.explain.integration import Integrated, integrate
from aam.explain.links import of_model
from aam.explain.nucleotides import LETTERS, NucleotideEffects, TransformerSequences
from aam.models.asv_encoder import ASVEncoder

_VOCABULARY = len(Nucleotide)
# Letters that are seen before and after a position.
_AROUND = 3


@dataclass(frozen=True, eq=False)
class SoftAsv:
    """An ASV encoder on mixtures of letters. What it looks up by letter or by word is averaged by the probabilities of letters, so
    that gradients belong to letters and not to the words that overlap there; of whole letters it is the encoder itself.
    """

    encoder: ASVEncoder

    def __call__(self, letters: Tensor) -> Tensor:
        """Probabilities of the tokens [S, 1 + L, 7] -> vectors [S, D]."""
        encoder, context = self.encoder, self.encoder.context
        padding = F.one_hot(letters.new_full((1, 1), Nucleotide.PAD).long(), _VOCABULARY).to(letters.dtype)
        padding = padding.expand(len(letters), _AROUND, -1)
        padded = torch.cat([padding, letters, padding], dim=1)
        first, second, third = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
        words = torch.einsum("sta,stb,stc->stabc", first, second, third).flatten(2)
        around = words[:, : -_AROUND - 1] @ context.before.weight + words[:, _AROUND + 1 :] @ context.after.weight
        x = letters @ encoder.token_embedding.weight + F.gelu(around + letters @ context.centre.weight)
        if encoder.position_embedding is not None:
            x = x + encoder.position_embedding[: letters.shape[1]]
        for layer in encoder.layers:
            x = layer(x, None, encoder.rotary)
        pooled = encoder.pooling(x)
        known = encoder.words
        return pooled if known is None else known.beside(pooled, known.of_mixtures(letters))


def with_gradients(
    sequences: TransformerSequences, effects: NucleotideEffects, tokens: np.ndarray, output: int
) -> NucleotideEffects:
    """The effects of the nucleotides of an ASV, tokens uint8 [1 + L], on an output, by position by gradients. InputError without
    captum.
    """
    found = gradients_by_position(sequences, effects.asv, tokens, effects.rows, output)
    return replace(effects, by_position=found.values, method="gradients", complete=found.complete)


def gradients_by_position(
    sequences: TransformerSequences, asv: int, tokens: np.ndarray, rows: np.ndarray, output: int = 0
) -> Integrated:
    """Integrated gradients of an output, of the mean prediction of samples that have an ASV, `rows`, by position of its sequence,
    tokens uint8 [1 + L]: `values` [L], of what each letter adds beside a mixture of A, C, G and T in equal parts at all positions;
    0 for an ambiguous letter. InputError without captum.
    """
    model, base = sequences.model, encoder_of(sequences.model)
    device = base.device
    real = torch.tensor(tokens[tokens != Nucleotide.PAD].astype(np.int64), device=device)
    whole = F.one_hot(real, _VOCABULARY).float()
    known = (real >= Nucleotide.A) & (real <= Nucleotide.T)
    mixed = whole.clone()
    mixed[known, Nucleotide.A : Nucleotide.T + 1] = 1 / len(LETTERS)
    mixed[known, Nucleotide.T + 1 :] = 0.0
    encoder, link = SoftAsv(base.asv_encoder), of_model(sequences.outputs.target)
    vectors = torch.tensor(sequences.vectors, device=device)
    samples = [_Replaced.of(sequences, vectors, asv, int(row)) for row in rows]

    def said(letters: Tensor) -> Tensor:
        given = encoder(letters)
        return torch.stack([link(model.head(*sample(given)).double())[:, [output]] for sample in samples]).mean(dim=0)

    heads, length = base.pooling.heads, len(real)
    words = len(LETTERS) ** base.asv_encoder.options.word_length
    size = length * (_VOCABULARY**3 + words + heads * length) + sum(len(sample.gated.entering) ** 2 * heads for sample in samples)
    found = integrate(said, mixed, whole, size)
    return replace(found, values=found.values[1:].sum(axis=(1, 2)))


@dataclass(frozen=True, eq=False)
class _Replaced:
    """A sample in which other vectors take the place of an ASV."""

    gated: GatedLevel
    place: int
    abundance: Tensor
    design: Tensor | None

    @classmethod
    def of(cls, sequences: TransformerSequences, vectors: Tensor, asv: int, row: int) -> _Replaced:
        sample = Sample.of(sequences.counts, row, vectors.device)
        gated = GatedLevel.of(encoder_of(sequences.model), vectors, sample)
        place = int((sample.columns == asv).nonzero()[0, 0])
        design = None if sequences.design is None else torch.tensor(sequences.design[row], device=vectors.device)
        return cls(gated, place, gated.entering[place] - vectors[asv], design)

    def __call__(self, given: Tensor) -> tuple[Tensor, Tensor | None]:
        """Vectors [S, D] -> embeddings [S, D], and covariates."""
        design = None if self.design is None else self.design.expand(len(given), -1)
        return self.gated.replaced(self.place, given + self.abundance), design
