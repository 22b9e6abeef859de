"""Which encoder it is that options describe."""

from __future__ import annotations

from collections.abc import Sequence

from aam.models.clades import CladeEncoder
from aam.models.encoder import Encoder
from aam.models.heads import Head
from aam.models.sequence_encoder import SequenceEncoder
from aam.options import DEFAULT_COMPUTE, ComputeOptions, ModelOptions


def make_encoder(
    options: ModelOptions, max_bp: int, compute: ComputeOptions = DEFAULT_COMPUTE, heads: Sequence[Head] = ()
) -> Encoder:
    """A fresh encoder of clades, where there are some, or the transformer; max_bp: letters of the longest sequence."""
    if options.clades:
        return CladeEncoder(options, compute, heads)
    return SequenceEncoder(options, max_bp, compute, heads)


def transformer(encoder: Encoder) -> SequenceEncoder:
    """An encoder that is known to be the transformer: what masks is learned by no other."""
    assert isinstance(encoder, SequenceEncoder)
    return encoder
