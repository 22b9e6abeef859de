"""The objectives that need no labels, together: run on one batch, and their losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from aam.models import Encoder
from aam.models.kinds import transformer
from aam.options import LabelFreeObjectives
from aam.training.objectives.abundances import MaskedAbundances, abundance_loss, predict_masked_abundances
from aam.training.objectives.encoder_type import Encoded, EncoderType, Told
from aam.training.objectives.nucleotides import MaskedNucleotides, hide_nucleotides, nucleotide_loss
from aam.training.step import Step


@dataclass(frozen=True)
class SelfSupervised:
    """The outcome of the label-free objectives on one batch; None where the objective's weight is 0.

    embedding: [B, D] of this rank's samples, None where no objective and no head needs it; told: by encoder type, of all ranks'
    samples; abundances: of this rank's.
    """

    embedding: Tensor | None
    nucleotides: MaskedNucleotides | None
    abundances: MaskedAbundances | None
    told: Mapping[str, Told] = field(default_factory=dict)


def self_supervised(
    encoder: Encoder,
    step: Step,
    options: LabelFreeObjectives,
    taught: Sequence[EncoderType] = (),
    generator: torch.Generator | None = None,
    embed: bool = False,
) -> SelfSupervised:
    """Run the objectives whose weight is above 0, and what the encoder is `taught`; `generator` fixes the masks, the same on every
    rank.

    Whole sequences are encoded and samples embedded only for an objective, or where a head wants it (`embed`).
    """
    embedding = nucleotides = abundances = None
    batch = step.own
    embed = embed or any(kind.of_samples for kind in taught)
    hidden = hide_nucleotides(step, options, generator) if options.nuc_penalty > 0 else None
    whole = embed or bool(taught) or options.count_penalty > 0
    if hidden is not None and whole:
        vectors, *said = transformer(encoder).asv_encoder.with_masked(batch.asv_tokens, hidden, step.whole.equal_lengths)
    elif hidden is not None:
        said = list(transformer(encoder).asv_encoder.masked_nucleotides(hidden, step.whole.equal_lengths))
    else:
        vectors = encoder.asv_encoder(batch.asv_tokens, batch.equal_lengths)
    if hidden is not None:
        nucleotides = MaskedNucleotides.of(hidden, *said)
    if embed:
        embedding = encoder.encode_samples(vectors, batch.asv_index, batch.counts, batch.sizes)
    told = {kind.name: kind.tell(encoder, Encoded(vectors, embedding), step) for kind in taught}
    if options.count_penalty > 0:
        abundances = predict_masked_abundances(encoder, vectors, step, options, generator)
    return SelfSupervised(embedding, nucleotides, abundances, told)


def self_supervised_losses(outcome: SelfSupervised, step: Step) -> dict[str, Tensor]:
    """Unweighted loss of each objective that ran, over the samples of all ranks."""
    losses = {name: told.loss for name, told in outcome.told.items()}
    if outcome.nucleotides is not None:
        losses["nucleotide"] = nucleotide_loss(outcome.nucleotides, step)
    if outcome.abundances is not None:
        losses["count"] = abundance_loss(outcome.abundances, step)
    return losses


def weights_of(options: LabelFreeObjectives, taught: Sequence[EncoderType]) -> dict[str, float]:
    """The weight of each loss."""
    heads = {kind.name: options.penalty * kind.weight for kind in taught}
    return {**heads, "nucleotide": options.nuc_penalty, "count": options.count_penalty}


def total_loss(losses: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The weighted sum of all losses."""
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
