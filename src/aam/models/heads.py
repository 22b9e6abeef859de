"""What an encoder is taught beside distances between its embeddings: one linear layer for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

HeadKind = Literal["distances", "quantity", "taxonomy"]


@dataclass(frozen=True)
class Head:
    """What is told, as the model folder keeps it.

    kind: distances between samples, told by Euclidean distances in a space of its own; a quantity of each sample; or the taxa of
    each ASV, whose names are `taxa`, rank by rank. own: distances are those between the embeddings themselves, without a layer.
    What is learned is (value - shift) / scale.
    """

    name: str
    kind: HeadKind = "distances"
    own: bool = False
    shift: float = 0.0
    scale: float = 1.0
    taxa: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        # From JSON these are lists.
        object.__setattr__(self, "taxa", tuple(tuple(rank) for rank in self.taxa))
        if not (self.scale > 0 and self.name.isidentifier()):
            raise ValueError(f"head {self.name!r} with scale {self.scale}")

    def outputs(self, width: int) -> int:
        """Numbers that it tells of one sample or ASV."""
        return {"distances": width, "quantity": 1, "taxonomy": sum(map(len, self.taxa))}[self.kind]


def own_space(heads: Sequence[Head]) -> Head | None:
    """What distances between embeddings are; None where they were not learned."""
    return next((head for head in heads if head.own), None)


class Heads(nn.ModuleDict):
    """A linear layer for each head but that of the embeddings themselves, by name."""

    def __init__(self, heads: Sequence[Head], width: int) -> None:
        layers = {head.name: nn.Linear(width, head.outputs(width), head.kind != "distances") for head in heads if not head.own}
        # Distances in a space of its own are at first those between the embeddings.
        for head in heads:
            if head.kind == "distances" and not head.own:
                nn.init.eye_(layers[head.name].weight)
        super().__init__(layers)

    def tell(self, head: Head, inputs: Tensor) -> Tensor:
        """What a head says of embeddings or ASV vectors [n, D], in units that are learned: float [n, outputs]."""
        if head.own:
            return inputs
        layer = self[head.name]
        assert isinstance(layer, nn.Linear)
        return layer(inputs.to(layer.weight.dtype)).float()
