"""A small encoder, and batches for it."""

import torch

from aam.data.sequences import Nucleotide
from aam.models import SequenceEncoder
from aam.options import ComputeOptions, ModelOptions

IN_CHUNKS = ComputeOptions(asv_chunk_size=3)


def make_encoder(compute: ComputeOptions = IN_CHUNKS, **options) -> SequenceEncoder:
    torch.manual_seed(0)
    defaults = {"embedding_dim": 16, "attention_heads": 2, "dropout": 0.0}
    encoder = SequenceEncoder(ModelOptions(**{**defaults, **options}), max_bp=20, compute=compute)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():  # biases and multiples start at special values that would hide mistakes
            if "words" not in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
        if encoder.asv_encoder.words is not None:
            encoder.asv_encoder.words.table.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    return encoder.double()


def make_batch(seed: int, distinct: int, samples: int, asvs: int, mixed_lengths: bool):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, 5, (distinct, 13), generator=generator, dtype=torch.uint8)
    tokens[:, 0] = Nucleotide.START
    if mixed_lengths:
        for row in range(distinct):
            tokens[row, 2 + int(torch.randint(0, 12, (1,), generator=generator)) :] = Nucleotide.PAD
    index = torch.randint(0, distinct, (samples, asvs), generator=generator)
    counts = torch.randint(0, 50, (samples, asvs), generator=generator).double()
    counts[:, 0] += 1
    return tokens, index, counts
