"""What is read: tables, trees, metadata, and which samples are kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Parameter

from aam.config.groups import DISTANCES, INPUT, METADATA, check, check_counts
from aam.errors import InputError

UniFracMetric = Literal["unweighted", "weighted_normalized", "weighted_unnormalized", "generalized"]
AsvSampling = Literal["abundant", "random"]
TransformName = Literal["none", "minmax", "zscore", "log-zscore"]
LossType = Literal["mse", "mae", "huber"]


@Parameter(name="*", group=INPUT)
@dataclass(frozen=True, kw_only=True)
class TableOptions:
    table: Path
    """Feature table, samples x ASVs: BIOM 2.1 (HDF5), BIOM 1 (JSON), QIIME 2 .qza, or TSV."""
    more_tables: tuple[Path, ...] = ()
    """Tables of other samples, taken together with it; an ASV is the same where its id is."""
    stream: bool = False
    """Read samples from disk when they are wanted, for tables larger than memory. Needs BIOM 2.1; one network only."""
    rep_seqs: Path | None = None
    """Sequences of the ASVs (FASTA or .qza), for a table whose feature ids are hashes or names."""
    ignore_missing: bool = False
    """Leave out samples that cannot be used (no metadata, no target, too few reads) instead of stopping."""


@Parameter(name="*", group=INPUT)
@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What the model sees of a sample. Kept in the model folder, so that predict does as train did."""

    max_bp: int = 150
    """Nucleotides of each ASV that are read; longer sequences are cut, with a warning."""
    sampling_depth: int | None = None
    """Rarefy every sample to this many reads. Default: all reads."""
    rarefy_each_epoch: bool = False
    """Draw the rarefied reads afresh in every epoch (augmentation) instead of once."""
    token_limit: int | None = None
    """Most ASVs of a sample that the model sees. Default: all of them."""
    asv_sampling: AsvSampling = "abundant"
    """Which ASVs --token-limit keeps: the most abundant, or a random draw weighted by abundance."""

    def __post_init__(self) -> None:
        check_counts(self, "max_bp", "sampling_depth", "token_limit")
        check(self.max_bp <= 100_000, "max_bp", self.max_bp, "at most 100000")
        if self.rarefy_each_epoch and self.sampling_depth is None:
            raise InputError("--rarefy-each-epoch needs --sampling-depth: how many reads to draw")


@Parameter(name="*", group=DISTANCES)
@dataclass(frozen=True, kw_only=True)
class TreeOptions:
    tree: Path | None = None
    """Phylogeny of the ASVs (newick or .qza). Default: one is built from the sequences and kept in the output folder."""
    unifrac_matrix: Path | None = None
    """Precomputed distances (HDF5, .npy or LSMat TSV) to learn from, instead of UniFrac computed on each batch."""
    unifrac_metric: UniFracMetric = "unweighted"
    """UniFrac variant that the sample embeddings learn."""
    alpha: float = 0.5
    """Exponent of generalized UniFrac: 0 weighs branches alike, 1 by abundance."""

    def __post_init__(self) -> None:
        check(0.0 <= self.alpha <= 1.0, "alpha", self.alpha, "between 0 and 1")
        if self.tree and self.unifrac_matrix:
            raise InputError("--tree and --unifrac-matrix both given: choose one source of distances")


@Parameter(name="*", group=METADATA)
@dataclass(frozen=True, kw_only=True)
class GroupOptions:
    """Which samples, and which of them stay together."""

    metadata: Path | None = None
    """Sample metadata, TSV as QIIME 2 reads it."""
    where: str | None = None
    """Keep the samples for which this SQLite condition on the metadata holds, as --p-where in QIIME 2: "[mom_child]='C'"."""
    group_column: str | None = None
    """Metadata column whose groups (subject, study) stay on one side of every split."""
    val_fraction: float = 0.1
    """Share of the samples learned from that are kept out to choose the best epoch."""

    def __post_init__(self) -> None:
        check(0.0 < self.val_fraction < 1.0, "val_fraction", self.val_fraction, "between 0 and 1")
        for option in ("where", "group_column"):
            if getattr(self, option) is not None and self.metadata is None:
                raise InputError(f"--{option.replace('_', '-')} needs --metadata")


@Parameter(name="*", group=METADATA)
@dataclass(frozen=True, kw_only=True)
class SampleOptions(GroupOptions):
    """How samples are kept apart in one run."""

    test_fraction: float = 0.2
    """Share of the samples held out of everything, for the final score."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0.0 <= self.test_fraction < 1.0, "test_fraction", self.test_fraction, "0 or more and below 1")
        total = self.val_fraction + self.test_fraction
        check(total < 1.0, "val_fraction + --test_fraction", round(total, 3), "below 1")


@Parameter(name="*", group=METADATA)
@dataclass(frozen=True, kw_only=True)
class PretrainSampleOptions(SampleOptions):
    test_fraction: float = 0.0
    """Share of the samples held out of everything, for the final score."""


@Parameter(name="*", group=METADATA)
@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    metadata_column: str
    """Metadata column to predict."""
    classifier: bool = False
    """Predict classes; without it a number is predicted."""
    categorical_columns: tuple[str, ...] = ()
    """Metadata columns given to the model beside the microbes (sex, site); predict needs them too."""
    target_transform: TransformName = "zscore"
    """Scale of the target while training, fitted on the training samples; scores are in original units."""
    loss_type: LossType = "mae"
    """Loss of a regression target. Classes use cross-entropy with balanced class weights."""


@Parameter(name="*", group=INPUT)
@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """The option of every command that :func:`aam.cli.config_file.read_config` acts on."""

    config: Path | None = None
    """YAML file of options by name (rep_seqs: seqs.fasta). The command line wins over it; --no-FLAG undoes a flag."""
