"""What is read: tables, trees, metadata, and which samples are kept apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from aam.errors import InputError
from aam.options.checks import Options, check, check_counts
from aam.options.target import (
    LossType,
    TransformName,
    check_class_columns,
    check_several,
    check_target,
    columns_in,
    options_of_kind,
)

UniFracMetric = Literal["unweighted", "weighted_normalized", "weighted_unnormalized", "generalized"]
AsvSampling = Literal["abundant", "random"]
Fusion = Literal["concat", "gated"]


@dataclass(frozen=True, kw_only=True)
class _OneTable(Options):
    table: Path
    """Feature table, samples x ASVs: BIOM 2.1 (HDF5), BIOM 1 (JSON), QIIME 2 .qza, AnnData (.h5ad), TSV or CSV, also as .gz."""


@dataclass(frozen=True, kw_only=True)
class _EachTable(Options):
    table: tuple[Path, ...]
    """Feature table, samples x ASVs: BIOM 2.1 (HDF5), BIOM 1 (JSON), QIIME 2 .qza, AnnData (.h5ad), TSV or CSV, also as .gz. Or
    several, as a pattern in quotes ('runs/*.biom') or one after the other: each by itself, to an `output` with a * in its name."""


@dataclass(frozen=True, kw_only=True)
class _BesideTable(Options):
    more_tables: tuple[Path, ...] = ()
    """Further tables to merge with `table` (same feature ID = same ASV)."""
    stream: bool = False
    """Leave the counts on disk and read samples as they are needed, for tables larger than memory. Needs BIOM 2.1."""
    rep_seqs: Path | None = None
    """Representative sequences of the ASVs (FASTA, .qza or .h5ad), for a table whose feature IDs are hashes or names.
    Default: those of the table, where it is an .h5ad with a column `sequence` in var."""
    ignore_missing: bool = False
    """Leave out samples that cannot be used (no metadata, no target, no group, too few reads, no ASV in the tree) instead of
    stopping, and go on where the tree lacks ASVs with more than a tenth of the reads."""


@dataclass(frozen=True, kw_only=True)
class TableOptions(_BesideTable, _OneTable):
    """One table, of itself and others that are merged with it."""


@dataclass(frozen=True, kw_only=True)
class EachTableOptions(_BesideTable, _EachTable):
    """One table, or several of which each stands by itself."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.table:
            raise InputError("`table` is empty: name one or more")
        if len(self.table) > 1 and self.more_tables:
            raise InputError(f"`more_tables` with {len(self.table)} files in `table`, each by itself: leave out one or the other")

    @property
    def each(self) -> tuple[EachTableOptions, ...]:
        """The same of each table."""
        return tuple(replace(self, table=(table,)) for table in self.table)

    @property
    def one(self) -> TableOptions:
        """The options of the only table, or the first."""
        kept = {field.name: getattr(self, field.name) for field in fields(_BesideTable)}
        return TableOptions(table=self.table[0], **kept)


@dataclass(frozen=True, kw_only=True)
class ReadOptions(Options):
    """What the model sees of a sample. Kept in the model folder, so that predict does as train did."""

    max_bp: int = 150
    """Number of nucleotides of each ASV to read. Longer sequences are cut, with a warning."""
    sampling_depth: int | None = None
    """Rarefy every sample to this many reads. Default: all reads."""
    rarefy_each_epoch: bool = False
    """Rarefy anew in every epoch (augmentation) instead of once."""
    token_limit: int | None = None
    """Maximum number of ASVs per sample that the model sees. Default: all of them."""
    asv_sampling: AsvSampling = "abundant"
    """Which ASVs `token_limit` keeps: the most abundant, or a random draw weighted by abundance."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "max_bp", "sampling_depth", "token_limit")
        check(self.max_bp <= 100_000, "max_bp", self.max_bp, "at most 100000")
        if self.rarefy_each_epoch and self.sampling_depth is None:
            raise InputError("`rarefy_each_epoch` needs `sampling_depth`: how many reads to draw")

    @property
    def draws(self) -> bool:
        """Whether a sample is rarefied or cut."""
        return self.sampling_depth is not None or self.token_limit is not None


@dataclass(frozen=True, kw_only=True)
class TreeOptions(Options):
    tree: Path | None = None
    """Phylogeny of the ASVs (newick or .qza). Default: built from the sequences and kept in the output folder."""
    unifrac_matrix: Path | None = None
    """Precomputed distances (HDF5, .npy or LSMat TSV) to use instead of UniFrac computed from a tree."""
    unifrac_metric: UniFracMetric = "unweighted"
    """UniFrac variant."""
    alpha: float = 0.5
    """Exponent of generalized UniFrac: 0 weighs branches alike, 1 by abundance."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0.0 <= self.alpha <= 1.0, "alpha", self.alpha, "between 0 and 1")
        if self.tree and self.unifrac_matrix:
            raise InputError("`tree` and `unifrac_matrix` are both given: choose one source of distances")


