"""Nucleotides -> one vector per distinct ASV."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from aam.config import ModelOptions
from aam.data.sequences import Nucleotide
from aam.models.pooling import AttentionPooling
from aam.models.transformer import RotaryPositions, TransformerLayer, hide_padding

# The nucleotide head tells four letters apart: A, C, G, T.
KNOWN_NUCLEOTIDES = 4


class ASVEncoder(nn.Module):
    """Encode each distinct ASV once: tokens [U, 1 + L] -> [U, D].

    `max_bp` is the longest sequence that learned positions allow; `options.asv_chunk_size` ASVs are encoded at a time.
    """

    def __init__(self, options: ModelOptions, max_bp: int) -> None:
        super().__init__()
        width, heads = options.embedding_dim, options.attention_heads
        self.options = options
        self.token_embedding = nn.Embedding(len(Nucleotide), width, padding_idx=Nucleotide.PAD)
        rotary = options.position_encoding == "rotary"
        self.rotary = RotaryPositions(width, heads, 1 + max_bp) if rotary else None
        self.position_embedding = None if rotary else nn.Parameter(0.02 * torch.randn(1 + max_bp, width))
        self.layers = nn.ModuleList(TransformerLayer(width, heads, options.ffn_ratio) for _ in range(options.attention_layers))
        self.pooling = AttentionPooling(width, heads)
        self.nucleotide_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, KNOWN_NUCLEOTIDES))

    def forward(self, asv_tokens: Tensor) -> Tensor:
        """Whole, unmasked sequences uint8 [U, 1 + L] -> [U, D]."""
        chunks = asv_tokens.split(self.options.asv_chunk_size)
        if self.options.gradient_checkpointing and torch.is_grad_enabled():
            return torch.cat([checkpoint(self._vectors, chunk, use_reentrant=False) for chunk in chunks])
        return torch.cat([self._vectors(chunk) for chunk in chunks])

    def nucleotide_logits(self, asv_tokens: Tensor, masked_positions: Tensor) -> Tensor:
        """Logits over A, C, G, T [P, 4] at the P masked positions (bool [U, 1 + L], row by row), which the model does not see."""
        tokens = asv_tokens.masked_fill(masked_positions, Nucleotide.MASK)
        chunks = zip(tokens.split(self.options.asv_chunk_size), masked_positions.split(self.options.asv_chunk_size), strict=True)
        if self.options.gradient_checkpointing and torch.is_grad_enabled():
            return torch.cat([checkpoint(self._logits, *chunk, use_reentrant=False) for chunk in chunks])
        return torch.cat([self._logits(*chunk) for chunk in chunks])

    def _vectors(self, tokens: Tensor) -> Tensor:
        return self.pooling(self._hidden(tokens), tokens != Nucleotide.PAD)

    def _logits(self, tokens: Tensor, masked_positions: Tensor) -> Tensor:
        return self.nucleotide_head(self._hidden(tokens)[masked_positions])

    def _hidden(self, tokens: Tensor) -> Tensor:
        real = tokens != Nucleotide.PAD
        # Sequences of one length need no mask, and the fused attention is faster without.
        key_bias = None if bool(real.all()) else hide_padding(real)
        x = self.token_embedding(tokens.int())
        if self.position_embedding is not None:
            x = x + self.position_embedding[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x, key_bias, self.rotary)
        return x
