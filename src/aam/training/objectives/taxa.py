"""The taxa of an ASV, rank by rank, are told from its vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aam.data.taxonomy import read_taxonomy
from aam.errors import InputError
from aam.models import SequenceEncoder
from aam.models.heads import Head
from aam.options import PretrainObjectives
from aam.scoring.streamed import TaxonMetrics
from aam.study.study import Study
from aam.training.objectives.encoder_type import Encoded, EncoderType, Told, TypeMetrics
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
    """codes: int64 [M, ranks] of the table's ASVs, places among `head.taxa`, `UNNAMED` for a rank that is not known.

    Of several ranks an ASV counts once for each that has it.
    """

    of_samples = False
    codes: Tensor

    def __init__(self, head: Head, weight: float, codes: Tensor) -> None:
        super().__init__(head, weight)
        self.register_buffer("codes", codes, persistent=False)

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
        codes = [[{name: code for code, name in enumerate(names[r])}.get(taxon, UNNAMED) for taxon in taxa[r]] for r in kept]
        head = Head("taxonomy", "taxonomy", taxa=tuple(tuple(names[rank]) for rank in kept))
        return cls(head, weight, torch.from_numpy(np.array(codes, dtype=np.int64).T.copy()))

    def tell(self, encoder: SequenceEncoder, encoded: Encoded, step: Step) -> NamedTaxa:
        true = self.codes[step.own.asv_columns]
        logits = self._by_rank(encoder.heads.tell(self.head, encoded.vectors))
        losses = [
            F.cross_entropy(said, codes, ignore_index=UNNAMED, reduction="sum")
            for said, codes in zip(logits, true.unbind(dim=1), strict=True)
        ]
        loss = step.mean(torch.stack(losses).sum(), (true != UNNAMED).sum())
        return NamedTaxa(loss, torch.stack([said.detach().argmax(dim=1) for said in logits], dim=1), true)

    def named(self, said: np.ndarray) -> np.ndarray:
        """The likeliest taxon of each rank, int64 [U, ranks], of what a head says [U, taxa]."""
        return np.stack([part.argmax(dim=1).numpy() for part in self._by_rank(torch.from_numpy(said))], axis=1)

    def _by_rank(self, said: Tensor) -> tuple[Tensor, ...]:
        return said.split([len(names) for names in self.head.taxa], dim=1)

    def metrics(self) -> TaxaScores:
        return TaxaScores(commonest(self.codes))


def commonest(codes: Tensor) -> Tensor:
    """The commonest taxon of each rank, int64 [ranks], of codes [M, ranks]."""
    return torch.stack([rank[rank != UNNAMED].bincount().argmax() for rank in codes.unbind(dim=1)])


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


def taught(name: str, weight: float, study: Study, objectives: PretrainObjectives) -> tuple[EncoderType, None]:
    """The taxonomy that is given."""
    assert objectives.taxonomy is not None
    return Taxonomy.of(read_taxonomy(objectives.taxonomy, study.table.feature_ids), weight), None
