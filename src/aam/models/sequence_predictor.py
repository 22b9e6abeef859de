"""Sample embeddings -> the target."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aam.models.sequence_encoder import SequenceEncoder
from aam.options import ModelOptions

_CATEGORICAL_WIDTH = 8


@dataclass(frozen=True)
class Prediction:
    """`embedding` [B, D] of the samples and `target` [B, outputs]: a transformed number, or class logits."""

    embedding: Tensor
    target: Tensor


class SharedSteps(nn.Module):
    """Outputs [B, O] -> [B, O + steps]: steps between ordered classes, the same for every sample (proportional odds)."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.zeros(steps))

    def forward(self, said: Tensor) -> Tensor:
        return torch.cat([said, self.steps.expand(len(said), -1)], dim=1)


class TargetHead(nn.Module):
    """Embedding [B, D] and codes of categorical columns int64 [B, C] -> [B, outputs], of which the last `steps` are the same for
    all samples. Code 0 is unknown and embeds to zero.
    """

    def __init__(self, options: ModelOptions, outputs: int, sizes: tuple[int, ...], steps: int = 0) -> None:
        super().__init__()
        width = options.embedding_dim
        self.norm = nn.LayerNorm(width)
        self.categoricals = nn.ModuleList(nn.Embedding(size, _CATEGORICAL_WIDTH, padding_idx=0) for size in sizes)
        inputs = width + _CATEGORICAL_WIDTH * len(sizes)
        self.mlp = nn.Sequential(
            nn.Linear(inputs, width), nn.GELU(), nn.Dropout(options.dropout), nn.Linear(width, outputs - steps)
        )
        if steps:
            self.mlp.append(SharedSteps(steps))

    def forward(self, embedding: Tensor, categoricals: Tensor | None) -> Tensor:
        parts = [self.norm(embedding.to(self.norm.weight.dtype))]
        if categoricals is not None:
            parts += [embed(column) for embed, column in zip(self.categoricals, categoricals.unbind(dim=1), strict=True)]
        return self.mlp(torch.cat(parts, dim=1))


class SequencePredictor(nn.Module):
    """A `SequenceEncoder` as `base_model`, loaded or fresh, and a head for the target.

    `outputs` and `steps` are what the target asks of a head; `sizes` counts the codes of each categorical column. With
    `freeze_base` the encoder gets no gradients and stays in inference mode.
    """

    def __init__(
        self,
        base_model: SequenceEncoder,
        options: ModelOptions,
        outputs: int,
        sizes: tuple[int, ...] = (),
        freeze_base: bool = False,
        steps: int = 0,
    ) -> None:
        super().__init__()
        self.base_model = base_model
        self.freeze_base = freeze_base
        self.head = TargetHead(options, outputs, sizes, steps)
        if freeze_base:
            self.base_model.requires_grad_(False)
            self.base_model.eval()

    def train(self, mode: bool = True) -> "SequencePredictor":
        super().train(mode)
        if self.freeze_base:
            self.base_model.eval()
        return self

    def forward(self, asv_tokens: Tensor, asv_index: Tensor, counts: Tensor, categoricals: Tensor | None = None) -> Prediction:
        """asv_tokens uint8 [U, 1 + L], asv_index int64 [B, S], counts [B, S], categoricals int64 [B, C] | None."""
        embedding = self.base_model(asv_tokens, asv_index, counts)
        return Prediction(embedding, self.head(embedding, categoricals))
