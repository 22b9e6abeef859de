"""All that is known of an explanation when it is written: what was found, how far it is to be believed, and names for it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile

import numpy as np
from scipy import sparse

from aam.data.phylogeny import Phylogeny
from aam.errors import counted
from aam.explain.agreement import Agreement
from aam.explain.aligned import Aligned
from aam.explain.attended import Attended
from aam.explain.attributions import Attributions, Features, Importance, Method
from aam.explain.faithfulness import Curves, NamedFirst
from aam.explain.gradients import Gradients
from aam.explain.nucleotides import NucleotideEffects
from aam.explain.permutation import PermutationImportance
from aam.explain.summary import first_apart, ranked
from aam.options import ExplainBaseline

# Letters of an id that is shown whole, and that are shown of a longer one and of a hash.
_LONGEST_NAME, _END, _HASH = 24, 10, 8
_RANK = re.compile(r"^[dkpcofgs]__")
# Of the importance of the first feature, what another must have to be shown.
_SHOWN = 0.01
METHODS: Mapping[Method, str] = {"deletion": "taking it out", "gradients": "integrated gradients", "attention": "attention"}
# What gradients go out from.
BASELINES: Mapping[ExplainBaseline, str] = {"empty": "an empty sample", "average": "the average of these samples"}
# Words for `direction_of`.
DIRECTIONS: Mapping[int, str] = {1: "raises", -1: "lowers", 0: "either way"}


@dataclass(frozen=True)
class Compared:
    """How alike the importance of features is in two methods, or models; what: which, in words; expected: what it should be;
    shuffled: whether one of them is a model with shuffled weights, which knows nothing.
    """

    what: str
    expected: str
    found: Agreement
    shuffled: bool = False


@dataclass(frozen=True, eq=False)
class Story:
    """What is written of an explanation.

    column: what is predicted; sample_ids: [n], of the samples that are explained; asv_ids: [M]; counts: CSR [n, M], their reads as
    the model sees them; attributions and importances: of ASVs first, then of clades and taxa, where they were asked for, with what
    the whole model predicts; gradients: where those of ASVs are by gradients, what these are worth; named_first: what taking out
    those ASVs does that the attributions of each sample name first; listed: those of its ASVs that the list over all samples names
    first; attention: of a transformer, where it was asked for; taxonomy: of ASVs, by id; confounder: column by whose levels ASVs
    may be bound; novelty: float64 [n], above 1 for samples out of distribution; learned: how many of the samples the model learned
    from; phylogeny: tree of the ASVs; warnings: sentences; facts: about the run, by name.
    """

    column: str
    sample_ids: tuple[str, ...]
    asv_ids: tuple[str, ...]
    counts: sparse.csr_array
    attributions: tuple[Attributions, ...]
    importances: tuple[Importance, ...]
    sequences: tuple[str, ...] | None = None
    taxonomy: Mapping[str, str] = field(default_factory=dict)
    named_first: NamedFirst | None = None
    listed: NamedFirst | None = None
    curves: Curves | None = None
    compared: tuple[Compared, ...] = ()
    nucleotides: tuple[NucleotideEffects, ...] = ()
    aligned: Aligned | None = None
    permutations: tuple[PermutationImportance, ...] = ()
    confounder: str = "study"
    gradients: Gradients | None = None
    attention: Attended | None = None
    novelty: np.ndarray | None = None
    learned: int = 0
    phylogeny: Phylogeny | None = None
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def noun(self) -> str:
        """What the features of the tables are called: ASVs, or features where they have no sequences."""
        return "ASV" if self.sequences is not None else "feature"

    @cached_property
    def shares(self) -> sparse.csr_array:
        """Relative abundance of each ASV in the samples, CSR float64 [n, M]."""
        depths = np.maximum(np.asarray(self.counts.sum(axis=1)).ravel(), 1)
        return sparse.csr_array(sparse.diags_array(1 / depths) @ self.counts)

    def name(self, features: Features, row: int) -> str:
        """A short name of a feature: its finest named taxon, where there is a taxonomy, and what tells it from others."""
        feature_id = features.ids[row]
        if features.kind == "covariate":
            return feature_id
        if features.kind == "taxon":
            return _finest(feature_id)
        columns = features.asvs[[row]].indices
        short = short_id(feature_id) + (f", {counted(len(columns), self.noun)}" if features.kind == "clade" else "")
        taxon = _finest(_shared([self.taxonomy.get(self.asv_ids[column], "") for column in columns]))
        return f"{taxon} ({short})" if taxon else short


def short_id(feature_id: str) -> str:
    """A feature's id as there is room for it: the first of a hash; a sequence by its MD5, as QIIME 2 calls it, because many begin
    or end alike; both ends of another long name.
    """
    if len(feature_id) <= _LONGEST_NAME:
        return feature_id
    if re.fullmatch(r"[ACGTUNacgtun]+", feature_id):
        feature_id = hashlib.md5(feature_id.encode(), usedforsecurity=False).hexdigest()
    if re.fullmatch(r"[0-9a-f]{32,}", feature_id):
        return f"{feature_id[:_HASH]}…"
    return f"{feature_id[:_END]}…{feature_id[-_END:]}"


def _shared(lineages: Sequence[str]) -> str:
    """The ranks that lineages share, from the highest."""
    ranks = zip(*([rank.strip() for rank in lineage.split(";")] for lineage in lineages), strict=False)
    return "; ".join(first[0] for first in takewhile(lambda same: len(set(same)) == 1, ranks))


def _finest(taxonomy: str) -> str:
    """The last rank of a lineage that has a name: `k__Bacteria; ...; g__Blautia; s__` -> `Blautia`; species with their genus."""
    ranks = [rank.strip() for rank in taxonomy.split(";")]
    named = [rank for rank in ranks if _RANK.sub("", rank)]
    if not named:
        return ""
    name = _RANK.sub("", named[-1])
    if named[-1].startswith("s__") and len(named) > 1 and "_" not in name and " " not in name:
        return f"{_RANK.sub('', named[-2])} {name}"
    return name.replace("_", " ")


def shown(importance: Importance, output: int, most: int) -> np.ndarray:
    """The features of one output that matter most, int64, at most `most`: of clades and taxa, which are nested, those apart. What
    matters less than a hundredth of the first is not shown.
    """
    first = ranked(importance, output)[:most] if importance.features.kind == "asv" else first_apart(importance, most, output)
    spread = importance.spread[first, output]
    return first[spread >= _SHOWN * spread.max(initial=0.0)]


def matrix_of(attributions: Attributions, output: int) -> sparse.csr_array:
    """Values of one output, CSR float64 [n samples, F features]."""
    shape = (len(attributions.samples), len(attributions.features.ids))
    return sparse.csr_array((attributions.value[:, output], (attributions.sample, attributions.feature)), shape)
