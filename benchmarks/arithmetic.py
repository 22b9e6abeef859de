"""How much arithmetic a model has to do, counted from shapes."""

from __future__ import annotations

import numpy as np

from aam.data.sequences import Nucleotide
from aam.options import ModelOptions

# A backward pass computes two products for each one of the forward pass: the gradients of its two factors.
FORWARD_AND_BACKWARD = 3


def layers_flops(options: ModelOptions, lengths: np.ndarray) -> float:
    """Forward pass of a stack of transformer layers over sets of `lengths` positions; see `forward_flops`."""
    width, hidden = options.embedding_dim, round(options.embedding_dim * options.ffn_ratio)
    per_position = 2 * width * 3 * width + 2 * width * width + 2 * 2 * width * hidden
    positions, pairs = float(lengths.sum()), float(np.square(lengths.astype(np.float64)).sum())
    return options.attention_layers * (per_position * positions + 2 * 2 * width * pairs)


def pooling_flops(options: ModelOptions, lengths: np.ndarray) -> float:
    """Forward pass of attention pooling of sets of `lengths` positions to one vector each; see `forward_flops`."""
    width = options.embedding_dim
    per_position = 2 * width * options.attention_heads + 2 * width * width + 2 * width
    return per_position * float(lengths.sum()) + 2 * width * width * len(lengths)


def masked_flops(options: ModelOptions, asv_positions: np.ndarray, share: float, mask_ratio: float) -> float:
    """Forward pass of the masked-nucleotide objective: a `share` of the ASVs goes through the layers again; see `forward_flops`."""
    letters = float((asv_positions - 1).sum())
    return share * (layers_flops(options, asv_positions) + 2 * options.embedding_dim * 4 * mask_ratio * letters)


def forward_flops(options: ModelOptions, asv_positions: np.ndarray, sample_sizes: np.ndarray) -> float:
    """Useful floating-point operations of one forward pass of `SequenceEncoder`: what no implementation can do without.

    asv_positions: positions of each distinct ASV (its nucleotides and START), [U]; sample_sizes: ASVs of each sample, [B]. Padding,
    repeats and the channels that carry the attention bias do not count, nor does anything but products of matrices.

    With D the width, H the hidden width of the feed-forward layers and N heads, over T positions:

    - a linear layer from m to n: 2 m n T; attention: 2 T T D for the logits and as much for the weighted values;
    - a transformer layer: T (6 D D + 2 D D + 4 D H) + 4 T T D;
    - pooling: T (2 D N + 2 D D + 2 D) + 2 D D.

    Each ASV costs its layers and a pooling, and so does each sample, with 2 D + 4 D D more for each of its ASVs (abundance, and the
    values of max pooling) and 2 D + 2 D D for itself (richness, and the output of max pooling).
    """
    width = options.embedding_dim
    asvs = layers_flops(options, asv_positions) + pooling_flops(options, asv_positions)
    samples = layers_flops(options, sample_sizes) + pooling_flops(options, sample_sizes)
    occurrences = (2 * width + 4 * width * width) * float(sample_sizes.sum())
    return asvs + samples + occurrences + (2 * width + 2 * width * width) * len(sample_sizes)


def encode_asvs_flops(options: ModelOptions, asv_positions: np.ndarray) -> float:
    """Forward pass of the ASV encoder alone; see `forward_flops`."""
    return layers_flops(options, asv_positions) + pooling_flops(options, asv_positions)


def positions_of(asv_tokens: np.ndarray) -> np.ndarray:
    """Positions of each ASV that are not padding, [U], from tokens [U, 1 + L]."""
    return np.count_nonzero(asv_tokens != Nucleotide.PAD, axis=1)
