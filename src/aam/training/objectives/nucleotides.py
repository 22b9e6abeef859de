"""Masked nucleotides are told from the others of the sequence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aam.models.masking import NO_LETTER, HiddenNucleotides, hide, mask_nucleotides, most_masked
from aam.options import LabelFreeObjectives
from aam.training.step import Step

# The sample path encodes whole sequences, as inference does; this share of a batch's ASVs is encoded once more with masks, and so
# many where there are few.
MASKED_ASVS, _FEWEST_MASKED = 0.125, 32


@dataclass(frozen=True)
class MaskedNucleotides:
    """Of this rank's share: cross-entropy summed over the masked positions; their logits over A, C, G, T [P, 4] without gradients,
    true letters 0-3 [P] (`NO_LETTER` for a place that hides none) and positions in the sequence [P].
    """

    loss: Tensor
    logits: Tensor
    letters: Tensor
    positions: Tensor

    @classmethod
    def of(cls, hidden: HiddenNucleotides, loss: Tensor, logits: Tensor) -> MaskedNucleotides:
        """What an encoder says of hidden nucleotides."""
        return cls(loss, logits, hidden.letters.flatten(), hidden.places.flatten())


def hide_nucleotides(step: Step, options: LabelFreeObjectives, generator: torch.Generator | None) -> HiddenNucleotides:
    """Hide nucleotides in a random share of the distinct ASVs of all ranks: those of this rank's part."""
    asv_tokens = step.whole.asv_tokens
    number = min(len(asv_tokens), max(_FEWEST_MASKED, round(MASKED_ASVS * len(asv_tokens))))
    chosen = torch.rand(len(asv_tokens), device=asv_tokens.device, generator=generator).topk(number).indices
    tokens = asv_tokens[chosen]
    masked = mask_nucleotides(tokens, options.nuc_mask_ratio, options.nuc_mask_strategy, generator)
    own_tokens, own_masked = step.share_of(tokens), step.share_of(masked)
    if not len(own_tokens):
        # Fewer ASVs than ranks: the model runs nonetheless, as on the other ranks, and hides nothing.
        own_tokens, own_masked = tokens[:1], torch.zeros_like(masked[:1])
    return hide(own_tokens, own_masked, most_masked(tokens.shape[1] - 1, options.nuc_mask_ratio))


def nucleotide_loss(masked: MaskedNucleotides, step: Step) -> Tensor:
    """Cross-entropy in nats at the masked positions of all ranks; 0 where nothing was masked."""
    return step.mean(masked.loss, (masked.letters != NO_LETTER).sum())
