"""ASV vectors -> the ASVs of each sample, in the light of each other and of their abundances."""

import torch
from torch import Tensor, nn

from aam.models.transformer import TransformerLayer, hide_padding
from aam.options import ComputeOptions, ModelOptions


def log_relative_abundance(counts: Tensor) -> Tensor:
    """Natural log of each count over its sample's total, [B, S]; 0 where the count is 0."""
    present = counts > 0
    total = counts.sum(dim=1, keepdim=True).clamp(min=1e-12)
    return (counts.where(present, 1.0) / total).log().where(present, 0.0)


class SampleSequenceEncoder(nn.Module):
    """Attend over the set of ASVs of each sample: [U, D] -> [B, S, D]. Order, padding and zero counts change nothing.

    Abundance enters twice: as an embedding of the log relative abundance, and as a learned multiple of it on the logits with
    which an ASV is attended to (1 = as if the ASV stood there once per read, 0 = presence only).

    Examples
    --------
    >>> import aam, torch
    >>> from aam.options import ComputeOptions, ModelOptions
    >>> encoder = aam.SampleSequenceEncoder(ModelOptions(embedding_dim=8, attention_heads=2), ComputeOptions())
    >>> asv_vectors = torch.randn(5, 8)  # of 5 distinct ASVs
    >>> asv_index = torch.tensor([[0, 1, 2], [3, 4, 0]])
    >>> counts = torch.tensor([[10.0, 2.0, 1.0], [4.0, 4.0, 0.0]])  # the second sample has two ASVs
    >>> encoder(asv_vectors, asv_index, counts).shape
    torch.Size([2, 3, 8])

    """

    def __init__(self, options: ModelOptions, compute: ComputeOptions) -> None:
        super().__init__()
        width, heads, layers = options.embedding_dim, options.attention_heads, options.attention_layers
        self.abundance_embedding = nn.Sequential(nn.Linear(1, width), nn.GELU(), nn.Linear(width, width))
        self.hidden_abundance = nn.Parameter(torch.zeros(width))
        self.abundance_multiple = nn.Parameter(torch.linspace(0, 1, heads).expand(layers, heads).clone())
        self.layers = nn.ModuleList(TransformerLayer(options, compute) for _ in range(layers))
        self.abundance_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def forward(self, asv_vectors: Tensor, asv_index: Tensor, counts: Tensor) -> Tensor:
        """asv_vectors [U, D], asv_index int64 [B, S] into them, counts [B, S] (0 = padding) -> [B, S, D]."""
        abundance = log_relative_abundance(counts)
        return self._attend(asv_vectors, asv_index, counts > 0, abundance, self._embed(abundance))

    def _embed(self, abundance: Tensor) -> Tensor:
        """[B, S] -> [B, S, D]."""
        return self.abundance_embedding(abundance.unsqueeze(-1).to(self.hidden_abundance.dtype))

    def attending_parameters(self) -> list[nn.Parameter]:
        """Those of `forward`: all but what predicts abundances."""
        parts = (self.abundance_embedding, self.layers)
        return [self.abundance_multiple, *(parameter for part in parts for parameter in part.parameters())]

    def abundances(self, asv_vectors: Tensor, asv_index: Tensor, counts: Tensor, masked_abundances: Tensor) -> Tensor:
        """Predict the masked abundances (bool [B, S]) -> [B, S], of which those are meant: natural log of count over the sample's
        visible reads.

        The hidden counts play no part: the ASVs are seen, their abundances are not, not even in the total.
        """
        visible = counts.masked_fill(masked_abundances, 0.0)
        abundance = log_relative_abundance(visible)
        embedded = self.hidden_abundance.where(masked_abundances.unsqueeze(-1), self._embed(abundance))
        present = (visible > 0) | masked_abundances
        # A hidden abundance is attended to as the sample's average visible one.
        average = abundance.sum(dim=1, keepdim=True) / (visible > 0).sum(dim=1, keepdim=True).clamp(min=1)
        x = self._attend(asv_vectors, asv_index, present, average.where(masked_abundances, abundance), embedded)
        return self.abundance_head(x).squeeze(-1)

    def _attend(self, asv_vectors: Tensor, asv_index: Tensor, present: Tensor, abundance: Tensor, embedded: Tensor) -> Tensor:
        gathered = asv_vectors.index_select(0, asv_index.flatten()).view(*asv_index.shape, -1)
        x = gathered + embedded
        for layer, multiple in zip(self.layers, self.abundance_multiple, strict=True):
            x = layer(x, hide_padding(present, multiple[:, None] * abundance.unsqueeze(1)), None)
        return x


def abundance_targets(counts: Tensor, masked_abundances: Tensor) -> Tensor:
    """What `SampleSequenceEncoder.abundances` should say [B, S]: log of each masked count over the visible reads; else 0."""
    visible = counts.masked_fill(masked_abundances, 0.0).sum(dim=1, keepdim=True).clamp(min=1e-12)
    return (counts / visible).where(masked_abundances, 1.0).log()
