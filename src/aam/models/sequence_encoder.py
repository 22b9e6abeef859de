"""Samples -> one embedding each, whose Euclidean distances are UniFrac."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aam.compute import Plan, plan_of
from aam.models.asv_encoder import ASVEncoder
from aam.models.chunks import Chunked, run_chunks
from aam.models.encoder import Encoder
from aam.models.heads import Head, Heads
from aam.models.pooling import AttentionPooling, MaxPooling
from aam.models.sample_sequence_encoder import SampleSequenceEncoder, log_relative_abundance
from aam.options import DEFAULT_COMPUTE, ComputeOptions, ModelOptions


def sizes_of(counts: Tensor) -> list[int]:
    """Places up to the last ASV of each sample, [B], from counts [B, S]; 0 for an empty one. A GPU is waited for."""
    places = torch.arange(1, counts.shape[1] + 1, device=counts.device)
    sizes: list[int] = ((counts > 0) * places).amax(dim=1).tolist()
    return sizes


def groups_of(sizes: Sequence[int], plan: Plan) -> list[slice]:
    """Which samples are encoded together, of rising sizes: little of what is computed should be padding, in few groups."""
    number = len(sizes)
    if plan.group is not None:
        return [slice(start, min(start + plan.group, number)) for start in range(0, number, plan.group)]
    groups, end = [], number
    while end:
        # Padding that is spared by a group of the `start` smallest.
        spared = [start * (sizes[end - 1] - sizes[start - 1]) for start in range(1, end)]
        best = max(range(len(spared)), key=spared.__getitem__, default=0)
        start = best + 1 if spared and spared[best] > plan.spared_slots else 0
        groups.append(slice(start, end))
        end = start
    return groups[::-1]


class SampleLevel(nn.Module):
    """ASV vectors -> one embedding per sample.

    Three views of the set are added up: averages weighted by attention (who dominates), the maximum in each channel (who is there
    at all, which unweighted UniFrac and presence are about), and the number of ASVs (richness), which both lose.
    """

    def __init__(self, options: ModelOptions, compute: ComputeOptions = DEFAULT_COMPUTE) -> None:
        super().__init__()
        width, heads = options.embedding_dim, options.attention_heads
        self.sample_encoder = SampleSequenceEncoder(options, compute)
        self.abundance_multiple = nn.Parameter(torch.linspace(0, 1, heads))
        self.pooling = AttentionPooling(width, heads)
        self.max_pooling = MaxPooling(width)
        self.compute = compute
        self.richness = nn.Linear(1, width)

    def encode_samples(self, asv_vectors: Tensor, asv_index: Tensor, counts: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        """The same from ASV vectors [U, D], which inference computes once for a whole table -> [B, D].

        sizes: ASVs of each sample, where they are known.
        """
        sizes = sizes_of(counts) if sizes is None else sizes
        order = sorted(range(len(sizes)), key=sizes.__getitem__)
        rising = [sizes[sample] for sample in order]
        slices = groups_of(rising, plan_of(self.compute, counts.device))
        rows = None if len(slices) == 1 else torch.tensor(order).to(counts.device, non_blocking=True)
        if rows is not None:
            asv_index, counts = asv_index[rows], counts[rows]
        groups = []
        for group in slices:
            # A sample without ASVs still has a place.
            places = slice(max(1, rising[group.stop - 1]))
            groups.append((asv_index[group, places], counts[group, places]))
        modules = (self.pooling, self.max_pooling, self.richness)
        parts = [self.abundance_multiple, *(parameter for module in modules for parameter in module.parameters())]
        parts += self.sample_encoder.attending_parameters()
        vectors = asv_vectors.to(self.richness.weight.dtype)
        encoded = run_chunks(Chunked(self.encode_group, groups, recompute=False), (vectors,), parts)
        return encoded if rows is None else encoded[rows.argsort()]

    def encode_group(self, asv_vectors: Tensor, asv_index: Tensor, counts: Tensor) -> Tensor:
        """The same of samples that are padded to one size."""
        x = self.sample_encoder(asv_vectors, asv_index, counts)
        present = counts > 0
        key_bias = self.abundance_multiple[:, None] * log_relative_abundance(counts).unsqueeze(1)
        richness = present.sum(dim=1, keepdim=True).clamp(min=1).to(counts.dtype).log()
        views = (self.pooling(x, present, key_bias), self.max_pooling(x, present), self.richness(richness.to(x.dtype)))
        # In full precision: small distances are differences of these.
        return torch.stack([view.to(counts.dtype) for view in views]).sum(dim=0)


class SequenceEncoder(SampleLevel, Encoder):
    """The hierarchical transformer, nucleotides -> ASVs -> samples: one embedding per sample, [B, D].

    Examples
    --------
    >>> import aam, torch
    >>> from aam.data.sequences import tokenize
    >>> from aam.options import ModelOptions
    >>> encoder = aam.SequenceEncoder(ModelOptions(embedding_dim=8, attention_heads=2), max_bp=8)
    >>> tokens = torch.from_numpy(tokenize(["ACGTACGT", "ACGGACGT", "TTGTACGT"], ["a", "b", "c"], max_bp=8))
    >>> asv_index = torch.tensor([[0, 1], [1, 2]])
    >>> counts = torch.tensor([[10.0, 2.0], [4.0, 4.0]])
    >>> encoder(tokens, asv_index, counts).shape
    torch.Size([2, 8])

    """

    asv_encoder: ASVEncoder

    def __init__(
        self, options: ModelOptions, max_bp: int, compute: ComputeOptions = DEFAULT_COMPUTE, heads: Sequence[Head] = ()
    ) -> None:
        asv_encoder = ASVEncoder(options, max_bp, compute)
        super().__init__(options, compute)
        self.asv_encoder = asv_encoder
        self.heads = Heads(heads, options.embedding_dim)
        if compute.compile_model:
            for layer in (*self.asv_encoder.layers, *self.sample_encoder.layers):
                layer.compile(dynamic=True)

    @property
    def width(self) -> int:
        return self.richness.out_features

    def learn_only(self, *, embeddings: bool, nucleotides: bool, abundances: bool, asvs_told: bool = False) -> None:
        asvs, samples = self.asv_encoder, self.sample_encoder
        used = {
            asvs.nucleotide_head: nucleotides,
            samples.abundance_head: abundances,
            samples.abundance_embedding: embeddings or abundances,
            samples.layers: embeddings or abundances,
            asvs.pooling: embeddings or abundances or asvs_told,
            **dict.fromkeys((self.pooling, self.max_pooling, self.richness), embeddings),
        }
        for part, needed in used.items():
            part.requires_grad_(needed)
        samples.hidden_abundance.requires_grad_(abundances)
        samples.abundance_multiple.requires_grad_(embeddings or abundances)
        self.abundance_multiple.requires_grad_(embeddings)

    @torch.no_grad()
    def calibrate(self, asv_tokens: Tensor, asv_index: Tensor, counts: Tensor, known: Tensor | None = None) -> None:
        """Scale a fresh model to a batch: ASV vectors that differ, distances between samples as large as UniFrac's.

        See `ASVEncoder.calibrate`.
        """
        self.asv_encoder.calibrate(asv_tokens, asv_tokens if known is None else known)
        self.richness.weight.mul_(0.1)
        self.scale_to(asv_tokens, asv_index, counts, (self.pooling.out, self.max_pooling.out, self.richness))
