"""The taxa of an ASV, rank by rank, are told from its vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aam.data.taxonomy import read_taxonomy
from aam.errors import InputError
from aam.models import Encoder
from aam.models.heads import Head
from aam.scoring.streamed import TaxonMetrics
from aam.training.objectives.encoder_type import Asked, Encoded, EncoderType, Kind, Told, TypeMetrics
from aam.training.step import Step

# Of a rank that is not known.
UNNAMED = -1


@dataclass(frozen=True)
class NamedTaxa:
    """loss: cross-entropy in nats, the mean over ASVs and ranks that are named; told and true: int64 [U, ranks], `UNNAMED` where
    the truth is not known.
    """

    loss: Tensor
    told: Tensor
    true: Tensor


class Taxonomy(EncoderType):
    """codes: int64 [M, ranks] of the table's ASVs, places among `head.names`, `UNNAMED` for a rank that is not known; common: the
    trivial prediction, int64 [ranks], see `commonest`.

    Of several ranks an ASV counts once for each that has it.
    """

    codes: Tensor
    common: Tensor

    def __init__(self, head: Head, weight: float, codes: Tensor, common: Tensor) -> None:
        super().__init__(head, weight)
        self.register_buffer("codes", codes, persistent=False)
        self.register_buffer("common", common, persistent=False)

    @classmethod
    def of(cls, lineages: Sequence[Sequence[str]], weight: float = 1.0) -> Taxonomy:
        """From the ranks of each ASV of a table, M of them, from the highest. Ranks of one taxon only tell nothing."""
        depth = max(map(len, lineages))
        # With what is above it: a genus of two families is two.
        taxa = [[";".join(ranks[: rank + 1]) if len(ranks) > rank else "" for ranks in lineages] for rank in range(depth)]
        names = [sorted(set(rank) - {""}) for rank in taxa]
        kept = [rank for rank in range(depth) if len(names[rank]) > 1]
        if not kept:
            raise InputError("the taxonomy names all ASVs alike: nothing can be learned from it")
        rows = [[{name: code for code, name in enumerate(names[r])}.get(taxon, UNNAMED) for taxon in taxa[r]] for r in kept]
        codes = torch.from_numpy(np.array(rows, dtype=np.int64).T.copy())
        named = tuple(tuple(names[rank]) for rank in kept)
        return cls(Head("taxonomy", sum(map(len, named)), of_samples=False, names=named), weight, codes, commonest(codes))

    def knowing(self, columns: np.ndarray) -> Taxonomy:
        return Taxonomy(self.head, self.weight, self.codes, commonest(self.codes[columns]))

    def tell(self, encoder: Encoder, encoded: Encoded, step: Step) -> NamedTaxa:
        return self._named(encoder.heads.tell(self.head, encoded.vectors), self.codes[step.own.asv_columns], step.mean)

    def beside_truth(self, said: Tensor, columns: np.ndarray) -> NamedTaxa:
        return self._named(said, self.codes.cpu()[columns], lambda total, number: total / number)

    def _named(self, said: Tensor, true: Tensor, mean: Callable[[Tensor, Tensor], Tensor]) -> NamedTaxa:
        """Of what the head says [U, taxa] and codes [U, ranks]; mean: of a sum over so many."""
        logits = said.split([len(names) for names in self.head.names], dim=1)
        losses = [
            F.cross_entropy(part, codes, ignore_index=UNNAMED, reduction="sum")
            for part, codes in zip(logits, true.unbind(dim=1), strict=True)
        ]
        loss = mean(torch.stack(losses).sum(), (true != UNNAMED).sum())
        return NamedTaxa(loss, torch.stack([part.detach().argmax(dim=1) for part in logits], dim=1), true)

    def metrics(self) -> TaxaScores:
        return TaxaScores(self.common)


def commonest(codes: Tensor) -> Tensor:
    """The commonest taxon of each rank, int64 [ranks], of codes [M, ranks]; the first where none is named."""
    return torch.stack([rank[rank != UNNAMED].bincount(minlength=1).argmax() for rank in codes.unbind(dim=1)])


class TaxaScores(TypeMetrics):
    """Accuracy over the ranks that are named, and that of always naming a rank's commonest taxon."""

    def __init__(self, common: Tensor) -> None:
        super().__init__()
        self.named = TaxonMetrics(common)

    def update(self, told: Told) -> None:
        assert isinstance(told, NamedTaxa)
        self.named.update(told.told, told.true)

    @property
    def streamed(self) -> TaxonMetrics:
        return self.named


def _taxonomy(asked: Asked) -> tuple[EncoderType, None]:
    """The taxonomy that is given."""
    assert asked.file is not None
    return Taxonomy.of(read_taxonomy(asked.file, asked.study.table.feature_ids), asked.weight), None


TAXONOMY = Kind("taxonomy of ASVs", _taxonomy)
