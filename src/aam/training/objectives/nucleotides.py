"""Masked nucleotides are told from the others of the sequence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aam.data.sequences import Nucleotide
from aam.models import SequenceEncoder
from aam.models.masking import mask_nucleotides
from aam.options import PretrainObjectives
from aam.training.step import Step

# The sample path encodes whole sequences, as inference does; this share of a batch's ASVs is encoded once more with masks.
MASKED_ASVS = 0.25


@dataclass(frozen=True)
class MaskedNucleotides:
    """Of this rank's share: cross-entropy summed over the masked positions; their logits over A, C, G, T [P, 4] without gradients,
    true letters 0-3 [P] and positions in the sequence [P].
    """

    loss: Tensor
    logits: Tensor
    letters: Tensor
    positions: Tensor


def predict_masked_nucleotides(
    encoder: SequenceEncoder, step: Step, options: PretrainObjectives, generator: torch.Generator | None
) -> MaskedNucleotides:
    """Hide nucleotides in a random share of the distinct ASVs of all ranks, and predict those of this rank's part."""
    asv_tokens = step.whole.asv_tokens
    number = max(1, round(MASKED_ASVS * len(asv_tokens)))
    chosen = torch.rand(len(asv_tokens), device=asv_tokens.device, generator=generator).topk(number).indices
    tokens = asv_tokens[chosen]
    masked = mask_nucleotides(tokens, options.nuc_mask_ratio, options.nuc_mask_strategy, generator)
    own_tokens, own_masked = step.share_of(tokens), step.share_of(masked)
    if not len(own_tokens):
        # Fewer ASVs than ranks: the model runs nonetheless, as on the other ranks, and hides nothing.
        own_tokens, own_masked = tokens[:1], torch.zeros_like(masked[:1])
    loss, logits = encoder.asv_encoder.masked_nucleotides(own_tokens, own_masked)
    return MaskedNucleotides(loss, logits, own_tokens[own_masked].long() - Nucleotide.A, own_masked.nonzero()[:, 1])


def nucleotide_loss(masked: MaskedNucleotides, step: Step) -> Tensor:
    """Cross-entropy in nats at the masked positions of all ranks; 0 where nothing was masked."""
    return step.mean(masked.loss, len(masked.letters))
