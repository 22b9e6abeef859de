"""What each command is asked for: its options, put together of those that are shared, and checked together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from aam.cli import options as cli
from aam.cli.recipes import OF_ENSEMBLE, OF_EVALUATED_TRANSFORMERS, Recipe, unused_by
from aam.distances.registry import MEASURES, check_tree
from aam.errors import InputError
from aam.options import (
    DEFAULT_COMPUTE,
    AugmentOptions,
    CacheOptions,
    ContestOptions,
    EncoderOptions,
    EnsembleOptions,
    EvaluateFitOptions,
    ExplainOptions,
    FitOptions,
    FoldExplainOptions,
    FoldOptions,
    FoldPretrainOptions,
    GroupOptions,
    ModelOptions,
    NewSampleOptions,
    PretrainObjectives,
    PretrainSampleOptions,
    Question,
    ReadOptions,
    RobustnessOptions,
    SampleOptions,
    StartOptions,
    TableOptions,
    TrackOptions,
    TrainComputeOptions,
    TrainFitOptions,
    TrainObjectives,
    TreeOptions,
    TuneOptions,
    UniFracMetric,
    check,
    check_augment,
    check_counts,
    check_frozen,
    check_seed,
    require_metadata,
)

if TYPE_CHECKING:
    Metric = str
else:
    Metric = Literal[tuple(MEASURES)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """What every command has that reads files."""

    config: Annotated[Path | None, Parameter(group=cli.INPUT)] = None
    """YAML file of options by name (rep_seqs: seqs.fasta). The command line wins over it; --no-FLAG undoes a flag."""

    @property
    def unused(self) -> frozenset[str]:
        """Names of the options that the run does not use; they are not recorded."""
        return frozenset()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PretrainConfig(ConfigFile):
    data: cli.TableIn
    reads: cli.ReadsIn = ReadOptions()
    distances: cli.TreeIn = TreeOptions()
    samples: cli.PretrainSamplesIn = PretrainSampleOptions()
    start: cli.StartIn = StartOptions()
    model: cli.ModelIn = ModelOptions()
    objectives: cli.PretrainObjectivesIn = PretrainObjectives()
    augmenting: cli.AugmentIn = AugmentOptions()
    fit: cli.FitIn = FitOptions()
    compute: cli.TrainComputeIn = TrainComputeOptions()
    output: cli.OutputIn
    caching: cli.CacheIn = CacheOptions()
    tracking: cli.TrackIn = TrackOptions()

    def __post_init__(self) -> None:
        check_together(self.data, self.compute, self.fit)
        if self.objectives.learns_nothing:
            raise InputError("`penalty`, `nuc_penalty` and `count_penalty` are all 0: there is nothing to learn")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainConfig(ConfigFile):
    data: cli.TableIn
    reads: cli.ReadsIn = ReadOptions()
    distances: cli.TreeIn = TreeOptions()
    samples: cli.SamplesIn = SampleOptions()
    target: cli.TargetIn
    recipe: Annotated[Recipe, Parameter(group=cli.MODEL)] = "ensemble"
    """ensemble: the average of set networks, linear and kernel models and trees, cross-fitted on whole groups. transformer: one
    transformer from the nucleotides up, from scratch or from `pretrained_encoder`. Options of the other recipe are refused."""
    ensemble: cli.EnsembleIn = EnsembleOptions()
    encoder: cli.EncoderIn = EncoderOptions()
    model: cli.ModelIn = ModelOptions()
    objectives: cli.TrainObjectivesIn = TrainObjectives()
    augmenting: cli.AugmentIn = AugmentOptions()
    fit: cli.TrainFitIn = TrainFitOptions()
    compute: cli.TrainComputeIn = TrainComputeOptions()
    output: cli.OutputIn
    caching: cli.CacheIn = CacheOptions()
    tracking: cli.TrackIn = TrackOptions()

    def __post_init__(self) -> None:
        require_metadata(self.samples, self.target)
        check_together(self.data, self.compute, self.fit)
        transformer = self.recipe == "transformer"
        if transformer and self.target.quantiles and self.target.loss_type != "quantile":
            raise InputError("`quantiles` of a transformer are learned: give `loss_type=quantile`, too")
        self.check_columns(several=bool(self.target.class_columns or self.target.target_weights))
        if self.encoder.freeze_base:
            check_frozen(self.objectives, self.reads)
        if self.encoder.freeze_base and self.data.stream:
            raise InputError("`stream` with `freeze_base`: its embeddings need the table in memory; leave one out")

    def check_columns(self, several: bool) -> None:
        """InputError for what several columns to predict cannot have: of the options, and once the metadata tell that there are."""
        transformer = self.recipe == "transformer"
        check_augment(
            self.augmenting,
            sequences=True,
            tree=transformer and self.objectives.is_taught and not self.distances.unifrac_matrix,
            several=transformer and several,
            frozen=self.encoder.freeze_base,
            planned=bool(self.compute.max_memory_gb or self.compute.auto_batch_size),
        )

    @property
    def unused(self) -> frozenset[str]:
        return unused_by(self.recipe)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TuneConfig(TrainConfig):
    tuning: cli.TuneIn = TuneOptions()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples.test_fraction == 0 and self.samples.test_samples is None:
            raise InputError("`test_fraction=0`: test samples, which no trial sees, say what tuning buys; set some aside")
        if self.augmenting.is_auto:
            raise InputError("`augment=auto` is chosen by each fit: name augmentations in `space`, or leave it out")
        if self.tracking.track:
            raise InputError(f"`track={','.join(self.tracking.track)}`: a search is told to no tracker; leave it out")

    def check_columns(self, several: bool) -> None:
        """InputError for several."""
        super().check_columns(several)
        if several:
            raise InputError(f"`metadata_column={self.target.metadata_column}`: several columns; tune one at a time")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(ConfigFile):
    data: cli.TableIn
    reads: cli.ReadsIn = ReadOptions()
    distances: cli.TreeIn = TreeOptions()
    samples: cli.GroupsIn = GroupOptions()
    target: cli.OneTargetIn
    folding: cli.FoldsIn = FoldOptions()
    contest: cli.ContestIn = ContestOptions()
    explaining: cli.FoldExplainIn = FoldExplainOptions()
    testing: cli.RobustnessIn = RobustnessOptions()
    ensemble: cli.EnsembleIn = EnsembleOptions()
    pretraining: cli.FoldPretrainIn = FoldPretrainOptions()
    model: cli.ModelIn = ModelOptions()
    objectives: cli.TrainObjectivesIn = TrainObjectives()
    augmenting: cli.AugmentIn = AugmentOptions()
    fit: cli.EvaluateFitIn = EvaluateFitOptions()
    compute: cli.TrainComputeIn = TrainComputeOptions()
    output: cli.OutputIn
    caching: cli.CacheIn = CacheOptions()
    tracking: cli.TrackIn = TrackOptions()

    def __post_init__(self) -> None:
        self.question  # noqa: B018 - what is wrong is said when options are made
        if (self.compute.devices or 1) > 1:
            raise InputError(f"`devices={self.compute.devices}`: evaluate runs on one device, with all of its cores; leave it out")
        planned = self.contest.transformers and bool(self.compute.max_memory_gb or self.compute.auto_batch_size)
        check_augment(self.augmenting, sequences=True, tree=not self.distances.unifrac_matrix, planned=planned)
        asked = {"augment": self.augmenting.augment, "explain": self.explaining.explain}
        # The usual models learn a number as it is, and classes alike.
        asked["target_transform"] = self.target.target_transform != "zscore"
        asked["class_weights"] = self.target.class_weights != "balanced"
        if self.contest.only_baselines and (wrong := [name for name, value in asked.items() if value]):
            raise InputError(f"`{wrong[0]}` is of AAM, which `only_baselines` leaves out: choose one")

    @property
    def question(self) -> Question:
        """What is asked, without how it is answered."""
        return Question(
            data=self.data,
            reads=self.reads,
            distances=self.distances,
            samples=self.samples,
            target=self.target,
            folding=self.folding,
        )

    @property
    def unused(self) -> frozenset[str]:
        transformers = frozenset() if self.contest.transformers else OF_EVALUATED_TRANSFORMERS
        return transformers | (OF_ENSEMBLE if self.contest.only_baselines else frozenset())


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig(ConfigFile):
    suite: Annotated[Path, Parameter(group=cli.INPUT)]
    """YAML file of questions (table, metadata, metadata_column and other options of evaluate for each) and models."""
    data_dir: Annotated[Path | None, Parameter(group=cli.INPUT)] = None
    """Folder that paths in `suite` are relative to. Default: the folder of `suite`."""
    check: Annotated[bool, Parameter(group=cli.INPUT)] = False
    """Fit nothing: read every question, and say what makes its scores mislead (near copies, confounders, few groups)."""
    jobs: Annotated[int | None, Parameter(group=cli.COMPUTE)] = None
    """Fits at a time, each on one core. Default: as many as there are cores."""
    output: cli.OutputIn
    caching: cli.CacheIn = CacheOptions()

    def __post_init__(self) -> None:
        check_counts(self, "jobs")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ExplainConfig(ConfigFile):
    data: cli.TableIn
    trained: cli.TrainedIn
    chosen: cli.NewSamplesIn = NewSampleOptions()
    explaining: cli.ExplainIn = ExplainOptions()
    compute: cli.ComputeIn = DEFAULT_COMPUTE
    output: cli.OutputIn

    def __post_init__(self) -> None:
        for name in ("group_column", "confounder_column", "permutation"):
            if getattr(self.explaining, name) and not self.chosen.metadata:
                raise InputError(f"`{name}` needs `metadata`")
        if self.data.stream:
            raise InputError("`stream`: explanations need the table in memory; leave it out")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ExportConfig(ConfigFile):
    model: Annotated[Path, Parameter(group=cli.MODEL)]
    """Output folder of train or pretrain (of several targets: of one of them), or the name of a model that comes with AAM."""
    exporting: cli.ExportIn = cli.PLAIN_EXPORT
    output: Annotated[Path, Parameter(group=cli.OUTPUT)]
    """The graph, .onnx. Files of its name that end in .json and .md are written beside it."""
    overwrite: Annotated[bool, Parameter(group=cli.OUTPUT)] = False
    """Replace an existing output."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WholeTableConfig(ConfigFile):
    """What `unifrac` and `distances` share."""

    table: Annotated[Path, Parameter(group=cli.INPUT)]
    """Feature table, samples x ASVs: BIOM 2.1 (HDF5), BIOM 1 (JSON), QIIME 2 .qza, AnnData (.h5ad), TSV or CSV, also as .gz."""
    ignore_missing: Annotated[bool, Parameter(group=cli.INPUT)] = False
    """Leave out samples that cannot be used (too few reads, no ASV in the tree) instead of stopping, and go on where the tree lacks
    ASVs with more than a tenth of the reads."""
    alpha: Annotated[float, Parameter(group=cli.DISTANCES)] = 0.5
    """Exponent of generalized UniFrac: 0 weighs branches alike, 1 by abundance."""
    count_root: Annotated[bool, Parameter(group=cli.DISTANCES)] = False
    """Count the branch above the root, as scikit-bio does; ssu, and so QIIME 2, GUniFrac and phyloseq do not."""
    sampling_depth: Annotated[int | None, Parameter(group=cli.DISTANCES)] = None
    """Rarefy every sample to this many reads. Default: all reads."""
    seed: Annotated[int, Parameter(group=cli.DISTANCES)] = 0
    """Random seed of the rarefaction."""
    overwrite: Annotated[bool, Parameter(group=cli.OUTPUT)] = False
    """Replace an existing output."""

    def __post_init__(self) -> None:
        check(0.0 <= self.alpha <= 1.0, "alpha", self.alpha, "between 0 and 1")
        check_counts(self, "sampling_depth")
        check_seed(self.seed)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class UniFracConfig(WholeTableConfig):
    tree: Annotated[Path, Parameter(group=cli.INPUT)]
    """Phylogeny of the ASVs (newick or .qza)."""
    metric: Annotated[UniFracMetric, Parameter(group=cli.DISTANCES)] = "unweighted"
    """UniFrac variant."""
    output: Annotated[Path, Parameter(group=cli.OUTPUT)]
    """Distances: .h5 (as unifrac-binaries writes it), .npy (IDs in .ids.txt beside it), .tsv (LSMat) or .qza (QIIME 2)."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DistancesConfig(WholeTableConfig):
    tree: Annotated[Path | None, Parameter(group=cli.INPUT)] = None
    """Phylogeny of the ASVs (newick or .qza), for UniFrac and faith_pd."""
    metric: Annotated[Metric, Parameter(group=cli.DISTANCES)]
    """Distances between samples: UniFrac (the first four), bray_curtis, jaccard (of presence), aitchison (one read added to every
    ASV), robust_aitchison, hellinger. Or a number of each sample: faith_pd, shannon (natural logarithm), richness (ASVs)."""
    output: Annotated[Path, Parameter(group=cli.OUTPUT)]
    """Distances: .h5 (as unifrac-binaries writes it), .npy (IDs in .ids.txt beside it), .tsv (LSMat) or .qza (QIIME 2). A number of
    each sample: .tsv or .qza, SampleData[AlphaDiversity]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_tree(self.metric, *(name for name in ("tree", "count_root") if getattr(self, name)))


@Parameter(name="*", group=cli.OUTPUT)
@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    output_dir: Path = Path("aam-demo")
    """Folder for everything the demo writes."""
    seed: int = 0
    """Random seed of the simulated community and of training."""
    overwrite: bool = False
    """Replace an earlier demo."""

    def __post_init__(self) -> None:
        check_seed(self.seed)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    self_test: bool = True
    """Compute something with every part (a few seconds); --no-self-test only looks."""


def check_together(data: TableOptions, compute: TrainComputeOptions, fit: FitOptions) -> None:
    """InputError for options that exclude each other."""
    if data.stream and (compute.max_memory_gb or compute.auto_batch_size):
        raise InputError("`stream` with `max_memory_gb` or `auto_batch_size`: these look at all samples first; leave one out")
    if fit.find_lr and compute.strategy == "fsdp":
        raise InputError("`find_lr` with `strategy=fsdp`: find it with ddp or on one device, and give `lr`")
    if compute.mixed_precision == "fp16" and compute.strategy == "fsdp":
        raise InputError("`mixed_precision=fp16` with `strategy=fsdp`: take bf16")
