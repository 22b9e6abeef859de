"""What an evaluation does: its question, its folds, and the models that are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from aam.errors import InputError
from aam.options.checks import Options, check, check_counts
from aam.options.data import GroupOptions, OneTargetOptions, ReadOptions, TableOptions, TreeOptions, require_metadata


@dataclass(frozen=True, kw_only=True)
class FoldOptions(Options):
    folds: int = 5
    """Number of folds; groups are never split between folds, and each fold is predicted by models trained on the others."""
    repeats: int = 1
    """Number of times to repeat the cross-validation with other folds."""
    leave_one_group_out: bool = False
    """Hold out each group of `group_column` in turn, instead of `folds`."""
    test_table: Path | None = None
    """Another table (study, cohort) to test on, instead of folds; the models are trained on `table`."""
    test_rep_seqs: Path | None = None
    """Representative sequences of `test_table`, where its feature IDs are hashes or names."""
    test_metadata: tuple[Path, ...] = ()
    """Metadata of `test_table`. Default: `metadata`."""
    confounder_column: str | None = None
    """Metadata column that may explain the target by itself (study, site): the medians of its levels become a baseline."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.folds >= 2, "folds", self.folds, "at least 2")
        check(self.repeats >= 1, "repeats", self.repeats, "at least 1")
        if self.test_table and (self.leave_one_group_out or self.repeats > 1):
            raise InputError("`test_table` is tested once: leave out `leave_one_group_out` and `repeats`")
        if self.test_table is None and (self.test_rep_seqs or self.test_metadata):
            raise InputError("`test_rep_seqs` and `test_metadata` belong to `test_table`, which is missing")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of which samples, and which of them are held out when: all that two evaluations of a question share."""

    data: TableOptions
    reads: ReadOptions = field(default_factory=ReadOptions)
    distances: TreeOptions = field(default_factory=TreeOptions)
    samples: GroupOptions
    target: OneTargetOptions
    folding: FoldOptions = field(default_factory=FoldOptions)

    def __post_init__(self) -> None:
        require_metadata(self.samples, self.target)
        if self.folding.leave_one_group_out and self.samples.group_column is None:
            raise InputError("`leave_one_group_out` needs `group_column`: which groups")
        if self.data.stream:
            raise InputError("`stream`: the usual models need the table in memory; leave it out")
        if self.target.within_column:
            raise InputError("`within_column`: the usual models do not scale within levels, so evaluate does not; leave it out")


@dataclass(frozen=True, kw_only=True)
class ContestOptions(Options):
    only_baselines: bool = False
    """Leave out AAM: what the usual models reach, in minutes."""
    transformers: bool = False
    """Also evaluate transformers: from scratch, pretrained within each fold, and with a frozen base. Much slower."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.only_baselines and self.transformers:
            raise InputError("`only_baselines` and `transformers` are both given: choose one")


@dataclass(frozen=True, kw_only=True)
class RobustnessOptions(Options):
    """What an evaluation tests beside the held-out samples as they are."""

    robustness: bool = False
    """Also score the ensemble and the random forest on held-out samples that are made worse, step by step: fewer reads, fewer ASVs,
    contamination, nucleotide errors, reverse complements."""


@dataclass(frozen=True, kw_only=True)
class FoldExplainOptions(Options):
    """What an evaluation explains."""

    explain: bool = False
    """Also explain what the ensemble predicts for held-out samples: which ASVs carry it."""
    max_explained: int = 500
    """Maximum number of held-out samples to explain, drawn at random."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "max_explained")


@dataclass(frozen=True, kw_only=True)
class FoldPretrainOptions(Options):
    """How the transformers of an evaluation are pretrained."""

    pretrain_epochs: int = 4
    """Maximum number of epochs of pretraining, on the training samples of each fold."""
    transductive: bool = False
    """Pretrain once on all samples, held-out ones included, without their labels: faster, for a table that will not grow."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.pretrain_epochs >= 1, "pretrain_epochs", self.pretrain_epochs, "at least 1")
