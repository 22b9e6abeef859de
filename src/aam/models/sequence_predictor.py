"""Sample embeddings -> the target."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from aam.models.encoder import Encoder
from aam.models.fusion import FUSIONS
from aam.options import Fusion, ModelOptions

_CATEGORICAL_WIDTH = 8
# Of the layers of a head, the linear one that gives the outputs.
_LAST = 3


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
        return torch.cat([said, self.steps.expand(said.shape[0], -1)], dim=1)


@dataclass(frozen=True)
class CovariateShape:
    """What a head must know of covariates: the levels of each categorical column, how many numbers and indicators follow, and how
    they are joined with the embedding.
    """

    levels: tuple[int, ...] = ()
    numbers: int = 0
    fusion: Fusion = "concat"


class TargetHead(nn.Module):
    """Embedding [B, D] and covariates [B, K] -> [B, outputs], of which the last `steps` are the same for all samples.

    K columns of 0 and 1, one for each level, then numbers. Each level has an embedding of its own; a sample of no known level has
    zeros.
    """

    def __init__(self, options: ModelOptions, outputs: int, covariates: CovariateShape, steps: int = 0) -> None:
        super().__init__()
        width, self.shape = options.embedding_dim, covariates
        self.norm = nn.LayerNorm(width)
        # The first row is of the unknown level, as in models of version 0.1.0, which looked levels up by number.
        self.categoricals = nn.ModuleList(
            nn.Embedding(1 + levels, _CATEGORICAL_WIDTH, padding_idx=0) for levels in covariates.levels
        )
        beside = _CATEGORICAL_WIDTH * len(covariates.levels) + covariates.numbers
        self.fusion = FUSIONS[covariates.fusion](width, beside) if beside else None
        inputs = width if self.fusion is None else self.fusion.outputs
        self.mlp = nn.Sequential(
            nn.Linear(inputs, width), nn.GELU(), nn.Dropout(options.dropout), nn.Linear(width, outputs - steps)
        )
        if steps:
            self.mlp.append(SharedSteps(steps))

    def part(self, own: slice, steps: slice) -> dict[str, Tensor]:
        """Weights, by name, of the head that has some of the outputs alone: of those that differ by sample, and of the steps."""
        last, behind = f"mlp.{_LAST}.", f"mlp.{_LAST + 1}.steps"
        state = {name: value[own] if name.startswith(last) else value for name, value in self.state_dict().items()}
        shared = state.pop(behind, None)
        return state if shared is None or not len(shared[steps]) else {**state, behind: shared[steps]}

    def forward(self, embedding: Tensor, design: Tensor | None) -> Tensor:
        normed = self.norm(embedding.to(self.norm.weight.dtype))
        if self.fusion is None or design is None:
            return self.mlp(normed)
        *levels, numbers = design.split((*self.shape.levels, self.shape.numbers), dim=1)
        embedded = [one @ cast("nn.Embedding", embed).weight[1:] for one, embed in zip(levels, self.categoricals, strict=True)]
        return self.mlp(self.fusion(normed, torch.cat([*embedded, numbers], dim=1)))


class SequencePredictor(nn.Module):
    """A `SequenceEncoder` as `base_model`, loaded or fresh, and a head for the target.

    `outputs` and `steps` are what the target asks of a head; `covariates`: what the head reads beside the samples. With
    `freeze_base` the encoder gets no gradients and stays in inference mode.

    Examples
    --------
    >>> import aam, torch
    >>> from aam.data.sequences import tokenize
    >>> from aam.options import ModelOptions
    >>> options = ModelOptions(embedding_dim=8, attention_heads=2)
    >>> model = aam.SequencePredictor(aam.SequenceEncoder(options, max_bp=8), options, outputs=3)
    >>> tokens = torch.from_numpy(tokenize(["ACGTACGT", "ACGGACGT", "TTGTACGT"], ["a", "b", "c"], max_bp=8))
    >>> asv_index = torch.tensor([[0, 1], [1, 2]])
    >>> counts = torch.tensor([[10.0, 2.0], [4.0, 4.0]])
    >>> said = model(tokens, asv_index, counts)
    >>> said.embedding.shape, said.target.shape
    (torch.Size([2, 8]), torch.Size([2, 3]))

    """

    def __init__(
        self,
        base_model: Encoder,
        options: ModelOptions,
        outputs: int,
        covariates: CovariateShape = CovariateShape(),
        freeze_base: bool = False,
        steps: int = 0,
    ) -> None:
        super().__init__()
        self.base_model = base_model
        self.freeze_base = freeze_base
        self.head = TargetHead(options, outputs, covariates, steps)
        if freeze_base:
            self.base_model.requires_grad_(False)
            self.base_model.eval()

    def train(self, mode: bool = True) -> "SequencePredictor":
        super().train(mode)
        if self.freeze_base:
            self.base_model.eval()
        return self

    def forward(self, asv_tokens: Tensor, asv_index: Tensor, counts: Tensor, design: Tensor | None = None) -> Prediction:
        """asv_tokens uint8 [U, 1 + L], asv_index int64 [B, S], counts [B, S], design float32 [B, K] | None."""
        embedding = self.base_model(asv_tokens, asv_index, counts)
        return Prediction(embedding, self.head(embedding, design))