@dataclass(frozen=True, kw_only=True)
class GroupOptions(Options):
    """Which samples, and which of them stay together."""

    metadata: tuple[Path, ...] = ()
    """Sample metadata: TSV as QIIME 2 reads it, CSV, .qza or .h5ad. Of several files, the samples that are in all of them."""
    where: str | None = None
    """Keep the samples for which this SQLite condition on the metadata holds, as --p-where in QIIME 2: "[mom_child]='C'"."""
    missing_values: tuple[str, ...] = ()
    """Words in the metadata that mean that a value is missing (NA, unknown); compared without case and blanks."""
    group_column: str | None = None
    """Metadata column whose groups (subject, study) stay on one side of every split."""
    val_fraction: float = 0.1
    """Share of the training samples set aside as validation samples, which choose the best epoch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0.0 < self.val_fraction < 1.0, "val_fraction", self.val_fraction, "between 0 and 1")
        for option in ("where", "missing_values", "group_column"):
            if getattr(self, option) and not self.metadata:
                raise InputError(f"`{option}` needs `metadata`")


@dataclass(frozen=True, kw_only=True)
class NewSampleOptions(Options):
    """Which samples of a table a fitted model is used on."""

    metadata: tuple[Path, ...] = ()
    """Sample metadata: for `where`, for a model that was trained with metadata columns, and to score predictions, where they
    hold the column that is predicted."""
    where: str | None = None
    """Use the samples for which this SQLite condition on the metadata holds, as --p-where in QIIME 2: "[mom_child]='C'"."""
    missing_values: tuple[str, ...] = ()
    """Words in the metadata that mean that a value is missing (NA, unknown); compared without case and blanks."""
    samples: Path | None = None
    """Use the samples that this file names: one ID a line, or a TSV with the IDs in its first column."""
    min_reads: int | None = None
    """Minimum number of reads of a sample; samples with fewer are an error, or left out with `ignore_missing`. Default: all samples
    are used, with a warning of those that have fewer reads than training samples had."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "min_reads")
        for option in ("where", "missing_values"):
            if getattr(self, option) and not self.metadata:
                raise InputError(f"`{option}` needs `metadata`")


@dataclass(frozen=True, kw_only=True)
class SampleOptions(GroupOptions):
    """How samples are kept apart in one run."""

    test_fraction: float = 0.2
    """Share of the samples set aside as test samples, for the final score."""
    train_samples: Path | None = None
    """Training samples: a file with one ID a line, such as train_samples.txt of an earlier run. All other samples are test samples
    (none with `test_fraction=0`), and validation samples are drawn from these, unless they are given."""
    val_samples: Path | None = None
    """Validation samples, in the same form. Parts that are not given are drawn from the samples that no file names."""
    test_samples: Path | None = None
    """Test samples, in the same form. Groups stay whole; a group may be in two parts only if both are given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0.0 <= self.test_fraction < 1.0, "test_fraction", self.test_fraction, "0 or more and below 1")
        total = round(self.val_fraction + self.test_fraction, 3)
        if total >= 1.0:
            raise InputError(f"`val_fraction` and `test_fraction` add up to {total:g}: must be below 1")


@dataclass(frozen=True, kw_only=True)
class PretrainSampleOptions(SampleOptions):
    test_fraction: float = 0.0
    """Share of the samples set aside as test samples, for the final score."""
    groups_in_batch: int | None = None
    """Groups of `group_column` (studies) in a batch, as many samples of each; large ones come more often, by the square root of
    their size. Default: samples at random, whatever their group."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "groups_in_batch")
        if self.groups_in_batch and not self.group_column:
            raise InputError(f"`groups_in_batch={self.groups_in_batch}` needs `group_column`")


