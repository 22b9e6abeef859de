"""What an encoder is taught beside distances between its embeddings: one linear layer for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Head:
    """What is told, as the model folder keeps it.

    outputs: numbers that are told of one sample or ASV; None for distances between samples, told by Euclidean distances in a space
    of its own, as wide as embeddings. of_samples: from their embeddings; else of ASVs, from their vectors. own: distances are those
    between the embeddings themselves, without a layer. What is learned is (value - shift) / scale. names: of the outputs, where
    they have some, in groups: taxa, rank by rank.
    """

    name: str
    outputs: int | None = None
    of_samples: bool = True
    own: bool = False
    shift: float = 0.0
    scale: float = 1.0
    names: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        # From JSON these are lists.
        object.__setattr__(self, "names", tuple(tuple(group) for group in self.names))
        if not (self.scale > 0 and self.name.isidentifier()):
            raise ValueError(f"head {self.name!r} with scale {self.scale}")
        if self.outputs is not None and (self.own or self.outputs < 1):
            raise ValueError(f"head {self.name!r} with {self.outputs} outputs")

    @property
    def is_space(self) -> bool:
        """Whether it is distances that are told, by a space."""
        return self.outputs is None


def first_space(heads: Sequence[Head]) -> Head | None:
    """The distances that embeddings are written for where none are named; None where none were learned."""
    return next((head for head in heads if head.is_space), None)


class Heads(nn.ModuleDict):
    """A linear layer for each head but that of the embeddings themselves, by name."""

    def __init__(self, heads: Sequence[Head], width: int) -> None:
        layers = {head.name: nn.Linear(width, head.outputs or width, not head.is_space) for head in heads if not head.own}
        # Distances in a space of its own are at first those between the embeddings.
        for head in heads:
            if head.is_space and not head.own:
                nn.init.eye_(layers[head.name].weight)
        super().__init__(layers)

    def tell(self, head: Head, inputs: Tensor) -> Tensor:
        """What a head says of embeddings or ASV vectors [n, D], in units that are learned: float [n, outputs]."""
        if head.own:
            return inputs
        layer = self[head.name]
        assert isinstance(layer, nn.Linear)
        return layer(inputs.to(layer.weight.dtype)).float()
