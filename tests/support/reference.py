"""The slow, obvious model that the fast one must equal: every sample padded, every occurrence of an ASV encoded, one by one.

It shares the parameters of the fast model and nothing of its arithmetic: attention is written out with a mask, repeats are encoded
again, and every sample is computed alone and padded to a fixed size.
"""

import torch
from skbio import TreeNode
from torch import Tensor

from aam.data.sequences import Nucleotide
from aam.models import SequenceEncoder


def _attention(layer, x: Tensor, logit_bias: Tensor, visible: Tensor, angles: Tensor | None) -> Tensor:
    """x [T, D], logit_bias [H, T] added per key, visible bool [T]."""
    heads = layer.attention.heads
    width = x.shape[1] // heads
    normed = layer.attention_norm(x)
    q, k, v = layer.attention.qkv(normed).split(x.shape[1], dim=1)
    out = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        qh, kh = _rotate(q[:, part], angles), _rotate(k[:, part], angles)
        logits = (qh @ kh.T) / width**0.5 + logit_bias[head]
        out.append(logits.masked_fill(~visible, -torch.inf).softmax(dim=1) @ v[:, part])
    return x + layer.attention.out(torch.cat(out, dim=1))


def _rotate(x: Tensor, angles: Tensor | None) -> Tensor:
    """Rotate pairs (2 i, 2 i + 1) of x [T, d] by angles [T, d/2]."""
    if angles is None:
        return x
    even, odd = x[:, 0::2], x[:, 1::2]
    turned = (even * angles.cos() - odd * angles.sin(), even * angles.sin() + odd * angles.cos())
    return torch.stack(turned, dim=2).flatten(1)


def _layer(layer, x: Tensor, logit_bias: Tensor, visible: Tensor, angles: Tensor | None) -> Tensor:
    x = _attention(layer, x, logit_bias, visible, angles)
    return x + layer.narrow(torch.nn.functional.gelu(layer.widen(layer.ffn_norm(x))))


def _pool(pooling, x: Tensor, logit_bias: Tensor, visible: Tensor) -> Tensor:
    heads = pooling.heads
    width = x.shape[1] // heads
    normed = pooling.norm(x)
    scores = (pooling.score(normed) + logit_bias.T).masked_fill(~visible[:, None], -torch.inf).softmax(dim=0)
    values = pooling.value(normed)
    pooled = [scores[:, head] @ values[:, head * width : (head + 1) * width] for head in range(heads)]
    return pooling.out(torch.cat(pooled))


def encode_asv(model: SequenceEncoder, tokens: Tensor) -> Tensor:
    """One ASV, tokens [1 + L] -> [D]."""
    encoder = model.asv_encoder
    visible = tokens != Nucleotide.PAD
    x = encoder.token_embedding(tokens.long())
    letters = [Nucleotide.PAD] * 3 + tokens.tolist() + [Nucleotide.PAD] * 3
    around = []
    for position in range(3, len(letters) - 3):
        before, after = letters[position - 3 : position], letters[position + 1 : position + 4]
        words = [first * 49 + second * 7 + third for first, second, third in (before, after)]
        around.append(
            encoder.context.before.weight[words[0]]
            + encoder.context.centre.weight[letters[position]]
            + encoder.context.after.weight[words[1]]
        )
    x = x + torch.nn.functional.gelu(torch.stack(around))
    angles = None
    if encoder.position_embedding is not None:
        x = x + encoder.position_embedding[: len(tokens)]
    else:
        half = x.shape[1] // encoder.options.attention_heads // 2
        angles = torch.arange(len(tokens))[:, None] * 10_000.0 ** (-torch.arange(half) / half)
        angles = angles.to(x.dtype)
    no_bias = x.new_zeros(encoder.options.attention_heads, len(tokens))
    for layer in encoder.layers:
        x = _layer(layer, x, no_bias, visible, angles)
    return 0.1 * _pool(encoder.pooling, x, no_bias, visible) + _words(encoder.words, tokens.tolist()[1:])


def _words(words, letters: list[int]) -> Tensor:
    """The mean of the vectors of a sequence's words, none with another letter than A, C, G, T (1 to 4)."""
    places = []
    for start in range(len(letters) - words.length + 1):
        word = letters[start : start + words.length]
        if all(1 <= letter <= 4 for letter in word):
            places.append(1 + sum((letter - 1) * 4**place for place, letter in enumerate(word[::-1])))
    return words.table[places].sum(dim=0) / max(1, len(places))


def encode_sample(model: SequenceEncoder, asv_tokens: Tensor, counts: Tensor, pad_to: int) -> Tensor:
    """One sample padded to `pad_to` ASVs: asv_tokens [S, 1 + L], counts [S] -> [D]."""
    padding = pad_to - len(counts)
    start = torch.zeros(1, asv_tokens.shape[1], dtype=asv_tokens.dtype)
    start[0, 0] = Nucleotide.START
    asv_tokens = torch.cat([asv_tokens, start.expand(padding, -1)])
    counts = torch.cat([counts, counts.new_zeros(padding)])
    visible = counts > 0
    abundance = torch.where(visible, (counts / counts.sum()).clamp(min=1e-30).log(), 0.0)

    encoder = model.sample_encoder
    x = torch.stack([encode_asv(model, tokens) for tokens in asv_tokens])
    x = x + encoder.abundance_embedding(abundance[:, None])
    for layer, multiple in zip(encoder.layers, encoder.abundance_multiple, strict=True):
        x = _layer(layer, x, multiple[:, None] * abundance, visible, None)
    pooled = _pool(model.pooling, x, model.abundance_multiple[:, None] * abundance, visible)
    largest = model.max_pooling.value(model.max_pooling.norm(x[visible])).max(dim=0).values
    pooled = pooled + model.max_pooling.out(model.max_pooling.pooled_norm(largest))
    return pooled + model.richness(visible.sum().clamp(min=1).to(x.dtype).log()[None])


def encode(model: SequenceEncoder, asv_tokens: Tensor, asv_index: Tensor, counts: Tensor) -> Tensor:
    """The same inputs and output as `SequenceEncoder.forward`: [B, D]."""
    pad_to = asv_index.shape[1] + 3
    samples = []
    for index, sample_counts in zip(asv_index, counts, strict=True):
        real = sample_counts > 0
        samples.append(encode_sample(model, asv_tokens[index[real]], sample_counts[real], pad_to))
    return torch.stack(samples)


def read_tree(path):
    """A tree as scikit-bio reads it, labels as they are written."""
    return TreeNode.read(str(path), format="newick", convert_underscores=False)
