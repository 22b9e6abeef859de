"""An encoder that tells in which clades each ASV is, and embeds a sample by the clades that it has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aam.models.encoder import Encoder
from aam.models.heads import Head, Heads
from aam.models.words import WordEncoder
from aam.options import DEFAULT_COMPUTE, ComputeOptions, ModelOptions

_HIDDEN = 512
# Inputs of the layers that embed are of many clades, most of them the same in all samples; the log of a usual number of ASVs.
_SCALE, _USUAL_RICHNESS = 0.2, 4.0


class CladeEncoder(Encoder):
    """Words of an ASV -> how sure it is in each of K clades -> those that any ASV of a sample is in -> an embedding, [B, D].

    What unweighted UniFrac compares is which branches of a tree samples have. `training.clades` teaches ASVs where they are in the
    tree, which needs no samples; these learn only how much each clade counts. A new ASV is placed by its sequence.

    Attributes
    ----------
    share : Tensor
        Share of the training samples that have each clade, float [K].
    weight : Tensor
        How much a clade counts at first, float [K]: the square root of the length of the branch above it, over the mean.

    """

    asv_encoder: WordEncoder
    share: Tensor
    weight: Tensor

    def __init__(self, options: ModelOptions, compute: ComputeOptions = DEFAULT_COMPUTE, heads: Sequence[Head] = ()) -> None:
        super().__init__()
        width, clades = options.embedding_dim, options.clades
        self.compute = compute
        self.asv_encoder = WordEncoder(options, compute)
        self.widen, self.to_clades = nn.Linear(width, _HIDDEN), nn.Linear(_HIDDEN, clades)
        self.presence = nn.Linear(clades, _HIDDEN)
        self.richness = nn.Linear(1, _HIDDEN, bias=False)
        self.out = nn.Linear(_HIDDEN, width)
        self.heads = Heads(heads, width)
        self.register_buffer("share", torch.zeros(clades))
        self.register_buffer("weight", torch.ones(clades))

    @property
    def width(self) -> int:
        return self.out.out_features

    def logits(self, asv_vectors: Tensor) -> Tensor:
        """How sure each ASV [U, D] is in each clade, as log odds [U, K]."""
        return self.to_clades(F.gelu(self.widen(asv_vectors.to(self.out.weight.dtype))))

    def encode_samples(self, asv_vectors: Tensor, asv_index: Tensor, counts: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        real = counts > 0
        told = torch.sigmoid(self.logits(asv_vectors))
        # A place of padding has no clade.
        told = torch.cat([told, told.new_zeros(1, told.shape[1])])
        index = asv_index.masked_fill(~real, len(asv_vectors))
        there = F.embedding_bag(index, told, mode="max", padding_idx=len(asv_vectors)).to(self.share.dtype)
        richness = real.sum(dim=1, keepdim=True).clamp(min=1).to(there.dtype).log() - _USUAL_RICHNESS
        dtype = self.out.weight.dtype
        hidden = self.presence((_SCALE * (there - self.share) * self.weight).to(dtype)) + self.richness(
            (_SCALE * richness).to(dtype)
        )
        return self.out(F.gelu(hidden)).to(counts.dtype)

    def learn_only(self, *, embeddings: bool, nucleotides: bool, abundances: bool, asvs_told: bool = False) -> None:
        """The clades of ASVs stay as they were taught: samples alone would teach them those of the training studies by heart."""
        for part in (self.widen, self.to_clades):
            part.requires_grad_(False)
        for part in (self.presence, self.richness, self.out):
            part.requires_grad_(embeddings)

    @torch.no_grad()
    def calibrate(self, asv_tokens: Tensor, asv_index: Tensor, counts: Tensor, known: Tensor | None = None) -> None:
        """The words of a fresh encoder are those of the sequences `known`, default: of the batch."""
        self.asv_encoder.words.calibrate(asv_tokens if known is None else known)
