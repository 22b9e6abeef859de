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
    OneTargetOptions,
    PretrainObjectives,
    PretrainSampleOptions,
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
    check_covariates,
    check_frozen,
    check_seed,
)

EmbedLevel = Literal["sample", "asv"]
# How names of outputs may end.
PREDICTIONS, EMBEDDINGS = (".tsv", ".qza", ".h5ad"), (".tsv", ".npy", ".qza", ".h5ad")
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
        _require_metadata(self.samples, self.target)
        check_together(self.data, self.compute, self.fit)
        transformer = self.recipe == "transformer"
        if transformer and self.target.quantiles and self.target.loss_type != "quantile":
            raise InputError("`quantiles` of a transformer are learned: give `loss_type=quantile`, too")
        check_augment(
            self.augmenting,
            sequences=True,
            tree=transformer and self.objectives.is_taught and not self.distances.unifrac_matrix,
            several=transformer and bool(self.target.class_columns or self.target.target_weights),
            frozen=self.encoder.freeze_base,
            planned=bool(self.compute.max_memory_gb or self.compute.auto_batch_size),
        )
        if self.encoder.freeze_base:
            check_frozen(self.objectives, self.reads)
        if self.encoder.freeze_base and self.data.stream:
            raise InputError("`stream` with `freeze_base`: its embeddings need the table in memory; leave one out")

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
        if self.target.class_columns or self.target.target_weights:
            raise InputError("`class_columns` and `target_weights` are of several columns; tune one at a time")


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
        _require_metadata(self.samples, self.target)
        if self.folding.leave_one_group_out and self.samples.group_column is None:
            raise InputError("`leave_one_group_out` needs `group_column`: which groups")
        if (self.compute.devices or 1) > 1:
            raise InputError(f"`devices={self.compute.devices}`: evaluate runs on one device, with all of its cores; leave it out")
        if self.data.stream:
            raise InputError("`stream`: the usual models need the table in memory; leave it out")
        planned = self.contest.transformers and bool(self.compute.max_memory_gb or self.compute.auto_batch_size)
        check_augment(self.augmenting, sequences=True, tree=not self.distances.unifrac_matrix, planned=planned)
        if self.target.within_column:
            raise InputError("`within_column`: the usual models do not scale within levels, so evaluate does not; leave it out")
        asked = {"augment": self.augmenting.augment, "explain": self.explaining.explain}
        # The usual models learn a number as it is, and classes alike.
        asked["target_transform"] = self.target.target_transform != "zscore"
        asked["class_weights"] = self.target.class_weights != "balanced"
        if self.contest.only_baselines and (wrong := [name for name, value in asked.items() if value]):
            raise InputError(f"`{wrong[0]}` is of AAM, which `only_baselines` leaves out: choose one")

    @property
    def unused(self) -> frozenset[str]:
        transformers = frozenset() if self.contest.transformers else OF_EVALUATED_TRANSFORMERS
        return transformers | (OF_ENSEMBLE if self.contest.only_baselines else frozenset())


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PredictConfig(ConfigFile):
    data: cli.TableIn
    trained: cli.TrainedIn
    compute: cli.ComputeIn = DEFAULT_COMPUTE
    chosen: cli.NewSamplesIn = NewSampleOptions()
    draws: Annotated[int, Parameter(group=cli.MODEL)] = 1
    """Rarefy each sample this many times, to the sampling depth of the model: the prediction is the mean, and `sd` in the file
    beside it the standard deviation over the draws (of classes, of the probability of the one predicted)."""
    output: Annotated[Path, Parameter(group=cli.OUTPUT)]
    """Predictions: .tsv, or .qza (QIIME 2). Class probabilities, 90 % prediction intervals, the novelty of each sample, and where
    metadata hold it the truth and scores, go into files beside it. Or .h5ad (AnnData): all of that beside the table, in obs."""
    overwrite: Annotated[bool, Parameter(group=cli.OUTPUT)] = False
    """Replace an existing output."""

    def __post_init__(self) -> None:
        check_counts(self, "draws")
        _check_annotated(self.output, self.data)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EmbedConfig(ConfigFile):
    data: cli.TableIn
    trained: cli.TrainedIn
    compute: cli.ComputeIn = DEFAULT_COMPUTE
    chosen: cli.NewSamplesIn = NewSampleOptions()
    level: Annotated[EmbedLevel, Parameter(group=cli.OUTPUT)] = "sample"
    """One vector per sample, or one per ASV of the table."""
    space: Annotated[str | None, Parameter(group=cli.OUTPUT)] = None
    """What the encoder was taught that is written: a metric, whose distances are those between the vectors, or a quantity. Default:
    the metric that came first in `encoder_type`."""
    output: Annotated[Path, Parameter(group=cli.OUTPUT)]
    """Embeddings: .tsv with IDs, .qza (QIIME 2), or .npy with the IDs in .ids.txt beside it. The novelty of samples goes into a
    file beside it. Or .h5ad (AnnData): the table with the embeddings in obsm (of ASVs in varm), novelty in obs."""
    distances: Annotated[Path | None, Parameter(group=cli.OUTPUT)] = None
    """Also write the Euclidean distances between the sample embeddings: .h5, .npy, .tsv (LSMat) or .qza (QIIME 2).
    The name of an `output` that ends in .h5ad: in its obsp."""
    ordination: Annotated[Path | None, Parameter(group=cli.OUTPUT)] = None
    """Also write their principal coordinates (PCoA): .txt, which EMPeror and EMPress read, or .qza (QIIME 2); and beside it a page
    (.html) whose points can be coloured by any column of `metadata`, and a picture (.svg)."""
    colour_by: Annotated[str | None, Parameter(group=cli.OUTPUT)] = None
    """Metadata column that colours the picture, and the page when it opens."""
    overwrite: Annotated[bool, Parameter(group=cli.OUTPUT)] = False
    """Replace an existing output."""

    def __post_init__(self) -> None:
        of_samples = (self.distances, self.ordination, self.space, self.chosen != NewSampleOptions())
        if self.level == "asv" and any(of_samples):
            raise InputError(
                "`level=asv`: ASVs are embedded, whatever holds them; leave out `distances`, `ordination`, `space` and options of "
                "samples"
            )
        for name in ("distances", "ordination"):
            if self.is_annotated and name == "distances":
                continue
            if (place := getattr(self, name)) and place in (self.output, None if name == "distances" else self.distances):
                raise InputError(
                    f"`{name}={place}`: is the `{'output' if place == self.output else 'distances'}`, too; choose another name"
                )
        if self.colour_by and not (self.ordination and self.chosen.metadata):
            raise InputError(f"`colour_by={self.colour_by}`: needs `ordination`, and `metadata` that hold the column")
        _check_annotated(self.output, self.data)

    @property
    def is_annotated(self) -> bool:
        """Whether distances go into the output."""
        return self.output.suffix == ".h5ad" and self.distances == self.output


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


def _check_annotated(output: Path, data: TableOptions) -> None:
    if output.suffix == ".h5ad" and data.stream:
        raise InputError(f"`output={output}` with `stream`: it would hold the table, which is not in memory; name a .tsv")


def _require_metadata(samples: GroupOptions, target: OneTargetOptions) -> None:
    if not samples.metadata:
        raise InputError(f"`metadata` is missing: the table that holds the column {target.metadata_column}")
    check_covariates(target.categorical_columns, target.numeric_columns, {"the group column": samples.group_column})
