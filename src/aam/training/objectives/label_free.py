"""The objectives that need no labels, together: run on one batch, and their losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aam.models import SequenceEncoder
from aam.options import PretrainObjectives
from aam.training.objectives.abundances import MaskedAbundances, abundance_loss, predict_masked_abundances
from aam.training.objectives.nucleotides import MaskedNucleotides, hide_nucleotides, nucleotide_loss
from aam.training.objectives.unifrac import Paired, paired_loss, sample_pairs
from aam.training.step import Step


@dataclass(frozen=True)
class SelfSupervised:
    """The outcome of the label-free objectives on one batch; None where the objective's weight is 0.

    embedding: [B, D] of this rank's samples, None where no objective and no head needs it; pairs: of all ranks' samples;
    abundances: of this rank's.
    """

    embedding: Tensor | None
    pairs: Paired | None
    nucleotides: MaskedNucleotides | None
    abundances: MaskedAbundances | None


def self_supervised(
    encoder: SequenceEncoder,
    step: Step,
    options: PretrainObjectives,
    generator: torch.Generator | None = None,
    embed: bool = False,
) -> SelfSupervised:
    """Run the objectives whose weight is above 0; `generator` fixes the masks, the same on every rank.

    Whole sequences are encoded and samples embedded only for an objective, or where a head wants it (`embed`).
    """
    embedding = pairs = nucleotides = abundances = None
    distances = step.distances if options.penalty > 0 else None
    batch, asvs = step.own, encoder.asv_encoder
    embed = embed or distances is not None
    hidden = hide_nucleotides(step, options, generator) if options.nuc_penalty > 0 else None
    if hidden is not None and (embed or options.count_penalty > 0):
        vectors, *said = asvs.with_masked(batch.asv_tokens, hidden, step.whole.equal_lengths)
    elif hidden is not None:
        said = list(asvs.masked_nucleotides(hidden, step.whole.equal_lengths))
    else:
        vectors = asvs(batch.asv_tokens, batch.equal_lengths)
    if hidden is not None:
        nucleotides = MaskedNucleotides.of(hidden, *said)
    if embed:
        embedding = encoder.encode_samples(vectors, batch.asv_index, batch.counts, batch.sizes)
    if distances is not None and embedding is not None:
        pairs = sample_pairs(step.gather(embedding), distances)
    if options.count_penalty > 0:
        abundances = predict_masked_abundances(encoder, vectors, step, options, generator)
    return SelfSupervised(embedding, pairs, nucleotides, abundances)


def self_supervised_losses(outcome: SelfSupervised, step: Step) -> dict[str, Tensor]:
    """Unweighted loss of each objective that ran, over the samples of all ranks."""
    losses = {}
    if outcome.pairs is not None:
        losses["unifrac"] = paired_loss(outcome.pairs)
    if outcome.nucleotides is not None:
        losses["nucleotide"] = nucleotide_loss(outcome.nucleotides, step)
    if outcome.abundances is not None:
        losses["count"] = abundance_loss(outcome.abundances, step)
    return losses


def total_loss(losses: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The weighted sum: target_penalty * target + penalty * unifrac + nuc_penalty * nucleotide + count_penalty * count."""
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
