"""Community measures by name: distances between samples, and quantities of each sample, of a batch and of a whole table.

A measure is a file in `measures/` and a line here. The file has two functions:

- ``of_table(counts, setting)``: from CSR int64 [N, M], every sample with reads, to float64 [N, N] or [N]; without PyTorch on a CPU.
- ``of_batch(reads, setting)``: from reads float64 [B, U] of the U ASVs of a batch to float64 [B, B] or [B], in PyTorch. Or, on a
  tree, ``of_batches(setting)``: an ``nn.Module`` with the ``forward`` of `batch_form`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from aam.errors import InputError

# Nothing heavy: the help of the command line lists the names.
if TYPE_CHECKING:
    import numpy as np
    from scipy import sparse
    from torch import Tensor, nn

    from aam.data.phylogeny import Phylogeny


@dataclass(frozen=True, eq=False)
class Setting:
    """What a measure is made for.

    name: of the measure; n_asvs: M, columns of the table; phylogeny: of these columns, for a measure on a tree; alpha: exponent of
    generalized UniFrac.
    """

    name: str
    n_asvs: int
    phylogeny: Phylogeny | None = None
    alpha: float = 0.5

    @property
    def tree(self) -> Phylogeny:
        """The phylogeny. ValueError where there is none."""
        if self.phylogeny is None:
            raise ValueError(f"{self.name} is measured on a tree, and none is given")
        return self.phylogeny


class _Code(Protocol):
    def of_table(self, counts: sparse.csr_array, setting: Setting) -> np.ndarray: ...

    def of_batch(self, reads: Tensor, setting: Setting) -> Tensor: ...

    def of_batches(self, setting: Setting) -> nn.Module: ...


@dataclass(frozen=True)
class Measure:
    """A measure: how it is called in text, its file, whether it is between pairs of samples or of each, and whether on a tree."""

    title: str
    module: str
    pairs: bool = True
    on_tree: bool = False

    @property
    def code(self) -> _Code:
        """Its file, imported when it is used."""
        return cast("_Code", import_module(f"aam.distances.measures.{self.module}"))


MEASURES = {
    "unweighted": Measure("unweighted UniFrac", "unifrac", on_tree=True),
    "weighted_normalized": Measure("weighted normalized UniFrac", "unifrac", on_tree=True),
    "weighted_unnormalized": Measure("weighted unnormalized UniFrac", "unifrac", on_tree=True),
    "generalized": Measure("generalized UniFrac", "unifrac", on_tree=True),
    "bray_curtis": Measure("Bray-Curtis", "bray_curtis"),
    "jaccard": Measure("Jaccard", "jaccard"),
    "aitchison": Measure("Aitchison", "aitchison"),
    "robust_aitchison": Measure("robust Aitchison", "robust_aitchison"),
    "hellinger": Measure("Hellinger", "hellinger"),
    "faith_pd": Measure("Faith PD", "faith_pd", pairs=False, on_tree=True),
    "shannon": Measure("Shannon diversity", "shannon", pairs=False),
    "richness": Measure("richness", "richness", pairs=False),
}


def measure_of(metric: str, *, pairs: bool | None = None) -> Measure:
    """The measure of that name, between pairs of samples, of each, or either. InputError that lists the names for another."""
    known = {name: measure for name, measure in MEASURES.items() if pairs in (None, measure.pairs)}
    if metric not in known:
        raise InputError(f"`metric={metric}`: must be one of {', '.join(known)}")
    return known[metric]


def check_tree(metric: str, *given: str) -> None:
    """InputError where a measure lacks its tree, or names of options of a tree are given that it does not use."""
    on_tree = measure_of(metric).on_tree
    if on_tree and "tree" not in given:
        raise InputError(f"`metric={metric}` is measured on a tree; give `tree`")
    if given and not on_tree:
        raise InputError(f"`{given[0]}` is given, and `metric={metric}` is not measured on a tree; leave it out")


def batch_form(metric: str, n_asvs: int, phylogeny: Phylogeny | None = None, alpha: float = 0.5) -> nn.Module:
    """The measure of a batch, for the samples of a table with M ASVs, exact, on any device.

    Its ``forward(columns int64 [B, S], counts [B, S], sample_index)`` returns float64 [B, B], symmetric, diagonal exactly 0, or
    [B]. Counts are whole numbers of reads, 0 for padding, whose column is arbitrary. Tables have no samples without reads; in a
    batch two of them are at distance 0.
    """
    measure, setting = measure_of(metric), Setting(metric, n_asvs, phylogeny, alpha)
    if measure.on_tree:
        return measure.code.of_batches(setting)
    from aam.distances.batches import OnAsvs

    return OnAsvs(partial(measure.code.of_batch, setting=setting))
