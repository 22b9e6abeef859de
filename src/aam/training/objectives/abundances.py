"""Masked abundances are told from the other ASVs of the sample."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aam.models import Encoder
from aam.models.kinds import transformer
from aam.models.masking import mask_abundances
from aam.models.sample_sequence_encoder import abundance_targets
from aam.options import LabelFreeObjectives
from aam.training.step import Step


@dataclass(frozen=True)
class MaskedAbundances:
    """Predicted log abundances of all ASVs of this rank's samples beside the true ones, [B, S], and which were masked, bool."""

    predicted: Tensor
    true: Tensor
    masked: Tensor


def predict_masked_abundances(
    encoder: Encoder, vectors: Tensor, step: Step, options: LabelFreeObjectives, generator: torch.Generator | None
) -> MaskedAbundances:
    """Hide the abundances of some ASVs in the samples of all ranks, and predict those of this rank's samples.

    vectors: [U, D] of the batch's ASVs.
    """
    batch, whole = step.own, step.whole
    masked = step.own_of(mask_abundances(whole.counts > 0, options.nuc_mask_ratio, generator))
    predicted = transformer(encoder).sample_encoder.abundances(vectors, batch.asv_index, batch.counts, masked)
    return MaskedAbundances(predicted.float(), abundance_targets(batch.counts, masked), masked)


def abundance_loss(abundances: MaskedAbundances, step: Step) -> Tensor:
    """Mean squared error of the masked log abundances of all ranks; 0 where nothing was masked."""
    errors = (abundances.predicted - abundances.true).where(abundances.masked, 0.0)
    return step.mean(errors.square().sum(), abundances.masked.sum())
