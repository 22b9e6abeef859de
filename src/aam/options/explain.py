"""What is explained of a model, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aam.errors import InputError
from aam.options.checks import Options, check_counts, check_seed

ExplainMethod = Literal["deletion", "gradients", "attention"]
ExplainBaseline = Literal["empty", "average"]


@dataclass(frozen=True, kw_only=True)
class ExplainOptions(Options):
    method: ExplainMethod = "deletion"
    """How the importance of ASVs is found. deletion: each ASV is taken out of each sample that has it, for any model. gradients:
    integrated gradients, for models with gradients. attention: by deletion, and beside it what a transformer attends to, with how
    far that agrees."""
    baseline: ExplainBaseline = "empty"
    """What gradients start from: a sample without ASVs, or the average of the samples at hand."""
    max_samples: int | None = None
    """Maximum number of samples to explain, drawn at random. Default: all samples."""
    tree: Path | None = None
    """Phylogeny of the ASVs (newick or .qza), whose clades are explained as a whole too, because near copies of an ASV share its
    importance."""
    taxonomy: Path | None = None
    """Taxonomy of the ASVs (QIIME 2 FeatureData[Taxonomy] or TSV with the columns 'Feature ID' and 'Taxon'), whose taxa are
    explained as a whole too."""
    group_column: str | None = None
    """Metadata column whose groups (subject) count once each, and are resampled for intervals. Default: each sample by itself."""
    confounder_column: str | None = None
    """Metadata column (study, site); ASVs that matter in one of its levels only are named."""
    permutation: bool = False
    """Also permute the reads of the 200 ASVs, clades and taxa each that matter most among samples, and score the predictions; needs
    samples whose true values are in the metadata."""
    permutation_repeats: int = 5
    """Number of permutations of each of these ASVs, clades and taxa. Intervals are over permutations too, so that one permutation
    has none."""
    seed: int = 0
    """Random seed of what is drawn: samples, other ASVs of like abundance, groups."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "max_samples", "permutation_repeats")
        check_seed(self.seed)
        if self.baseline != "empty" and self.method != "gradients":
            raise InputError(f"`baseline={self.baseline}` belongs to `method=gradients`")
        if self.permutation_repeats != type(self).permutation_repeats and not self.permutation:
            raise InputError(f"`permutation_repeats={self.permutation_repeats}` belongs to `permutation`, which is missing")
