"""What the models learn from: predictions beside their truth, and the losses between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aam.config import LossType, PretrainObjectives
from aam.data.dataset import Batch
from aam.data.sequences import Nucleotide
from aam.models import SequenceEncoder
from aam.models.masking import mask_abundances, mask_nucleotides
from aam.models.sample_sequence_encoder import abundance_targets

# The sample path encodes whole sequences, as inference does; this share of a batch's ASVs is encoded once more with masks.
MASKED_ASVS = 0.25


@dataclass(frozen=True)
class Paired:
    """Predictions [P] beside their truth [P]: distances of pairs of samples, log abundances of masked ASVs."""

    predicted: Tensor
    true: Tensor


@dataclass(frozen=True)
class MaskedNucleotides:
    """Cross-entropy summed over the masked positions; their logits over A, C, G, T [P, 4] without gradients, true letters 0-3 [P]
    and positions in the sequence [P].
    """

    loss: Tensor
    logits: Tensor
    letters: Tensor
    positions: Tensor


@dataclass(frozen=True)
class SelfSupervised:
    """The outcome of the label-free objectives on one batch; None where the objective's weight is 0.

    embedding: [B, D], None where no objective and no head needs it.
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
    encoder: SequenceEncoder, asv_tokens: Tensor, options: PretrainObjectives, generator: torch.Generator | None
) -> MaskedNucleotides:
    """Hide nucleotides in a random share of the distinct ASVs uint8 [U, 1 + L] and predict them."""
    number = max(1, round(MASKED_ASVS * len(asv_tokens)))
    chosen = torch.rand(len(asv_tokens), device=asv_tokens.device, generator=generator).topk(number).indices
    tokens = asv_tokens[chosen]
    masked = mask_nucleotides(tokens, options.nuc_mask_ratio, options.nuc_mask_strategy, generator)
    loss, logits = encoder.asv_encoder.masked_nucleotides(tokens, masked)
    return MaskedNucleotides(loss, logits, tokens[masked].long() - Nucleotide.A, masked.nonzero()[:, 1])


def self_supervised(
    encoder: SequenceEncoder,
    distance: nn.Module | None,
    batch: Batch,
    options: PretrainObjectives,
    generator: torch.Generator | None = None,
    embed: bool = False,
) -> SelfSupervised:
    """Run the objectives whose weight is above 0; `generator` fixes the masks (validation).

    Whole sequences are encoded and samples embedded only for an objective, or where a head wants it (`embed`).
    """
    embedding = pairs = nucleotides = abundances = None
    learns_distances = distance is not None and options.penalty > 0
    # First, before anything is kept for the backward pass: of this nothing is.
    if options.nuc_penalty > 0:
        nucleotides = predict_masked_nucleotides(encoder, batch.asv_tokens, options, generator)
    if embed or learns_distances or options.count_penalty > 0:
        vectors = encoder.asv_encoder(batch.asv_tokens)
    if embed or learns_distances:
        embedding = encoder.encode_samples(vectors, batch.asv_index, batch.counts)
    if distance is not None and embedding is not None and learns_distances:
        pairs = sample_pairs(embedding, distance(batch.columns, batch.counts, batch.sample_index))
    if options.count_penalty > 0:
        masked = mask_abundances(batch.counts > 0, options.nuc_mask_ratio, generator)
        predicted = encoder.sample_encoder.abundances(vectors, batch.asv_index, batch.counts, masked)
        abundances = Paired(predicted.float(), abundance_targets(batch.counts, masked))
    return SelfSupervised(embedding, pairs, nucleotides, abundances)


def paired_loss(paired: Paired) -> Tensor:
    """Mean squared error, 0 when there is nothing to compare (a batch of one sample has no pairs)."""
    return (paired.predicted - paired.true).square().sum() / max(1, len(paired.true))


def nucleotide_loss(nucleotides: MaskedNucleotides) -> Tensor:
    """Cross-entropy at masked positions only, in nats; 0 when none was masked."""
    return nucleotides.loss / max(1, len(nucleotides.letters))


def self_supervised_losses(outcome: SelfSupervised) -> dict[str, Tensor]:
    """Unweighted loss of each objective that ran."""
    losses = {}
    if outcome.pairs is not None:
        losses["unifrac"] = paired_loss(outcome.pairs)
    if outcome.nucleotides is not None:
        losses["nucleotide"] = nucleotide_loss(outcome.nucleotides)
    if outcome.abundances is not None:
        losses["count"] = paired_loss(outcome.abundances)
    return losses


def regression_loss(predicted: Tensor, true: Tensor, loss_type: LossType) -> Tensor:
    """Mean loss of a transformed target, [B] against [B]."""
    if loss_type == "mse":
        return F.mse_loss(predicted.float(), true)
    return F.l1_loss(predicted.float(), true) if loss_type == "mae" else F.huber_loss(predicted.float(), true)


def total_loss(losses: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The weighted sum: target_penalty * target + penalty * unifrac + nuc_penalty * nucleotide + count_penalty * count."""
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
