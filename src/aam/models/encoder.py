"""What every encoder of samples is, whatever it is made of."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from aam.models.asv_encoder import ASVEncoder
from aam.models.heads import Heads
from aam.models.words import WordEncoder
from aam.options import ComputeOptions

# UniFrac lies between 0 and 1; between unlike samples it is mostly above a half.
TYPICAL_DISTANCE = 0.6


class Encoder(nn.Module):
    """One embedding per sample, [B, D]: what pretraining learns and fine-tuning starts from.

    `compute` says how it runs and is no part of what it is; heads: what it tells beside distances between embeddings.
    """

    asv_encoder: ASVEncoder | WordEncoder
    heads: Heads
    compute: ComputeOptions

    @property
    def width(self) -> int:
        """D, of ASV vectors and embeddings."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def without_heads(self) -> Self:
        """The same encoder, another one, that tells nothing beside its embeddings."""
        encoder = copy.deepcopy(self)
        encoder.heads = Heads((), self.width)
        return encoder

    def learn_only(self, *, embeddings: bool, nucleotides: bool, abundances: bool, asvs_told: bool = False) -> None:
        """Freeze what no trained output depends on: optimisers and other ranks wait for no gradient of it.

        asvs_told: whether a head tells something of ASVs. Heads are always learned.
        """
        raise NotImplementedError

    def calibrate(self, asv_tokens: Tensor, asv_index: Tensor, counts: Tensor, known: Tensor | None = None) -> None:
        """Scale a fresh encoder to a batch, once, before training; arguments as for `forward`. known: tokens of ASVs whose words
        are taken, default: those of the batch.
        """
        raise NotImplementedError

    @torch.no_grad()
    def scale_to(self, asv_tokens: Tensor, asv_index: Tensor, counts: Tensor, layers: Sequence[nn.Linear]) -> None:
        """Scale `layers`, which embeddings are sums of, so that distances between these samples are as large as UniFrac's."""
        distance = float(torch.pdist(self(asv_tokens, asv_index, counts)).mean())
        for layer in layers if distance > 1e-6 else ():
            layer.weight.mul_(TYPICAL_DISTANCE / distance)

    def encode_samples(self, asv_vectors: Tensor, asv_index: Tensor, counts: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        """Samples from the vectors of ASVs [U, D], which inference computes once for a whole table -> [B, D].

        sizes: ASVs of each sample, where they are known.
        """
        raise NotImplementedError

    def forward(self, asv_tokens: Tensor, asv_index: Tensor, counts: Tensor) -> Tensor:
        """asv_tokens uint8 [U, 1 + L], asv_index int64 [B, S] into them, counts [B, S] (0 = padding) -> [B, D]."""
        return self.encode_samples(self.asv_encoder(asv_tokens), asv_index, counts)
