"""What the models learn from: predictions beside their truth, and the losses between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aam.config import LossType, PretrainObjectives
from aam.data.sequences import Nucleotide
from aam.models import SequenceEncoder
from aam.models.masking import mask_abundances, mask_nucleotides
from aam.models.sample_sequence_encoder import abundance_targets
from aam.training.step import Step

# The sample path encodes whole sequences, as inference does; this share of a batch's ASVs is encoded once more with masks.
MASKED_ASVS = 0.25


@dataclass(frozen=True)
class Paired:
    """Predictions [P] beside their truth [P]: distances of pairs of samples, log abundances of masked ASVs."""

    predicted: Tensor
    true: Tensor


@dataclass(frozen=True)
class MaskedNucleotides:
    """Of this rank's share: cross-entropy summed over the masked positions; their logits over A, C, G, T [P, 4] without gradients,
    true letters 0-3 [P] and positions in the sequence [P].
    """

    loss: Tensor
    logits: Tensor
    letters: Tensor
    positions: Tensor


@dataclass(frozen=True)
class SelfSupervised:
    """The outcome of the label-free objectives on one batch; None where the objective's weight is 0.

    embedding: [B, D] of this rank's samples, None where no objective and no head needs it; pairs: of all ranks' samples;
    abundances: of this rank's.
    """

    embedding: Tensor | None
    pairs: Paired | None
    nucleotides: MaskedNucleotides | None
    abundances: Paired | None


def sample_pairs(embedding: Tensor, distances: Tensor) -> Paired:
    """Euclidean distances between embeddings [B, D] beside the true ones [B, B], of the B (B - 1) / 2 pairs."""
    first, second = torch.triu_indices(len(embedding), len(embedding), offset=1, device=embedding.device)
    embedding = embedding.float()
    predicted = torch.linalg.vector_norm(embedding[first] - embedding[second], dim=1)
    return Paired(predicted, distances[first, second].float())


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


def self_supervised(
    encoder: SequenceEncoder,
    distance: nn.Module | None,
    step: Step,
    options: PretrainObjectives,
    generator: torch.Generator | None = None,
    embed: bool = False,
) -> SelfSupervised:
    """Run the objectives whose weight is above 0; `generator` fixes the masks, the same on every rank.

    Whole sequences are encoded and samples embedded only for an objective, or where a head wants it (`embed`).
    """
    embedding = pairs = nucleotides = abundances = None
    learns_distances = distance is not None and options.penalty > 0
    batch, whole = step.own, step.whole
    # First, before anything is kept for the backward pass: of this nothing is.
    if options.nuc_penalty > 0:
        nucleotides = predict_masked_nucleotides(encoder, step, options, generator)
    if embed or learns_distances or options.count_penalty > 0:
        vectors = encoder.asv_encoder(batch.asv_tokens)
    if embed or learns_distances:
        embedding = encoder.encode_samples(vectors, batch.asv_index, batch.counts)
    if distance is not None and embedding is not None and learns_distances:
        pairs = sample_pairs(step.gather(embedding), distance(whole.columns, whole.counts, whole.sample_index))
    if options.count_penalty > 0:
        masked = step.own_of(mask_abundances(whole.counts > 0, options.nuc_mask_ratio, generator))
        predicted = encoder.sample_encoder.abundances(vectors, batch.asv_index, batch.counts, masked)
        abundances = Paired(predicted.float(), abundance_targets(batch.counts, masked))
    return SelfSupervised(embedding, pairs, nucleotides, abundances)


def paired_loss(paired: Paired) -> Tensor:
    """Mean squared error, 0 when there is nothing to compare (a batch of one sample has no pairs)."""
    return (paired.predicted - paired.true).square().sum() / max(1, len(paired.true))


def self_supervised_losses(outcome: SelfSupervised, step: Step) -> dict[str, Tensor]:
    """Unweighted loss of each objective that ran, over the samples of all ranks.

    Of masked nucleotides cross-entropy in nats, and of abundances the mean squared error, at masked positions only; 0 where nothing
    was masked.
    """
    losses = {}
    if outcome.pairs is not None:
        losses["unifrac"] = paired_loss(outcome.pairs)
    if outcome.nucleotides is not None:
        losses["nucleotide"] = _mean(outcome.nucleotides.loss, len(outcome.nucleotides.letters), step)
    if outcome.abundances is not None:
        errors = outcome.abundances.predicted - outcome.abundances.true
        losses["count"] = _mean(errors.square().sum(), len(errors), step)
    return losses


def _mean(part: Tensor, number: int, step: Step) -> Tensor:
    """The mean over all ranks, from a sum over `number` values of this one."""
    return step.total(part) / step.total(torch.tensor(number, device=part.device)).clamp(min=1)


_REGRESSION_LOSSES: dict[LossType, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}


def regression_loss(predicted: Tensor, true: Tensor, loss_type: LossType) -> Tensor:
    """Loss of a transformed target, [B] against [B], summed."""
    return _REGRESSION_LOSSES[loss_type](predicted.float(), true, reduction="sum")


def total_loss(losses: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The weighted sum: target_penalty * target + penalty * unifrac + nuc_penalty * nucleotide + count_penalty * count."""
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
