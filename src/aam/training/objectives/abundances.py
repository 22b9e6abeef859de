"""Masked abundances are told from the other ASVs of the sample."""

from __future__ import annotations

import torch
from torch import Tensor

from aam.models import SequenceEncoder
from aam.models.masking import mask_abundances
from aam.models.sample_sequence_encoder import abundance_targets
from aam.options import PretrainObjectives
from aam.training.objectives.unifrac import Paired
from aam.training.step import Step


def predict_masked_abundances(
    encoder: SequenceEncoder, vectors: Tensor, step: Step, options: PretrainObjectives, generator: torch.Generator | None
) -> Paired:
    """Hide the abundances of some ASVs in the samples of all ranks, and predict those of this rank's samples.

    vectors: [U, D] of the batch's ASVs. Returns log abundances of the masked ASVs.
    """
    batch, whole = step.own, step.whole
    masked = step.own_of(mask_abundances(whole.counts > 0, options.nuc_mask_ratio, generator))
    predicted = encoder.sample_encoder.abundances(vectors, batch.asv_index, batch.counts, masked)
    return Paired(predicted.float(), abundance_targets(batch.counts, masked))


def abundance_loss(abundances: Paired, step: Step) -> Tensor:
    """Mean squared error of the masked log abundances of all ranks; 0 where nothing was masked."""
    errors = abundances.predicted - abundances.true
    return step.mean(errors.square().sum(), len(errors))