@dataclass(frozen=True, kw_only=True)
class OneTargetOptions(Options):
    """One column to predict."""

    metadata_column: str
    """Metadata column to predict."""
    classifier: bool = False
    """Predict classes; without it a number is predicted."""
    categorical_columns: tuple[str, ...] = ()
    """Metadata columns of categories given to the model beside the microbes (sex, site); predict needs them too."""
    numeric_columns: tuple[str, ...] = ()
    """Metadata columns of numbers given to the model beside the microbes (age, BMI); predict needs them too. A missing value is
    read as the mean of the training samples, and told apart where these lack some."""
    fusion: Fusion = "concat"
    """How a transformer joins these columns with the sample embedding: side by side (concat), or weighed against each other for
    each sample (gated)."""
    target_transform: TransformName = "zscore"
    """Scale of the target during training, fitted to the training samples. Scores are in original units. zscore-within: that of the
    sample's level of `within_column`."""
    within_column: str | None = None
    """With `target_transform=zscore-within`: metadata column (study, site) whose levels have a mean and a spread of their own.
    predict needs it, too. A level that training lacks is taken as the average one; training samples without a value are an error,
    or left out with `ignore_missing`."""
    loss_type: LossType = "mae"
    """Loss of a transformer. quantile: of all `quantiles`; asymmetric: see `asymmetry`; poisson: of counts, whose logarithm of the
    rate is learned; ordinal: of classes in order. Other classes use cross-entropy."""
    asymmetry: float = 0.5
    """With `loss_type=asymmetric`: the level of the quantile that is predicted. Above 0.5, too low costs more than too high."""
    quantiles: str | None = None
    """Also predict these quantiles of a number: 0.1,0.5,0.9. They rise, the median among them is the prediction. An ensemble takes
    them from its errors in cross-fitting; a transformer learns them (`loss_type=quantile`)."""
    output_range: str | None = None
    """Range that no prediction, interval or quantile leaves: 0,100, or open at one end: 0, for 0 and more."""
    class_weights: str = "balanced"
    """How much classes count in training: balanced (alike), none (each sample alike), or by hand: healthy=1,ibd=3. A class that is
    not named has 1."""
    class_order: str | None = None
    """With `loss_type=ordinal`: the order of the classes, none,mild,severe. Default: that of numbers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check()
        for column in {self.metadata_column, *self.metadata_column.split(",")}:
            check_covariates(self.categorical_columns, self.numeric_columns, {"the column to predict": column.strip()})
        if self.fusion != "concat" and not (self.categorical_columns or self.numeric_columns):
            raise InputError(f"`fusion={self.fusion}` needs `categorical_columns` or `numeric_columns`: what to join")

    def _check(self) -> None:
        check_target(self)

    def columns(self, there: Collection[str]) -> tuple[str, ...]:
        """The columns to predict, of metadata that have the columns `there`. InputError for several."""
        if len(columns_in(self.metadata_column, there)) > 1:
            raise InputError(f"`metadata_column={self.metadata_column}`: several columns at once are for `aam train`; give one")
        return (self.metadata_column,)


@dataclass(frozen=True, kw_only=True)
class TargetOptions(OneTargetOptions):
    """One column to predict, or several."""

    metadata_column: str
    """Metadata column to predict, or several with commas between them (age,delivery): a transformer learns all of them at once, an
    ensemble is fitted for each, and a sample may lack some of the values."""
    class_columns: tuple[str, ...] = ()
    """Of several columns to predict, those that are classes, where the others are numbers."""
    target_weights: str | None = None
    """How much each of several columns counts in the loss of a transformer: age=1,delivery=2. A column that is not named has 1."""

    def _check(self) -> None:
        if self.class_columns:
            check_class_columns(self.metadata_column, self.class_columns, self.classifier)
            for column in columns_in(self.metadata_column):
                # Made, each is checked.
                self.of(column)
        else:
            check_target(self)
        if self.class_columns or self.target_weights:
            # There are several, whatever the metadata hold.
            check_several(self, columns_in(self.metadata_column))

    def columns(self, there: Collection[str]) -> tuple[str, ...]:
        """The columns to predict, of metadata that have the columns `there`. InputError for options that could be of one column or
        another.
        """
        columns = columns_in(self.metadata_column, there)
        check_several(self, columns)
        return columns

    def of(self, column: str) -> OneTargetOptions:
        """The options of one of several columns: those that its kind has."""
        mixed = bool(self.class_columns)
        is_class = column in self.class_columns if mixed else self.classifier
        shared = {field.name: getattr(self, field.name) for field in fields(OneTargetOptions)}
        kept = options_of_kind(self, is_class) if mixed else {}
        return OneTargetOptions(**{**shared, **kept, "metadata_column": column, "classifier": is_class})


def check_covariates(categorical: Sequence[str], numeric: Sequence[str], others: Mapping[str, str | None]) -> None:
    """InputError for a covariate that is named twice, or is one of some other columns, by what they are."""
    named = [("categorical_columns", column) for column in categorical] + [("numeric_columns", column) for column in numeric]
    for place, (option, column) in enumerate(named):
        for what, other in others.items():
            if column == other:
                raise InputError(f"`{option}={column}`: this is {what}; leave it out")
        if twice := [before for before, name in named[:place] if name == column]:
            raise InputError(f"`{option}={column}`: is in `{twice[0]}`, too; name it once")


def require_metadata(samples: GroupOptions, target: OneTargetOptions) -> None:
    """InputError where the table that holds the column to predict is missing, or the group column is given to the model."""
    if not samples.metadata:
        raise InputError(f"`metadata` is missing: the table that holds the column {target.metadata_column}")
    check_covariates(target.categorical_columns, target.numeric_columns, {"the group column": samples.group_column})
